//! Formats what is in ZooKeeper's files: as columns for people, as JSON for programs. It only turns values into text;
//! its callers (so far the commands on files) decide what is shown, and where.

pub(crate) mod entry;
pub(crate) mod escape;
pub(crate) mod time;
pub(crate) mod txn;
pub(crate) mod znode;
