//! How what is in ZooKeeper's files looks: columns for people, JSON for programs. Values in, text out; whoever shows them
//! (the commands on files are the first) decides on what goes where.

pub(crate) mod entry;
pub(crate) mod escape;
pub(crate) mod time;
pub(crate) mod txn;
pub(crate) mod znode;
