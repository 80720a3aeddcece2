//! The address of a store that is not Amazon's. The library takes each one, and panics when it signs a request to one that is none.

use axum::http::Uri;

/// Whether a text is one: a scheme and a host, and nothing that is secret.
pub(super) fn is_address(endpoint: &str) -> bool {
    let Ok(uri) = endpoint.parse::<Uri>() else { return false };
    let scheme = uri.scheme_str().is_some_and(|scheme| ["http", "https"].contains(&scheme));
    let host = uri.authority().is_some_and(|authority| {
        let port = || authority.port_u16().is_some_and(|port| port > 0);
        let (host, all) = (authority.host(), authority.as_str());
        !host.is_empty() && !all.contains('@') && (all == host || port())
    });
    scheme && host && uri.query().is_none() && !endpoint.contains('#')
}

/// Whether it names a host alone.
pub(super) fn has_no_path(endpoint: &str) -> bool {
    endpoint.parse::<Uri>().is_ok_and(|uri| ["", "/"].contains(&uri.path()))
}

/// Checks it; `allows` is the variable that allows it to be `http://`. What it is may be a secret by mistake: it is not repeated.
pub(super) fn check(name: &str, allows: &str, endpoint: &str, allow_http: bool) -> Result<(), String> {
    if !is_address(endpoint) {
        return Err(format!(
            "{name} must be https://HOST or https://HOST:PORT (or http://), without credentials or query"
        ));
    }
    if endpoint.starts_with("http:") && !allow_http {
        return Err(format!(
            "{name} is http://, so that all that is stored crosses the network in the clear: set {allows}=true if \
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
            assert_eq!(check("E", "AWS_ALLOW_HTTP", endpoint, false), Ok(()), "{endpoint}");
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
            let refused = check("E", "AWS_ALLOW_HTTP", endpoint, true).unwrap_err();
            assert!(refused.starts_with("E must be https://HOST"), "{endpoint}: {refused}");
        }
        assert_eq!(check("E", "AWS_ALLOW_HTTP", "http://h:9000", true), Ok(()));
        assert!(check("E", "AWS_ALLOW_HTTP", "http://h:9000", false).unwrap_err().contains("set AWS_ALLOW_HTTP=true"));
        assert_eq!(authority("http://h:9000/").unwrap(), "h:9000");
    }
}
