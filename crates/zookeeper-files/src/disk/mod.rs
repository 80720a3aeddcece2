//! Finds, opens, verifies and replays ZooKeeper's files on disk. It only reads them.
//!
//! Name a member's files by its data folder, `DATA`, or by `DATA,LOG` if its logs have a folder of their own. Each can be the
//! folder `version-2` or the one above. You can also name a single log or snapshot.
//!
//! ```
//! use zookeeper_files::disk::{MemberFiles, Point, rebuild, verify};
//! # use zookeeper_files::{ids::Zxid, jute::Text, log::{Header, LogWriter, SessionId, Txn}, replay::Tree};
//! # let place = tempfile::tempdir()?;
//! # let folder = place.path().join("member").to_str().unwrap().to_owned();
//! # let version = place.path().join("member/version-2");
//! # std::fs::create_dir_all(&version)?;
//! # std::fs::write(version.join("snapshot.0"), Tree::initial().write(Vec::new())?)?;
//! # let mut log = LogWriter::new(Vec::new(), 0)?;
//! # let header = Header { session: SessionId(0x1001), cxid: 1, zxid: Zxid(0x1_0000_0001), time: 1_700_000_000_000 };
//! # log.append(header, &Txn::SetData { path: Text(b"/zookeeper"), data: Some(b"1"), version: 1, reconfig: false }, None)?;
//! # std::fs::write(version.join("log.100000001"), log.into_inner())?;
//!
//! let member = MemberFiles::find(&folder)?;
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

mod base;
mod cover;
mod cursor;
mod epoch_files;
mod error;
mod follow;
mod home;
mod live;
mod member_files;
mod merge;
mod newest_epoch;
mod open;
mod proof;
mod rebuild;
mod scan;
mod start;
mod survey;
mod verify;

pub use cover::{CoveredBy, SnapshotCover};
pub use epoch_files::EpochFiles;
pub use error::DiskError;
pub use follow::{LogFollower, LogPosition};
pub use home::{is_at_home, log_or_snapshot};
pub(crate) use live::LiveLog;
pub use member_files::{DataFile, MemberFiles, Stray};
pub use merge::{HistorySurvey, Merge, survey};
pub use newest_epoch::newest_epoch;
pub use open::{Progress, UnpackedFile, open_snapshot};
pub use rebuild::{Point, RebuiltTree, rebuild, rebuild_around, rebuild_on, replay_all, started};
pub use scan::{Scan, ScanItem};
pub use verify::{Finding, Report, Severity, dirty_snapshots, verify, verify_snapshots};
