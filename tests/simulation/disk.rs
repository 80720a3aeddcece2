//! A member's volume: the files that the agent and the server write, the log and the epochs.
//!
//! What stands on it before a start is decided by the agent's own `prepare`, unchanged.

use std::collections::BTreeMap;
use std::sync::Arc;

use menagerie::agent::prepare::{CONF, INITIALIZE, MARK, Preparation, VolumeChange, VolumeContents};
use menagerie::agent::record::{NEXT, Records, STEM};
use menagerie::model::truth;
use menagerie::model::{ConfigVersion, Membership};

use super::membership::Config;

/// One transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    pub zxid: u64,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// A client's write, by its number.
    Write(u32),
    /// A write that the operator commits before it reads.
    Fresh,
    Reconfig(Config),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Disk {
    pub files: Arc<BTreeMap<String, String>>,
    /// Whether there is a snapshot or a log.
    pub database: bool,
    pub accepted: u64,
    pub current: u64,
    pub log: Vec<Entry>,
    /// The server cannot read its files.
    pub rotten: bool,
}

impl Disk {
    pub fn contents(&self) -> VolumeContents {
        let dynamics = self.files.iter().filter_map(|(path, text)| {
            Some((path.strip_prefix(CONF)?.strip_prefix('/')?.strip_prefix(STEM)?.to_owned(), text.clone()))
        });
        VolumeContents {
            mark: self.files.get(MARK).cloned(),
            database: self.database,
            initialize: self.files.contains_key(INITIALIZE),
            promised: None,
            built: None,
            parent: None,
            untouched: false,
            dynamics: dynamics.collect(),
        }
    }

    /// Makes the first `count` changes of a plan: power may fail between any two.
    pub fn apply(&mut self, plan: &Preparation, count: usize) {
        for change in plan.changes.iter().take(count) {
            match change {
                VolumeChange::Write { path, text, .. } => {
                    Arc::make_mut(&mut self.files).insert(path.clone(), text.clone());
                }
                VolumeChange::Remove { path } => {
                    Arc::make_mut(&mut self.files).remove(path);
                }
                VolumeChange::SetAside => *self = Self { files: Arc::clone(&self.files), ..Self::default() },
                VolumeChange::Adopt => unreachable!("no ensemble in the model is made from an archive"),
            }
        }
    }

    pub fn zxid(&self) -> u64 {
        self.log.last().map_or(0, |entry| entry.zxid)
    }

    /// What the operator wants to know of it.
    pub fn truth(&self) -> truth::DiskState {
        let contents = self.contents();
        let mark = contents.mark.and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
        let newest = Records::read(&contents.dynamics).newest;
        truth::DiskState {
            identity: mark.and_then(|mark| Some(mark["identity"].as_str()?.to_owned())),
            database: self.database,
            record: newest.as_ref().map(|newest| newest.version),
            recorded: newest.map(|newest| newest.text()),
            parent: None,
            epoch: Some(self.current),
            outdated: None,
            leader_serves: None,
            free: None,
        }
    }

    /// What the server starts with, and rewrites at each change of the membership.
    pub fn zoo_cfg(&self) -> Option<&String> {
        self.files.get(&format!("{CONF}/zoo.cfg"))
    }

    /// The file that `zoo.cfg` points to, and the proposed one beside it.
    pub fn configs(&self) -> Option<(Config, Option<Config>)> {
        let zoo_cfg = self.zoo_cfg()?;
        let name = zoo_cfg.lines().find_map(|line| line.strip_prefix("dynamicConfigFile="))?.rsplit('/').next()?;
        let mut current = Membership::parse(self.files.get(&format!("{CONF}/{name}"))?).ok()?;
        current.version = name.strip_prefix(STEM)?.parse().ok()?;
        let next = self.files.get(&format!("{CONF}/{STEM}{NEXT}"));
        let next = next.and_then(|text| Membership::parse(text).ok()).map(|next| Config::of(&next));
        Some((Config::of(&current), next.filter(|next| next.version > current.version.0)))
    }

    /// As the server does when it takes over a membership: a new file, `zoo.cfg` points to it, `next` goes.
    pub fn activate(&mut self, config: Config) {
        let files = Arc::make_mut(&mut self.files);
        let name = format!("{CONF}/{STEM}{}", ConfigVersion(config.version));
        let zoo_cfg = files.entry(format!("{CONF}/zoo.cfg")).or_default();
        let kept: Vec<&str> = zoo_cfg.lines().filter(|line| !line.starts_with("dynamicConfigFile")).collect();
        *zoo_cfg = format!("{}\ndynamicConfigFile=/data/{name}\n", kept.join("\n"));
        files.insert(name, config.membership().text());
        files.remove(&format!("{CONF}/{STEM}{NEXT}"));
    }

    /// As the server does when it sees a membership proposed.
    pub fn propose(&mut self, config: Config) {
        let text = format!("{}version={}\n", config.membership().text(), ConfigVersion(config.version));
        Arc::make_mut(&mut self.files).insert(format!("{CONF}/{STEM}{NEXT}"), text);
    }

    /// Takes the marker of birth away, if it is there.
    pub fn take_initialize(&mut self) -> bool {
        self.files.contains_key(INITIALIZE) && Arc::make_mut(&mut self.files).remove(INITIALIZE).is_some()
    }
}
