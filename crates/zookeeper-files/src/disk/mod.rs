//! `ZooKeeper`'s files where they lie: found, opened, verified, replayed. They are only ever read.
//!
//! A member's files are named by its data folder, `DATA`, or by `DATA,LOG` where its logs have a folder of their own; each
//! may be the folder `version-2` or the one above. A single log or snapshot can be named as well.
//!
//! ```
//! use zookeeper_files::disk::{Member, Point, rebuild, verify};
//! # use zookeeper_files::{ids::Zxid, jute::Text, log::{Header, LogWriter, SessionId, Txn}, replay::Tree};
//! # let place = tempfile::tempdir()?;
//! # let folder = place.path().join("member").to_str().unwrap().to_owned();
//! # let version = place.path().join("member/version-2");
//! # std::fs::create_dir_all(&version)?;
//! # std::fs::write(version.join("snapshot.0"), Tree::born().write(Vec::new())?)?;
//! # let mut log = LogWriter::new(Vec::new(), 0)?;
//! # let header = Header { session: SessionId(0x1001), cxid: 1, zxid: Zxid(0x1_0000_0001), time: 1_700_000_000_000 };
//! # log.append(header, &Txn::SetData { path: Text(b"/zookeeper"), data: Some(b"1"), version: 1, reconfig: false }, None)?;
//! # std::fs::write(version.join("log.100000001"), log.into_inner())?;
//!
//! let member = Member::look(&folder)?;
//! let report = verify(&member, &mut |_| ())?;
//! for finding in &report.findings {
//!     println!("{finding}");
//! }
//! assert!(report.is_sound() && report.records == 1);
//! let rebuilt = rebuild(&[member], Point::End, &mut |_| ())?;
//! let tree = rebuilt.replay.tree();
//! println!("{} znodes at {:#}", tree.len(), tree.last());
//! assert_eq!(tree.get(b"/zookeeper").unwrap().data(), Some(&b"1"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
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

pub use cover::{Cover, Covered};
pub use epochs::Epochs;
pub use error::CannotLook;
pub use follow::{Follow, Place};
pub use home::{is_at_home, log_or_snapshot};
pub(crate) use live::LiveLog;
pub use member::{File, Member, Stray};
pub use merge::{Merge, Surveyed, survey};
pub use open::{Progress, Source, open_snapshot};
pub use rebuild::{Point, Rebuilt, rebuild, rebuild_on, replay_all};
pub use verify::{Finding, Report, Severity, verify, verify_snapshots};
pub use walk::{Met, Walk};
