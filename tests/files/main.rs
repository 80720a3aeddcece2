//! The files of real servers: what is read of them is what ZooKeeper's own tools print and what a live client saw.
//!
//! `dev/files fixtures` made the files; `dev/test files` makes new ones of every release and names their folder in
//! `MENAGERIE_FILES`.

mod busy;
mod guard;
mod index;
mod live;
#[path = "../support/names.rs"]
mod names;
#[path = "../support/rendered.rs"]
mod rendered;
mod scenes;
mod seen;
mod settings;
mod toolkit;
mod verdicts;
