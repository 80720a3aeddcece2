//! `ZooKeeper`'s files where they lie: found, opened, verified, replayed. They are only ever read.
//!
//! A member's files are named by its data folder, `DATA`, or by `DATA,LOG` where its logs have a folder of their own; each
//! may be the folder `version-2` or the one above. A single log or snapshot can be named as well.
//!
//! ```no_run
//! use zookeeper_files::disk::{Member, Point, rebuild, verify};
//!
//! let member = Member::look("/var/lib/zookeeper")?;
//! for finding in verify(&member, &mut |_| ())?.findings {
//!     println!("{finding}");
//! }
//! let rebuilt = rebuild(&[member], Point::End, &mut |_| ())?;
//! println!("{} znodes at 0x{}", rebuilt.replay.tree().len(), rebuilt.replay.tree().last());
//! # Ok::<(), zookeeper_files::disk::CannotLook>(())
//! ```

mod chain;
mod cover;
mod epochs;
mod error;
mod follow;
mod home;
mod live;
mod member;
mod merge;
mod open;
mod proof;
mod rebuild;
mod start;
mod survey;
mod verify;
mod walk;

pub use chain::Chain;
pub use cover::{Cover, Covered};
pub use epochs::Epochs;
pub use error::CannotLook;
pub use follow::{Follow, Place};
pub use home::{is_at_home, log_or_snapshot};
pub(crate) use live::LiveLog;
pub use member::{File, Member, Stray};
pub use merge::{Merge, Surveyed, survey};
pub use open::{Progress, Source, Steady, open_snapshot};
pub use rebuild::{Point, Rebuilt, rebuild, rebuild_on, replay_all};
pub use verify::{Finding, Report, Severity, verify, verify_log, verify_snapshot, verify_snapshots};
pub use walk::{Met, Walk};
