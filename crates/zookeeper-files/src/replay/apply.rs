//! Applies a transaction as a server does, with the special cases of fuzzy snapshots.

use crate::jute::Text;
use crate::log::{Acls, Create, Header, Lifetime, Paths, Txn};
use crate::path::{key, parent};
use crate::replay::tree::{Tree, Znode};
use crate::snapshot::{Owner, Stat};

/// Why a transaction, or a part of it, changed nothing. Servers ignore this: on a fuzzy snapshot it is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApplyError {
    /// The znode or its parent does not exist.
    NoNode,
    /// The znode already exists.
    NodeExists,
}

impl Tree {
    /// Applies a transaction. Servers also refuse what it refuses, with the same side effects.
    pub fn apply(&mut self, header: &Header, txn: &Txn<'_>) -> Result<(), ApplyError> {
        let result = self.one(header, txn);
        self.last = self.last.max(header.zxid);
        result
    }

    fn one(&mut self, header: &Header, txn: &Txn<'_>) -> Result<(), ApplyError> {
        match txn {
            Txn::CreateSession { timeout } => {
                self.sessions.insert(header.session, *timeout);
                Ok(())
            }
            Txn::CloseSession { paths } => {
                self.close(header, *paths);
                Ok(())
            }
            Txn::Create(create) => self.create(header, create),
            Txn::Delete { path, container: _ } => self.delete(header, *path),
            Txn::SetData { path, data, version, reconfig } => {
                // The first membership is never logged, and before 3.5 there was no znode for it.
                if *reconfig && !self.nodes.contains_key(path.0) {
                    let stat = Stat { aversion: -1, ..Stat::default() };
                    self.insert(path.0, Znode { data: None, acl: crate::snapshot::OPEN_ACL, stat, sum: 0 });
                }
                self.change(key(path.0), |node| {
                    node.data = data.map(Into::into);
                    (node.stat.mtime, node.stat.mzxid, node.stat.version) = (header.time, header.zxid, *version);
                })
                .map_or(Err(ApplyError::NoNode), |_| Ok(()))?;
                self.quotas.set(header.zxid, path.0, *data);
                Ok(())
            }
            Txn::SetAcl { path, acl, version } => self.set_acl(*path, *acl, *version),
            Txn::Multi(ops) if ops.failed() => Ok(()),
            // Servers continue after a failed part, and report the first failure.
            Txn::Multi(ops) => {
                let mut all = Ok(());
                for op in ops.iter() {
                    let one = self.one(header, &op);
                    all = all.and(one);
                }
                all
            }
            Txn::Check { .. } | Txn::Error { .. } => Ok(()),
        }
    }

    fn create(&mut self, header: &Header, create: &Create<'_>) -> Result<(), ApplyError> {
        let (path, zxid) = (create.path.0, header.zxid);
        let parent = parent(path).filter(|parent| self.nodes.contains_key(*parent)).ok_or(ApplyError::NoNode)?;
        let acl = self.acls.key(create.acl);
        let logged = create.parent_cversion.unwrap_or(-1);
        if self.change(key(path), |existing| existing.acl = acl).is_some() {
            // A znode of another session can stand here, created after its parent was written. Servers mend the parent
            // for create alone, and not for the other three.
            if create.txn_type() == crate::log::TxnType::Create {
                self.raise_cversion(parent, logged, zxid);
            }
            return Err(ApplyError::NodeExists);
        }
        self.raise_cversion(parent, logged, zxid);
        let ephemeral_owner = match create.lifetime {
            Lifetime::Persistent => Owner::Persistent,
            Lifetime::Ephemeral => Owner::Session(header.session),
            Lifetime::Container => Owner::Container,
            Lifetime::Ttl(milliseconds) => Owner::Ttl(milliseconds),
        };
        let stat = Stat {
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: header.time,
            mtime: header.time,
            ephemeral_owner: ephemeral_owner.encoded(),
            ..Stat::default()
        };
        self.insert(path, Znode { data: create.data.map(Into::into), acl, stat, sum: 0 });
        self.quotas.created(zxid, path);
        Ok(())
    }

    /// Never lowers it: a child that was created and deleted while the snapshot was written would reset the parent.
    fn raise_cversion(&mut self, parent: &[u8], logged: i32, zxid: crate::ids::Zxid) {
        let Some(stat) = self.nodes.get(parent).map(|node| node.stat) else { return };
        let cversion = if logged == -1 { stat.cversion.wrapping_add(1) } else { logged };
        if cversion > stat.cversion {
            self.change(parent, |node| (node.stat.cversion, node.stat.pzxid) = (cversion, zxid));
        }
    }

    /// Raises the parent's pzxid even if the znode is already gone.
    fn delete(&mut self, header: &Header, path: Text<'_>) -> Result<(), ApplyError> {
        let parent = parent(path.0).filter(|_| path.0 != b"/").ok_or(ApplyError::NoNode)?;
        let stat = self.nodes.get(parent).map(|node| node.stat).ok_or(ApplyError::NoNode)?;
        if header.zxid > stat.pzxid {
            self.change(parent, |node| node.stat.pzxid = header.zxid);
        }
        self.remove(path.0).ok_or(ApplyError::NoNode)?;
        self.quotas.deleted(header.zxid, path.0);
        Ok(())
    }

    fn set_acl(&mut self, path: Text<'_>, acl: Acls<'_>, version: i32) -> Result<(), ApplyError> {
        let path = key(path.0);
        if !self.nodes.contains_key(path) {
            return Err(ApplyError::NoNode);
        }
        let acl = self.acls.key(acl);
        self.change(path, |node| (node.stat.aversion, node.acl) = (version, acl));
        Ok(())
    }

    /// Deletes the paths in the transaction, and all others of the session: a fuzzy snapshot may have more.
    fn close(&mut self, header: &Header, named: Option<Paths<'_>>) {
        self.sessions.remove(&header.session);
        let owned = self.ephemerals.remove(&header.session).unwrap_or_default();
        for path in named.into_iter().flat_map(Paths::iter) {
            let _already_gone = self.delete(header, path);
        }
        for path in owned.iter().filter(|path| named.is_none_or(|named| named.iter().all(|other| other.0 != &***path)))
        {
            let _already_gone = self.delete(header, Text(path));
        }
    }
}
