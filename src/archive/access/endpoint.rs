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

/// Where a store is known to put a bucket's name before its own: what follows on the bucket there.
const STORES: [&str; 9] = [
    ".amazonaws.com",
    ".digitaloceanspaces.com",
    ".backblazeb2.com",
    ".wasabisys.com",
    ".aliyuncs.com",
    ".linodeobjects.com",
    ".vultrobjects.com",
    ".your-objectstorage.com",
    ".r2.cloudflarestorage.com",
];

/// Checks that a bucket is not named twice: people copy the address of the bucket from a console. `minio` at `minio.storage.svc` is
/// none of these.
pub(super) fn check_bucket(name: &str, endpoint: &str, bucket: &str) -> Result<(), String> {
    let copied = || {
        let authority = authority(endpoint)?;
        let host = authority.split(':').next()?;
        let rest = host.strip_prefix(bucket)?.strip_prefix('.')?;
        let known = rest.starts_with("s3.") || rest.starts_with("s3-") || STORES.iter().any(|end| host.ends_with(end));
        known.then(|| endpoint.replacen(&format!("//{bucket}."), "//", 1))
    };
    match copied() {
        Some(meant) => Err(format!("{name} begins with the bucket's name, which goes into the path: write {meant}")),
        None => Ok(()),
    }
}

/// Whether a variable says yes, as the library reads it.
pub(super) fn is_yes(value: &str) -> bool {
    ["1", "true", "on", "yes", "y"].contains(&value.to_ascii_lowercase().as_str())
}

/// Its host and port. Credentials in it are a secret.
pub(super) fn authority(endpoint: &str) -> Option<String> {
    let uri = endpoint.parse::<Uri>().ok()?;
    let authority = uri.authority()?.as_str();
    Some(authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_owned())
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
        assert_eq!(authority("http://u:p@h:9000/").unwrap(), "h:9000");
    }

    #[test]
    fn a_bucket_that_its_address_names_already_is_refused_with_the_address_that_is_meant() {
        for (endpoint, meant) in [
            ("https://b.s3.eu-central-1.amazonaws.com", "write https://s3.eu-central-1.amazonaws.com"),
            ("https://b.fra1.digitaloceanspaces.com", "write https://fra1.digitaloceanspaces.com"),
            ("http://b.s3.example.org:9000", "write http://s3.example.org:9000"),
        ] {
            let refused = check_bucket("E", endpoint, "b").unwrap_err();
            assert!(refused.starts_with("E begins with the bucket's name") && refused.ends_with(meant), "{refused}");
        }
        for (endpoint, bucket) in [
            ("http://minio.storage.svc:9000", "minio"),
            ("https://backup.example.org", "backup"),
            ("https://s3.eu-central-1.amazonaws.com", "b"),
            ("https://bb.s3.example.org", "b"),
        ] {
            assert_eq!(check_bucket("E", endpoint, bucket), Ok(()), "{endpoint}");
        }
    }

    #[test]
    fn a_variable_says_yes_as_the_library_reads_it() {
        assert!(["1", "true", "True", "yes", "on"].iter().all(|value| is_yes(value)));
        assert!(!["", "0", "false", "maybe"].iter().any(|value| is_yes(value)));
    }
}
