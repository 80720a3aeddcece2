//! Formats znodes, one per line.

use std::borrow::Cow;

use serde::Serialize;

use crate::view::escape::{push_data, push_escaped};
use crate::view::time::iso_text;
use crate::view::txn::{DataFields, acl_texts, push_acls};
use zookeeper_files::jute::Text;
use zookeeper_files::log::Acls;
use zookeeper_files::path;
use zookeeper_files::snapshot::{OPEN_ACL, Owner, Stat};

/// A znode to format. `acls` is `None` for the open ACL, and for an ACL that a fuzzy snapshot names but does not
/// contain.
pub(crate) struct ZnodeView<'a> {
    pub(crate) path: &'a [u8],
    pub(crate) data: Option<&'a [u8]>,
    pub(crate) acl: i64,
    pub(crate) acls: Option<Acls<'a>>,
    pub(crate) stat: &'a Stat,
    /// The number of children, if known: the cversion that clients see depends on it.
    pub(crate) children: Option<usize>,
}

/// A znode for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ZnodeLine<'a> {
    path: Cow<'a, str>,
    #[serde(flatten)]
    data: DataFields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acl: Option<Vec<String>>,
    acl_key: i64,
    czxid: String,
    mzxid: String,
    pzxid: String,
    ctime: String,
    mtime: String,
    version: i32,
    cversion: i32,
    aversion: i32,
    lifetime: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    children: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    served_cversion: Option<i32>,
}

impl<'a> ZnodeView<'a> {
    pub(crate) fn line(&self) -> ZnodeLine<'a> {
        let stat = self.stat;
        let (lifetime, session, ttl) = match stat.owner() {
            Owner::Persistent => ("persistent", None, None),
            Owner::Session(session) => ("ephemeral", Some(session.to_string()), None),
            Owner::Container => ("container", None, None),
            Owner::Ttl(millis) => ("ttl", None, Some(millis)),
        };
        let open = (self.acl == OPEN_ACL).then(|| vec!["world:anyone:cdrwa".to_owned()]);
        ZnodeLine {
            path: Text(path::shown(self.path)).decode(),
            data: DataFields::of(self.data),
            acl: self.acls.map(acl_texts).or(open),
            acl_key: self.acl,
            czxid: format!("{:#}", stat.czxid),
            mzxid: format!("{:#}", stat.mzxid),
            pzxid: format!("{:#}", stat.pzxid),
            ctime: iso_text(stat.ctime),
            mtime: iso_text(stat.mtime),
            version: stat.version,
            cversion: stat.cversion,
            aversion: stat.aversion,
            lifetime,
            session,
            ttl,
            children: self.children,
            served_cversion: self.children.map(|children| stat.served_cversion(children)),
        }
    }

    /// Appends path, version, last change, lifetime, ACL and data.
    pub(crate) fn push_columns(&self, data: usize, to: &mut Vec<u8>) {
        let stat = self.stat;
        push_escaped(path::shown(self.path), to);
        let lifetime = match stat.owner() {
            Owner::Persistent => String::new(),
            Owner::Session(session) => format!("  ephemeral of {session}"),
            Owner::Container => "  container".to_owned(),
            Owner::Ttl(millis) => format!("  ttl {millis}"),
        };
        let text = format!("  v{}  {:#}  {}{lifetime}  ", stat.version, stat.mzxid, iso_text(stat.mtime));
        to.extend_from_slice(text.as_bytes());
        match self.acls {
            Some(acls) => push_acls(acls, to),
            None if self.acl == OPEN_ACL => to.extend_from_slice(b"world:anyone:cdrwa"),
            None => to.extend_from_slice(format!("acl {} (not in the snapshot's table)", self.acl).as_bytes()),
        }
        to.extend_from_slice(b"  ");
        push_data(self.data, data, to);
        to.push(b'\n');
    }
}
