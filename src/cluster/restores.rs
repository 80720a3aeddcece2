//! `ZooKeeperRestore`s in a list.

use std::io;

use kube::core::DynamicObject;
use serde::Serialize;

use super::followed::Followed as _;
use super::listed::{Listed, created};
use super::objects::name_of;
use super::restore::{hash, text};
use super::shown::Stored;
use super::teller::Now;
use crate::api::ZooKeeperRestore;
use crate::cli::Printer;

/// What is known of one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RestoreLine<'a> {
    name: &'a str,
    ensemble: &'a str,
    /// The point, as its spec names it: one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undo: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<&'a str>,
    phase: String,
    reason: String,
    /// What its plan would create, set and delete.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<&'a str>,
    created: String,
    message: String,
}

impl<'a> RestoreLine<'a> {
    pub(super) fn of(object: &'a DynamicObject) -> Self {
        let Now { phase, reason, message, stands: _ } = ZooKeeperRestore::now(object);
        let (spec, plan) = (&object.data["spec"], &object.data["status"]["plan"]);
        Self {
            name: name_of(object),
            ensemble: text(spec, "ensemble"),
            at: spec["at"].as_str(),
            undo: spec["undo"].as_str(),
            backup: spec["backup"].as_str(),
            phase,
            reason,
            changes: plan["changes"].as_i64(),
            hash: hash(object),
            created: created(object),
            message,
        }
    }

    fn point(&self) -> String {
        match (self.at, self.undo, self.backup) {
            (Some(at), ..) => at.to_owned(),
            (None, Some(zxid), _) => format!("undo {zxid}"),
            (None, None, Some(backup)) => format!("backup {backup}"),
            (None, None, None) => String::new(),
        }
    }
}

impl Listed<7> for ZooKeeperRestore {
    const HEADS: [&'static str; 7] = ["NAME", "ENSEMBLE", "POINT", "PHASE", "REASON", "CHANGES", "CREATED"];

    fn row(object: &DynamicObject) -> [String; 7] {
        let line = RestoreLine::of(object);
        let point = line.point();
        let changes = line.changes.map(|changes| changes.to_string()).unwrap_or_default();
        [line.name.to_owned(), line.ensemble.to_owned(), point, line.phase, line.reason, changes, line.created]
    }

    fn json(object: &DynamicObject, to: &mut Printer) -> io::Result<()> {
        to.json(&RestoreLine::of(object))
    }

    fn what_stays(object: &DynamicObject) -> String {
        let begun = object.data["status"]["phase"] == "Applying";
        let begun = if begun {
            "; it was being carried out: what it has changed stays changed, and the rest is not done"
        } else {
            ""
        };
        // A plan is stored before its hash is in the status.
        let plan = hash(object).and_then(|_| Stored::of(object).deletion());
        let plan = plan.map(|command| format!("; the archive keeps its plan until {command}")).unwrap_or_default();
        format!("{begun}{plan}")
    }
}
