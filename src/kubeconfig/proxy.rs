//! By which proxy the API server is asked, as `kubectl` decides it: pure.
//!
//! kube compares `NO_PROXY` with the proxy's own address, and refuses to go on if it has an empty entry. So both are decided here.

use std::net::IpAddr;

use hyper::Uri;
use hyper::http::uri::{Authority, Scheme};

/// What the environment says of proxies.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    /// For addresses that begin with https.
    pub(super) https: String,
    /// For those that begin with http.
    pub(super) http: String,
    /// For whom none counts.
    pub(super) no: String,
}

/// The proxy for a server. One that the kubeconfig names counts whatever the environment says.
pub(super) fn proxy(named: Option<&str>, server: &Uri, environment: &Environment) -> Result<Option<Uri>, String> {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        return checked(named, "proxy-url of the kubeconfig").map(Some);
    }
    let plain = server.scheme() == Some(&Scheme::HTTP);
    let (value, whence) = if plain { (&environment.http, "HTTP_PROXY") } else { (&environment.https, "HTTPS_PROXY") };
    let host = server.host().unwrap_or_default();
    let port = server.port_u16().unwrap_or(if plain { 80 } else { 443 });
    if value.is_empty() || is_exempt(&environment.no, host, port) {
        return Ok(None);
    }
    checked(value, whence).map(Some)
}

/// A proxy's address as it may be shown: without the password that may be in it.
pub(crate) fn described(proxy: &Uri) -> String {
    let host = proxy.host().unwrap_or_default();
    let port = proxy.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}", proxy.scheme_str().unwrap_or("http"))
}

/// Parses a proxy's address. What is wrong is said without it: it may have a password.
fn checked(text: &str, whence: &str) -> Result<Uri, String> {
    // As for kubectl, one without a scheme is a proxy for HTTP.
    let whole = if text.contains("://") { text.trim().to_owned() } else { format!("http://{}", text.trim()) };
    let wrong = || format!("{whence} is no address of a proxy: http://, https:// or socks5:// and HOST:PORT");
    let mut parts = whole.parse::<Uri>().map_err(|_| wrong())?.into_parts();
    let authority = parts.authority.clone().filter(|authority| !authority.host().is_empty()).ok_or_else(wrong)?;
    let place = authority.as_str().rsplit('@').next().unwrap_or_default();
    if place.len() > authority.host().len() && authority.port_u16().is_none() {
        return Err(wrong());
    }
    match parts.scheme.as_ref().map(Scheme::as_str) {
        Some("http" | "https") => {}
        // The proxy looks the name up, which is what the h stands for.
        Some("socks5" | "socks5h") => {
            if authority.as_str().contains('@') {
                return Err(format!("{whence}: a proxy for SOCKS is asked without a name and a password here"));
            }
            parts.scheme = Scheme::try_from("socks5").ok();
            if authority.port().is_none() {
                parts.authority = Some(format!("{authority}:1080").parse::<Authority>().map_err(|_| wrong())?);
            }
        }
        _ => return Err(wrong()),
    }
    Uri::from_parts(parts).map_err(|_| wrong())
}

/// Whether `NO_PROXY` names a host, by the rules of Go, which are kubectl's. This machine itself is asked by no proxy.
fn is_exempt(no: &str, host: &str, port: u16) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    let mut entries = no.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
    entries.any(|entry| {
        let entry = entry.to_ascii_lowercase();
        if entry == "*" {
            return true;
        }
        if let (Some((net, bits)), Some(address)) = (entry.split_once('/'), address) {
            return is_within(net, bits, address);
        }
        let (name, only) = with_port(&entry);
        if only.is_some_and(|only| only != port) {
            return false;
        }
        match address {
            Some(address) => name.parse() == Ok(address),
            None => covers(name, &host),
        }
    })
}

