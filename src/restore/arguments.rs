//! What is asked of a restore on a command line, by people and by Jobs.

use clap::{Args, ValueEnum};
use zookeeper_files::disk::Point;
use zookeeper_files::ids::Zxid;

use super::options::{Access, Existing, Lineage, Options};
use super::scope::{Scope, ScopeError, Top};
use crate::cli::point::zxid;
use crate::cli::range;
use crate::model::address;
use crate::zk::ensemble::Password;

/// The password never stands in an argument: every user of the machine sees those.
pub(crate) const PASSWORD: &str = "MENAGERIE_SUPER_PASSWORD";

/// Whom to connect to.
#[derive(Args, Debug)]
pub(crate) struct ServerOptions {
    /// A server of the ensemble that is restored, with its client port, like zk-0.zk:2181, or 127.0.0.1:2181 where
    /// kubectl port-forward leads to it; several with commas, or one --server each
    #[arg(long, required = true, value_name = "HOST:PORT", value_delimiter = ',', value_parser = server)]
    pub(crate) server: Vec<String>,
}

pub(crate) fn server(text: &str) -> Result<String, String> {
    let known = address::split(text)
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
    known
        .then(|| text.to_owned())
        .ok_or_else(|| "a server is HOST:PORT, like zk-0.zk:2181 or [fd00::1]:2181".to_owned())
}

/// Which znodes.
#[derive(Args, Debug)]
pub(crate) struct ScopeOptions {
    /// Undo the transaction with this zxid, like 0x10000002a: what it changed becomes as it was before, where nobody has changed it
    /// since. menagerie log dump shows the zxid of each transaction, and index search finds one
    #[arg(long, value_name = "ZXID", value_parser = zxid, conflicts_with_all = ["at", "exclusive", "path", "znode", "to", "existing", "newer_than", "delete_extra", "quotas"])]
    pub(crate) undo: Option<Zxid>,
    /// A znode and all below it; / is everything; can be repeated
    #[arg(long, visible_alias = "subtree", value_name = "PATH", value_parser = range::path)]
    pub(crate) path: Vec<String>,
    /// A znode without those below it; can be repeated
    #[arg(long, value_name = "PATH", value_parser = range::path)]
    pub(crate) znode: Vec<String>,
    /// Restore to this path instead
    #[arg(long, value_name = "PATH", value_parser = range::path)]
    pub(crate) to: Option<String>,
}

/// What is wanted.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// Znodes as they were at a point.
    Point(Point, Scope),
    /// What a transaction changed, as it was before.
    Undo(Zxid),
}

impl Asked {
    /// The points between which the history is needed.
    pub(crate) fn points(&self) -> (Point, Point) {
        match *self {
            Self::Point(point, _) => (point, point),
            Self::Undo(zxid) => (Point::Zxid(Zxid(zxid.0.saturating_sub(1))), Point::Zxid(zxid)),
        }
    }
}

impl ScopeOptions {
    /// With the point, if it is one that is wanted.
    pub(crate) fn asked(&self, at: Option<Point>, exclusive: bool) -> Result<Asked, String> {
        match (self.undo, at) {
            (Some(zxid), _) => Ok(Asked::Undo(zxid)),
            (None, Some(at)) => {
                let scope = self.scope().map_err(|error| error.to_string())?;
                Ok(Asked::Point(point(at, exclusive)?, scope))
            }
            (None, None) => Err("neither a point (--at) nor a transaction (--undo) is named".to_owned()),
        }
    }

    pub(crate) fn scope(&self) -> Result<Scope, ScopeError> {
        let subtrees = self.path.iter().map(|path| Top { path: path.clone(), subtree: true });
        let alone = self.znode.iter().map(|path| Top { path: path.clone(), subtree: false });
        Scope::new(subtrees.chain(alone).collect(), self.to.clone())
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ExistingArg {
    /// They stay as they are
    Keep,
    /// They stay as they are if their data was set after --newer-than, else they become as they were
    KeepNewer,
    /// They become as they were
    Overwrite,
}

/// What comes back besides znodes.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct BesideOptions {
    /// Raise sequence counters that would be lower than they were, so that no sequential name comes twice
    #[arg(long)]
    pub(crate) raise_counters: bool,
    /// Bring back the limits of quotas as well, of the znodes that are restored: first those of which none becomes lower, so that what comes
    /// back has room, and the others last of all
    #[arg(long)]
    pub(crate) quotas: bool,
}

/// What is done about what is there.
#[derive(Args, Debug)]
pub(crate) struct WhatOptions {
    /// What happens to znodes that exist and differ
    #[arg(long, value_enum, default_value = "keep")]
    existing: ExistingArg,
    /// With keep-newer: up to the transaction with this zxid, like 0x10000002a, znodes are overwritten; without it, up to the point
    #[arg(long, value_name = "ZXID", value_parser = zxid)]
    newer_than: Option<Zxid>,
    /// The files are of the ensemble that is restored to, so that zxids can be compared
    #[arg(long)]
    same_ensemble: bool,
    /// Delete what was not there at the point; only with --existing overwrite
    #[arg(long)]
    delete_extra: bool,
    #[command(flatten)]
    beside: BesideOptions,
}

impl WhatOptions {
    /// Whether it is the ensemble's own history.
    pub(crate) fn same_ensemble(&self) -> bool {
        self.same_ensemble
    }

    /// With the point, and what holds of another ensemble's files or of files of which nobody has said whose they are.
    pub(crate) fn decided(
        &self,
        asked: &Asked,
        point: Zxid,
        otherwise: Lineage,
        access: Access,
    ) -> Result<Options, String> {
        let existing = match (asked, self.existing) {
            (Asked::Undo(of), _) => Existing::Undo { of: *of },
            (_, ExistingArg::KeepNewer) => Existing::KeepNewer { than: self.newer_than.unwrap_or(point) },
            _ if self.newer_than.is_some() => {
                return Err("--newer-than goes with --existing keep-newer".to_owned());
            }
            (_, ExistingArg::Keep) => Existing::Keep,
            (_, ExistingArg::Overwrite) => Existing::Overwrite,
        };
        let lineage = if self.same_ensemble { Lineage::Same } else { otherwise };
        let WhatOptions { delete_extra, beside: BesideOptions { raise_counters, quotas }, .. } = *self;
        let decided = Options { existing, delete_extra, lineage, access, raise_counters, quotas };
        decided.check().map_err(|error| error.to_string())?;
        Ok(decided)
    }
}

/// The super user's password, from the environment.
pub(crate) fn password() -> Option<Password> {
    Password::of(&std::env::var(PASSWORD).unwrap_or_default())
}

/// The point, or the one just before that transaction or time.
fn point(point: Point, exclusive: bool) -> Result<Point, String> {
    match point {
        point if !exclusive => Ok(point),
        Point::Time(time) => Ok(Point::Time(time.saturating_sub(1))),
        Point::Zxid(zxid) if zxid.counter() > 1 => Ok(Point::Zxid(Zxid(zxid.0 - 1))),
        Point::Zxid(zxid) => Err(format!(
            "{zxid:#} is the first transaction of its epoch: name the last one of the epoch before, and not exclusively (menagerie log dump shows it)"
        )),
        Point::End => Err("only a zxid or a time can be exclusive".to_owned()),
    }
}
