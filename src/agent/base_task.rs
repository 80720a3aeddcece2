//! The task that ships bases beside the segments.
//!
//! Invariants: nothing about a base holds up a segment, and trouble with segments loses nothing of a base: it rests meanwhile, asks the
//! store nothing, and goes on where it was. While it rests or pauses it keeps no file open that was purged.

use std::path::PathBuf;
use std::time::Duration;

use tokio::select;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use zookeeper_files::ids::Zxid;

use crate::archive::key::Chain;
use crate::archive::shipper::Shipper;
use crate::archive::store::Store;
use crate::model::truth::Point;

use super::bases::{Bases, Pace, stopped};

/// From one look at purged files to the next.
const REST: Duration = Duration::from_secs(15);

/// Whose bases are shipped, and where to. If that changes, another task begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The store.
    pub target: String,
    /// Its address, where it is not Amazon's.
    pub endpoint: Option<String>,
    /// The identity of the ensemble.
    pub identity: String,
    /// The disk.
    pub chain: Chain,
    /// Its data folder.
    pub data: PathBuf,
}

/// What the segments tell the bases.
#[derive(Clone)]
struct Given {
    store: Store,
    /// The last transaction that the archive has of this disk.
    shipped: Option<Zxid>,
    /// Where the run that ends there is known to begin.
    starts: Option<Zxid>,
}

/// What is said of the bases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// The newest one that this member knows of.
    pub newest: Option<Zxid>,
    /// The earliest point to which the archive leads.
    pub earliest: Option<Point>,
    /// Whether the archive was asked for both, and has answered.
    pub asked: bool,
    /// Where nothing but a base leads to in this member's chain, as far as that is known.
    pub starts: Option<Zxid>,
    /// Why none is shipped just now.
    pub trouble: Option<String>,
}

/// The task.
pub(super) struct BaseTask {
    place: Place,
    given: watch::Sender<Option<Given>>,
    said: watch::Receiver<Said>,
    task: JoinHandle<()>,
}

impl BaseTask {
    /// The task of this place: the one that is there, or a new one. It rests until it is told to go on.
    pub fn kept<'a>(
        kept: &'a mut Option<Self>,
        place: Place,
        store: &Store,
        every: Pace,
        stop: watch::Receiver<bool>,
    ) -> &'a Self {
        let there = kept.take().filter(|task| task.place == place && !task.task.is_finished());
        kept.insert(there.unwrap_or_else(|| {
            let bases = Bases::new(store.clone(), &place.identity, place.chain.clone(), &place.data, every);
            let (given, told) = watch::channel(None);
            let (tell, said) = watch::channel(Said::default());
            let life = live(bases.until(stop.clone()), told, tell);
            let task = tokio::spawn(async move {
                select! {
                    () = life => {}
                    () = stopped(stop) => {}
                }
            });
            Self { place, given, said, task }
        }))
    }

    /// The segments go out.
    pub fn go_on(&self, store: &Store, of: &Shipper) {
        let (shipped, starts) = (of.last(), of.starts());
        self.given.send_replace(Some(Given { store: store.clone(), shipped, starts }));
    }

    /// They do not.
    pub fn rest(&self) {
        self.given.send_replace(None);
    }

    /// What is said of the bases.
    pub fn said(&self) -> Said {
        self.said.borrow().clone()
    }
}

impl Drop for BaseTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn live(mut bases: Bases, mut told: watch::Receiver<Option<Given>>, tell: watch::Sender<Said>) {
    let mut let_go = Instant::now();
    loop {
        let given = told.borrow_and_update().clone();
        let rests = given.is_none();
        let more = match given {
            Some(Given { store, shipped, starts }) => {
                bases.ship_to(store);
                bases.starts_at(starts);
                bases.go_on(shipped).await
            }
            None => false,
        };
        // After an error it does nothing for up to an hour, which is a rest as well.
        if rests || let_go.elapsed() >= REST {
            bases.let_go().await;
            let_go = Instant::now();
        }
        let next = match more {
            true => Instant::now(),
            false if rests => let_go + REST,
            false => bases.next().min(let_go + REST),
        };
        tell.send_replace(Said {
            newest: bases.newest(),
            earliest: bases.earliest(),
            asked: bases.asked(),
            starts: bases.starts(),
            trouble: bases.trouble(),
        });
        select! {
            () = sleep_until(next) => {}
            changed = told.changed() => if changed.is_err() { return },
        }
    }
}