/// An entry without its port, and that.
fn with_port(entry: &str) -> (&str, Option<u16>) {
    if let Some((address, rest)) = entry.strip_prefix('[').and_then(|entry| entry.split_once(']')) {
        return (address, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    // An address of IPv6 has many colons.
    match entry.split_once(':') {
        Some((name, port)) if !port.contains(':') => port.parse().map_or((entry, None), |port| (name, Some(port))),
        _ => (entry, None),
    }
}

/// `example.org` is that host and all below it; with a dot before it, only those below it.
fn covers(name: &str, host: &str) -> bool {
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name).trim_end_matches('.');
    match host.strip_suffix(name) {
        _ if name.is_empty() => false,
        Some("") => !name.starts_with('.'),
        Some(above) => name.starts_with('.') || above.ends_with('.'),
        None => false,
    }
}

fn is_within(net: &str, bits: &str, address: IpAddr) -> bool {
    let Ok(bits) = bits.parse::<u32>() else { return false };
    // Of so many bits the first ones are the same.
    let same = |differ: u128, all: u32| {
        all.checked_sub(bits).is_some_and(|rest| differ.checked_shr(rest).unwrap_or_default() == 0)
    };
    match (net.parse(), address) {
        (Ok(IpAddr::V4(net)), IpAddr::V4(address)) => same((u32::from(net) ^ u32::from(address)).into(), 32),
        (Ok(IpAddr::V6(net)), IpAddr::V6(address)) => same(u128::from(net) ^ u128::from(address), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(server: &str, named: Option<&str>, [https, http, no]: [&str; 3]) -> Result<Option<String>, String> {
        let [https, http, no] = [https, http, no].map(str::to_owned);
        let found = proxy(named, &server.parse().unwrap(), &Environment { https, http, no })?;
        Ok(found.map(|proxy| described(&proxy)))
    }

    #[test]
    fn the_kubeconfigs_proxy_counts_always_and_the_environments_by_the_scheme() {
        let all = ["http://s:1", "http://p:2", "*"];
        assert_eq!(by("https://api", Some("http://k:3"), all), Ok(Some("http://k:3".to_owned())));
        assert_eq!(by("https://api", Some(""), all), Ok(None));
        assert_eq!(by("https://api", None, ["http://s:1", "http://p:2", ""]), Ok(Some("http://s:1".to_owned())));
        assert_eq!(by("http://api", None, ["http://s:1", "http://p:2", ""]), Ok(Some("http://p:2".to_owned())));
        // kubectl proxy, kind, minikube.
        for here in ["https://127.0.0.1:6443", "https://localhost:6443", "https://[::1]:6443", "http://127.0.0.1:8001"]
        {
            assert_eq!(by(here, None, ["http://s:1", "http://p:2", ""]), Ok(None), "{here}");
        }
    }

    #[test]
    fn no_proxy_names_hosts_domains_addresses_and_ports() {
        let exempt = |server: &str, no: &str| by(server, None, ["http://s:1", "", no]) == Ok(None);
        for (server, no) in [
            ("https://api.example.org", "*"),
            ("https://api.example.org", "example.org"),
            ("https://API.example.org", "Api.Example.org"),
            ("https://api.example.org", ".example.org"),
            ("https://api.example.org", "*.example.org"),
            ("https://api.example.org", "a,, example.org ,"),
            ("https://api.example.org", "a b example.org"),
            ("https://api.example.org", "example.org:443"),
            ("https://api.example.org:6443", "api.example.org:6443"),
            ("https://10.96.0.1", "10.96.0.1"),
            ("https://10.96.0.1", "10.96.0.0/12"),
            ("https://10.96.0.1", "0.0.0.0/0"),
            ("https://10.96.0.1:6443", "10.96.0.1:6443"),
            ("https://[fd00::1]", "fd00::1"),
            ("https://[fd00::1]:6443", "fd00::/8"),
            ("https://[fd00::1]:6443", "[fd00::1]:6443"),
        ] {
            assert!(exempt(server, no), "{server} by {no}");
        }
        for (server, no) in [
            ("https://api.example.org", ""),
            ("https://notexample.org", "example.org"),
            ("https://example.org", ".example.org"),
            ("https://example.org", "api.example.org"),
            ("https://api.example.org", "."),
            ("https://api.example.org:6443", "api.example.org:443"),
            ("https://10.112.0.1", "10.96.0.0/12"),
            ("https://10.96.0.1", "10.96.0.0/33"),
            ("https://10.96.0.1", "10.96.0.0/x"),
            ("https://10.96.0.1", "fd00::/8"),
            ("https://[fe00::1]", "fd00::/8"),
            ("https://110.96.0.1", "10.96.0.1"),
        ] {
            assert!(!exempt(server, no), "{server} by {no}");
        }
    }

    #[test]
    fn a_proxys_password_is_never_said_and_what_is_none_is_an_error() {
        let of = |value: &str| by("https://api", None, [value, "", ""]);
        assert_eq!(of("http://me:hunter2@p:3128"), Ok(Some("http://p:3128".to_owned())));
        assert_eq!(of("p.example.org:3128"), Ok(Some("http://p.example.org:3128".to_owned())));
        assert_eq!(of("socks5h://p"), Ok(Some("socks5://p:1080".to_owned())));
        assert_eq!(of("https://p"), Ok(Some("https://p".to_owned())));
        for wrong in ["ftp://me:hunter2@p", "http://", "http://me:hunter2@p:port", "socks5://me:hunter2@p"] {
            let told = of(wrong).unwrap_err();
            assert!(told.starts_with("HTTPS_PROXY") && !told.contains("hunter2"), "{told}");
        }
    }
}
