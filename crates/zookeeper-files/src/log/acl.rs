//! Access control lists, in records and in a snapshot's table.

use std::fmt;

use crate::jute::{Decoder, Encode, Malformed, Text};

/// Who may do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Acl<'a> {
    /// The permissions, a sum of READ 1, WRITE 2, CREATE 4, DELETE 8, ADMIN 16.
    pub perms: i32,
    /// `world`, `auth`, `digest`, `ip`, `x509`, `sasl`, …
    pub scheme: Text<'a>,
    /// The id, in the form of the scheme.
    pub id: Text<'a>,
}

impl<'a> Acl<'a> {
    /// An entry of a list.
    pub fn new(perms: i32, scheme: &'a str, id: &'a str) -> Self {
        Self { perms, scheme: Text(scheme.as_bytes()), id: Text(id.as_bytes()) }
    }

    fn decode(from: &mut Decoder<'a>) -> Result<Self, Malformed> {
        Ok(Self { perms: from.i32()?, scheme: from.text()?, id: from.text()? })
    }
}

impl fmt::Display for Acl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |bit: i32, letter: &'static str| if self.perms & bit == 0 { "" } else { letter };
        let (create, delete, read) = (letter(4, "c"), letter(8, "d"), letter(1, "r"));
        let (write, admin) = (letter(2, "w"), letter(16, "a"));
        write!(f, "{}:{}:{create}{delete}{read}{write}{admin}", self.scheme, self.id)
    }
}

/// A list of [`Acl`]s: checked when it is read, decoded when it is iterated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Acls<'a> {
    /// The vector as it is on disk, its count included.
    encoded: &'a [u8],
}

impl<'a> Acls<'a> {
    /// Checks and takes a list.
    pub fn decode(from: &mut Decoder<'a>) -> Result<Self, Malformed> {
        let start = from.position();
        for _ in 0..from.count(12)?.unwrap_or(0) {
            Acl::decode(from)?;
        }
        Ok(Self { encoded: from.since(start) })
    }

    /// The list as it is on disk.
    pub fn encoded(self) -> &'a [u8] {
        self.encoded
    }

    /// Whether the list is null, which means open to everybody.
    pub fn is_null(self) -> bool {
        self.encoded == (-1_i32).to_be_bytes()
    }

    /// The entries.
    pub fn iter(self) -> impl Iterator<Item = Acl<'a>> {
        let mut decoder = Decoder::new(self.encoded);
        let count = decoder.count(12).ok().flatten().unwrap_or(0);
        (0..count).map_while(move |_| Acl::decode(&mut decoder).ok())
    }
}

/// Writes a list as it is on disk.
///
/// ```
/// use zookeeper_files::jute::Decoder;
/// use zookeeper_files::log::{encode_acls, Acl, Acls};
/// let bytes = encode_acls(&[Acl::new(31, "world", "anyone")]);
/// let acls = Acls::decode(&mut Decoder::new(&bytes))?;
/// assert_eq!(acls.iter().next().unwrap().to_string(), "world:anyone:cdrwa");
/// # Ok::<(), zookeeper_files::jute::Malformed>(())
/// ```
pub fn encode_acls(acls: &[Acl<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_count(acls.len());
    for acl in acls {
        bytes.put_i32(acl.perms);
        bytes.put_buffer(Some(acl.scheme.0));
        bytes.put_buffer(Some(acl.id.0));
    }
    bytes
}
