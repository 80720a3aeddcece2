//! The archive: every committed transaction of an ensemble, kept in an object store.
//!
//! `gate` decides what is committed, `base` which snapshots are kept and can be trusted, `retention` what goes, `purge` which files of a member go, `doubt` for which bases nothing does, `segment`, `manifest` and
//! `key` are what is stored and under which name, `target` where: all pure. `backlog` reads a member's log and `snapshots` its snapshots,
//! `store` talks to the object store (`access`: by which right, address, proxy and CA; `store_error`: what its errors mean, `refusal`: its codes), `probe` asks it first what it can, `shipper` ships segments and `upload` a base, `chains` and `bases`
//! read an archive back, `ahead` reads segments before they are needed, `history` makes one log of all chains (of those that are `live` at a time), `collect` brings what one point needs (`way`: whether it leads there, `lost`: what of it could not be read), `tree` builds the tree there (`tree_hash`: our own hash of it), `catalogue` lists it, `reach` follows its links, `pins` are points that stay, `about` whose history it is, `plans` those of restores, `prune` decides with what is stored and `pruner` deletes, `roll_up` is segments as one and `rolling` makes them, and `command` with `which` (ensemble is asked for), `base_command`, `fetch_command`, `chain_check`,
//! `retention_command` and `retention_view` is `menagerie archive`; `source` gives archives to the commands on files.

pub mod about;
pub mod access;
pub mod ahead;
pub mod backlog;
pub mod base;
mod base_command;
pub mod bases;
pub mod blocks;
pub mod catalogue;
mod chain_check;
pub mod chains;
pub mod collect;
pub mod command;
pub mod doubt;
mod fetch_command;
pub mod gate;
pub mod history;
pub mod key;
mod live;
pub mod lost;
pub mod manifest;
mod pin_command;
pub mod pins;
pub mod plans;
mod plans_command;
pub mod probe;
pub mod prune;
pub mod pruner;
pub mod purge;
pub mod reach;
mod refusal;
pub mod retention;
mod retention_command;
mod retention_view;
pub mod roll_up;
pub mod rolling;
pub mod seal;
pub mod segment;
pub mod shipper;
pub mod snapshots;
pub(crate) mod source;
pub mod store;
mod store_error;
pub mod target;
pub mod tree;
pub mod tree_hash;
pub mod turns;
pub mod upload;
mod way;
mod which;
