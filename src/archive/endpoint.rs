//! The address of a store that is not Amazon's. The library takes each one, and panics when it signs a request to one that is none.

use axum::http::Uri;

/// The variables that name it, in the order in which they count.
const NAMES: [&str; 3] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];

/// What the address is called: the variable of the environment that has it, or what objects call it.
pub(super) fn name(endpoint: &str) -> &'static str {
    let has = |name: &&&str| std::env::var(name).is_ok_and(|value| value == endpoint);
    NAMES.iter().find(has).copied().unwrap_or("endpoint")
}

/// Checks it. What it is may be a secret by mistake: it is not repeated.
pub(super) fn check(name: &str, endpoint: &str, allow_http: bool) -> Result<(), String> {
    let uri = endpoint.parse::<Uri>().ok();
    let uri = uri.filter(|uri| {
        let scheme = uri.scheme_str().is_some_and(|scheme| ["http", "https"].contains(&scheme));
        let host = uri.authority().is_some_and(|authority| {
            let port = || authority.port_u16().is_some_and(|port| port > 0);
            let (host, all) = (authority.host(), authority.as_str());
            !host.is_empty() && !all.contains('@') && (all == host || port())
        });
        scheme && host && uri.query().is_none() && !endpoint.contains('#')
    });
    let Some(uri) = uri else {
        return Err(format!(
            "{name} must be https://HOST or https://HOST:PORT (or http://), without credentials or query"
        ));
    };
    if uri.scheme_str() == Some("http") && !allow_http {
        return Err(format!(
            "{name} is http://, so that all that is stored crosses the network in the clear: set AWS_ALLOW_HTTP=true if \
             that is meant, or use https://"
        ));
    }
    Ok(())
}

/// Its host and port.
pub(super) fn authority(endpoint: &str) -> Option<String> {
    Some(endpoint.parse::<Uri>().ok()?.authority()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_host_and_nothing_that_is_secret() {
        for endpoint in ["https://s3", "https://s3.example.org:9000", "https://[fd00::1]:9000/", "https://h/path"] {
            assert_eq!(check("E", endpoint, false), Ok(()), "{endpoint}");
        }
        for endpoint in [
            "",
            "minio:9000",
            "minio",
            "10.0.0.1:9000",
            "ftp://h",
            "https://",
            "https://u:p@h",
            "https://h?a",
            "https://h:0",
            "https://h:x",
            "https://h:99999",
            "https://h h",
            "https://h#a",
        ] {
            let refused = check("E", endpoint, true).unwrap_err();
            assert!(refused.starts_with("E must be https://HOST"), "{endpoint}: {refused}");
        }
        assert_eq!(check("E", "http://h:9000", true), Ok(()));
        assert!(check("E", "http://h:9000", false).unwrap_err().contains("set AWS_ALLOW_HTTP=true"));
        assert_eq!(authority("http://h:9000/").unwrap(), "h:9000");
    }
}
