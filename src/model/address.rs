//! `host:port`, as URLs and ZooKeeper write it: an IPv6 address has brackets, because of its own colons.

/// The port at that host. An IPv6 address gets its brackets if it has none.
pub fn with_port(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The host with its brackets, and what follows the colon; `None` if no colon follows the host.
pub fn split(text: &str) -> Option<(&str, &str)> {
    let bracketed = if text.starts_with('[') { text.find(']').map_or(0, |end| end + 1) } else { 0 };
    let colon = bracketed + text.get(bracketed..)?.find(':')?;
    Some((text.get(..colon)?, text.get(colon + 1..)?))
}

/// The host without brackets, as it is looked up and parsed.
pub fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn an_ipv6_address_stands_in_brackets_before_its_port_and_nothing_else_does() {
        for (host, both) in [
            ("10.0.0.1", "10.0.0.1:2181"),
            ("a-0.ns.svc", "a-0.ns.svc:2181"),
            ("fd00::1", "[fd00::1]:2181"),
            ("[fd00::1]", "[fd00::1]:2181"),
        ] {
            assert_eq!(with_port(host, 2181), both);
        }
    }

    #[test]
    fn a_text_ends_its_host_at_the_first_colon_that_is_in_no_brackets() {
        for (text, both) in [
            ("a-0.ns.svc:2888:3888", Some(("a-0.ns.svc", "2888:3888"))),
            ("[fd00::1]:2888:3888", Some(("[fd00::1]", "2888:3888"))),
            ("[fd00::1]x:1", Some(("[fd00::1]x", "1"))),
            ("a:", Some(("a", ""))),
            (":1", Some(("", "1"))),
            ("[a:1", Some(("[a", "1"))),
            ("[fd00::1]", None),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(split(text), both, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_put_together_comes_apart_again(
            host in "[a-z0-9.-]{1,20}|[0-9a-f]{0,4}(:[0-9a-f]{0,4}){2,7}",
            port in any::<u16>(),
        ) {
            let both = with_port(&host, port);
            let (split, behind) = split(&both).unwrap();
            prop_assert_eq!((bare(split), behind.parse()), (host.as_str(), Ok(port)));
        }

        #[test]
        fn no_text_is_too_odd_to_be_split(text in any::<String>()) {
            if let Some((host, behind)) = split(&text) {
                prop_assert_eq!(format!("{host}:{behind}"), text);
            }
        }
    }
}
