//! The client of all stores: how long it waits, whom it trusts, and by which proxy it goes.

use std::time::Duration;

use object_store::{Certificate, ClientOptions, RetryConfig};

use super::ca::Ca;
use super::endpoint;
use crate::archive::store::PATIENCE;

/// The library neither signs a retry anew nor renews a token for it, so that its own retries end soon; ours go on.
const RETRIES: usize = 3;
const RETRY_FOR: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);
/// Where a machine tells what runs on it who that is. No proxy leads to the metadata of this machine.
const OF_THE_MACHINE: &str = "169.254.169.254,169.254.170.2,169.254.170.23,fd00:ec2::254,fd00:ec2::23,metadata.google.internal,localhost,127.0.0.0/8,::1";

/// How a store is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Certificates of CAs that are trusted beside the public ones.
    pub ca: Option<Ca>,
    /// The proxy: `http://HOST:PORT`. Without one, that of the environment.
    pub proxy: Option<String>,
}

impl Network {
    /// The client.
    pub(super) fn client(&self, allow_http: bool) -> object_store::Result<ClientOptions> {
        let mut client = trusting(ClientOptions::new().with_timeout(PATIENCE).with_connect_timeout(CONNECT))?;
        for certificate in self.ca.iter().flat_map(Ca::certificates) {
            client = client.with_root_certificate(certificate?);
        }
        if let Some(proxy) = &self.proxy {
            client = client.with_proxy_url(proxy).with_proxy_excludes(OF_THE_MACHINE);
        }
        Ok(client.with_allow_http(allow_http))
    }

    /// Checks the proxy's address.
    pub(super) fn check(&self) -> Result<(), String> {
        let Some(proxy) = &self.proxy else { return Ok(()) };
        let plain = endpoint::is_address(proxy) && proxy.starts_with("http://") && endpoint::has_no_path(proxy);
        plain
            .then_some(())
            .ok_or_else(|| "proxy must be http://HOST:PORT, without credentials, path or query".to_owned())
    }

    /// Where a store at this address is looked for.
    pub(super) fn looked(&self, endpoint: Option<&str>) -> Option<String> {
        let at = endpoint.and_then(endpoint::authority).map(|address| format!("at {address}"));
        let by = match &self.proxy {
            Some(proxy) => endpoint::authority(proxy).map(|proxy| format!("by the proxy {proxy}")),
            None => of_environment().map(|(name, proxy)| format!("({name} is {proxy})")),
        };
        let words: Vec<String> = at.into_iter().chain(by).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }
}

/// The proxy that the environment names, and the variable that does.
fn of_environment() -> Option<(&'static str, String)> {
    const NAMES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    NAMES.into_iter().find_map(|name| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
        // Without a scheme the client takes it for http.
        let address = if value.contains("://") { value } else { format!("http://{value}") };
        Some((name, endpoint::authority(&address)?))
    })
}

/// How often the library tries again.
pub(super) fn retry() -> RetryConfig {
    RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_FOR, ..RetryConfig::default() }
}

/// Trusts whom the system trusts. The operator's image has no system: there, whom Mozilla trusts.
fn trusting(client: ClientOptions) -> object_store::Result<ClientOptions> {
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
    let there =
        ["/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/pki"].iter().any(|path| std::path::Path::new(path).exists());
    if named || there {
        return Ok(client);
    }
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    roots
        .map(|root| Certificate::from_der(root))
        .try_fold(client.with_no_system_certificates(true), |client, root| Ok(client.with_root_certificate(root?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_host_and_a_port_and_nothing_that_is_secret() {
        let check = |proxy: &str| Network { ca: None, proxy: Some(proxy.to_owned()) }.check();
        for proxy in ["http://proxy", "http://proxy:3128", "http://[fd00::1]:3128/"] {
            assert_eq!(check(proxy), Ok(()), "{proxy}");
        }
        for proxy in [
            "",
            "proxy:3128",
            "https://proxy",
            "socks5://proxy",
            "http://u:hunter2@p:1",
            "http://p/x",
            "http://p?x",
            "http://p:0",
        ] {
            let refused = check(proxy).unwrap_err();
            assert!(refused.starts_with("proxy must be http://HOST:PORT") && !refused.contains("hunter2"), "{proxy}");
        }
    }

    #[test]
    fn a_store_is_looked_for_at_its_address_and_by_its_proxy() {
        let network = |proxy: Option<&str>| Network { ca: None, proxy: proxy.map(str::to_owned) };
        assert_eq!(network(None).looked(None), None);
        assert_eq!(network(None).looked(Some("https://s3:9000")).unwrap(), "at s3:9000");
        let by = network(Some("http://proxy:3128"));
        assert_eq!(by.looked(Some("https://s3")).unwrap(), "at s3 by the proxy proxy:3128");
        assert_eq!(by.looked(None).unwrap(), "by the proxy proxy:3128");
    }
}
