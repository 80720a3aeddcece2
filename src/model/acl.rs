//! Who may do what with a znode, as `ZooKeeper` counts it.

use std::fmt;

use crate::api::AclEntry;

/// The rights, in the order in which `ZooKeeper`'s own shell prints them.
const LETTERS: [char; 5] = ['c', 'd', 'r', 'w', 'a'];
/// The ACL of `/` in a new ensemble: everybody may do everything, even keep everybody else out.
pub const OPEN: &str = "world:anyone:cdrwa";
/// The ACL that `/` gets if the spec says nothing. Clients create their top-level znodes there (`c`), look for them and
/// watch for others' (`r`), and delete what they created, a chroot or a lock (`d`). Nobody needs its data (`w`), and
/// whoever may set its ACL (`a`) can shut everybody out.
pub const NARROW: &str = "world:anyone:cdr";
/// The ACL of `/zookeeper` and everything below it. Super needs no entry.
pub const READ_ONLY: &str = "world:anyone:r";

/// One entry of an access control list. Two that say the same are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    /// `world`, `digest`, `ip`, `sasl`, `x509`, or that of a provider of somebody's own.
    pub scheme: String,
    /// Whom, in the scheme's own form.
    pub id: String,
    /// Rights among `cdrwa`, each once and in that order.
    pub perms: String,
}

/// What becomes of the ACL of `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootAcl {
    /// The spec says what it is.
    Set(Vec<Acl>),
    /// The spec says nothing: an open ACL, or one that this operator set, becomes [`NARROW`]. Any other was somebody's
    /// decision and stays, whether wider or narrower.
    Narrow {
        /// What this operator set before, while the spec said so.
        ours: Vec<String>,
    },
}

impl Acl {
    /// Reads an entry of a spec, or says what is wrong with it.
    pub fn of(entry: &AclEntry) -> Result<Self, String> {
        let AclEntry { scheme, id, perms } = entry;
        let plain = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        if scheme == "digest" {
            digest(id)?;
        }
        if !plain(scheme) || !plain(id) || scheme.contains(':') {
            return Err(format!("{scheme:?} with {id:?} names nobody"));
        }
        if scheme == "auth" {
            return Err(
                "the scheme auth stands for whoever asks, which here is the operator: name a digest, sasl or x509 id"
                    .to_owned(),
            );
        }
        if scheme == "world" && id != "anyone" {
            return Err(format!("the only id of the scheme world is anyone, not {id:?}"));
        }
        if perms.is_empty() || !perms.chars().all(|letter| LETTERS.contains(&letter)) {
            return Err(format!("{perms:?} must consist of the rights c, d, r, w and a"));
        }
        let perms = LETTERS.iter().filter(|letter| perms.contains(**letter)).collect();
        Ok(Self { scheme: scheme.clone(), id: id.clone(), perms })
    }
}

/// Checks that it is a user and the SHA-1 of `USER:PASSWORD` in base64: 20 bytes, so 27 letters and one `=`. No other
/// algorithm can be set (`settings`). `ZooKeeper` silently accepts a password in its place, and then lets nobody in.
/// The text is never shown: it may be a password.
fn digest(id: &str) -> Result<(), String> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let hashed = |hash: &str| hash.len() == 28 && hash.strip_suffix('=').is_some_and(|hash| hash.bytes().all(letter));
    let user = id.split_once(':').filter(|(user, hash)| !user.is_empty() && hashed(hash)).map(|(user, _)| user);
    if user.is_some_and(|user| !user.chars().any(char::is_control)) {
        return Ok(());
    }
    Err("an id of the scheme digest is USER:HASH, with the SHA-1 of USER:PASSWORD in base64 (28 characters) and never the password itself: printf '%s' 'USER:PASSWORD' | openssl dgst -sha1 -binary | base64"
        .to_owned())
}

/// Schemes that every server has a provider of.
const BUILT_IN: [&str; 3] = ["world", "digest", "ip"];

/// Why servers may refuse a list of entries that [`Acl::of`] accepted. They do not say why. Of the schemes that all
/// servers have, only `ip` has a form that is not checked here; for other schemes they may have no provider.
pub fn doubts(acl: &[Acl]) -> String {
    let of = |wanted: &dyn Fn(&str) -> bool| -> Vec<String> {
        let entries = acl.iter().filter(|entry| wanted(&entry.scheme));
        entries.map(|entry| format!("{}:{}", entry.scheme, entry.id)).collect()
    };
    let (foreign, addresses) = (of(&|scheme| !BUILT_IN.contains(&scheme)), of(&|scheme| scheme == "ip"));
    let mut told = Vec::new();
    if !foreign.is_empty() {
        told.push(format!(
            "they have no provider for {} (authProvider in spec.config adds one), or it does not accept the id",
            foreign.join(", ")
        ));
    }
    if !addresses.is_empty() {
        told.push(format!(
            "{} is neither an address nor an address with its bits, such as 10.0.0.0/8",
            addresses.join(", ")
        ));
    }
    if told.is_empty() { "they do not say which entry".to_owned() } else { told.join("; or ") }
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.scheme, self.id, self.perms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(scheme: &str, id: &str, perms: &str) -> Result<String, String> {
        let entry = AclEntry { scheme: scheme.into(), id: id.into(), perms: perms.into() };
        Acl::of(&entry).map(|acl| acl.to_string())
    }

    #[test]
    fn rights_in_any_order_are_the_same_entry() {
        assert_eq!(read("world", "anyone", "rdcr").as_deref(), Ok(NARROW));
        assert_eq!(
            read("digest", "bob:fyVmFCwVbTJYrznoSu1koqYEYF0=", "acdrw").as_deref(),
            Ok("digest:bob:fyVmFCwVbTJYrznoSu1koqYEYF0=:cdrwa")
        );
    }

    #[test]
    fn servers_that_refuse_a_list_are_asked_for_what_they_can_refuse() {
        let acl = |scheme: &str, id: &str| Acl { scheme: scheme.into(), id: id.into(), perms: "r".into() };
        let digest = acl("digest", "bob:fyVmFCwVbTJYrznoSu1koqYEYF0=");
        let sasl = doubts(&[digest.clone(), acl("sasl", "bob")]);
        assert!(sasl.contains("they have no provider for sasl:bob") && !sasl.contains("address"), "{sasl}");
        let ip = doubts(&[digest.clone(), acl("ip", "10.0.0")]);
        assert!(ip.starts_with("ip:10.0.0 is neither an address"), "{ip}");
        assert!(!format!("{sasl}{ip}{}", doubts(&[digest])).contains("fyVm"));
    }

    #[test]
    fn an_entry_that_names_nobody_or_gives_nothing_is_refused() {
        for (scheme, id, perms) in [
            ("auth", "x", "r"),
            ("world", "everyone", "r"),
            ("", "anyone", "r"),
            ("ip", "", "r"),
            ("ip", "10.0.0.1\n", "r"),
            ("world", "anyone", ""),
            ("world", "anyone", "rx"),
        ] {
            assert!(read(scheme, id, perms).is_err(), "{scheme}:{id}:{perms}");
        }
    }
}
