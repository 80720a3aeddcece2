//! The life of one path: what happened, who did it, what it was before and after.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::ControlFlow::{Break, Continue};

use crate::ids::{Zxid, ZxidRange};
use crate::index::deed::Deed;
use crate::index::error::IndexError;
use crate::index::moment::{Data, Moment};
use crate::index::search::{Index, Query};
use crate::index::term::Term;
use crate::log::{Header, SessionId};

/// What a znode held before something happened to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// There was no such znode.
    Absent,
    /// This; `None` is null.
    Held(Option<Data>),
    /// The logs do not go back so far.
    Unknown,
}

/// One thing that happened to a path.
#[derive(Clone, Debug)]
pub struct Event {
    /// What.
    pub moment: Moment,
    /// What the znode held before.
    pub before: Before,
}

/// A session, as far as the logs know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// When it began, in milliseconds since 1970, and its timeout.
    pub opened: Option<(i64, i32)>,
    /// When it ended.
    pub closed: Option<i64>,
}

/// The life of one path.
#[derive(Clone, Debug)]
pub struct History {
    /// What happened to it, the oldest first.
    pub events: Vec<Event>,
    /// Whether more happened before.
    pub more: bool,
    /// Who did it.
    pub sessions: HashMap<SessionId, Session>,
}

impl Index {
    /// The last things that happened to a path, up to `limit`, narrowed by `query`'s times, zxids and deeds.
    ///
    /// ```no_run
    /// use zookeeper_files::index::{Index, Query};
    /// let index = Index::open("zookeeper.index".as_ref())?;
    /// for event in index.history("/app/config", &Query::default())?.events {
    ///     println!("{:#} {} {:?}", event.moment.header.zxid, event.moment.deed, event.before);
    /// }
    /// # Ok::<(), zookeeper_files::index::IndexError>(())
    /// ```
    pub fn history(&self, path: &str, query: &Query) -> Result<History, IndexError> {
        let mut asked = Query { path: Some(path.to_owned()), under: None, ..query.clone() };
        asked.limit = query.limit.saturating_add(1);
        let mut moments = self.search(&asked)?;
        let more = moments.len() > query.limit;
        moments.truncate(query.limit);
        if !query.oldest_first {
            moments.reverse();
        }
        let mut events: Vec<Event> = Vec::with_capacity(moments.len());
        // What came before is only the neighbour's if nothing between them was asked to be left out.
        let complete = query.deeds.is_empty() && query.session.is_none() && !query.multi;
        for moment in moments {
            let preceded = |event: &&Event| self.preceded(&event.moment, &moment);
            let before = match events.iter().rev().find(preceded) {
                Some(last) if complete => after(last),
                _ => self.before(path, &moment)?,
            };
            events.push(Event { moment, before });
        }
        let mut sessions = HashMap::new();
        for event in &events {
            if let Entry::Vacant(unknown) = sessions.entry(event.moment.header.session) {
                let session = self.session(*unknown.key())?;
                unknown.insert(session);
            }
        }
        Ok(History { events, more, sessions })
    }

    /// What a path held before something happened to it.
    fn before(&self, path: &str, moment: &Moment) -> Result<Before, IndexError> {
        if moment.deed == Deed::Created {
            return Ok(Before::Absent);
        }
        let deeds = vec![Deed::Created, Deed::Set, Deed::Reconfigured, Deed::Deleted, Deed::Expired, Deed::Ended];
        let query = Query { deeds, zxids: ZxidRange { first: Zxid(0), last: moment.header.zxid }, ..Query::path(path) };
        let mut before = Before::Unknown;
        self.search_each(&query, &mut |other| {
            if !self.preceded(&other, moment) {
                return Ok::<_, IndexError>(Continue(()));
            }
            before = held(&other);
            Ok(Break(()))
        })?;
        Ok(before)
    }

    /// Two operations of one multi can be about the same path.
    fn preceded(&self, earlier: &Moment, moment: &Moment) -> bool {
        let place = |moment: &Moment| (moment.header.zxid, moment.multi.map(|multi| multi.0));
        place(earlier) < place(moment) && self.verdicts.preceded(earlier.header.zxid, moment.header.zxid)
    }

    /// When a session began and ended.
    pub fn session(&self, session: SessionId) -> Result<Session, IndexError> {
        let deeds = vec![Deed::Opened, Deed::Closed];
        let query = Query { session: Some(session), deeds, ..Query::default() };
        let mut known = Session::default();
        self.led_by(&[vec![Term::life(session)]], &query, &mut |moment| {
            let Header { time, zxid, .. } = moment.header;
            match moment.deed {
                Deed::Opened => known.opened = Some((time, moment.number.unwrap_or_default())),
                // A leader that nobody follows any more ends the sessions that it does not hear of, and they live on.
                _ if self.verdicts.never(zxid) => {}
                _ => known.closed = known.closed.or(Some(time)),
            }
            Ok::<_, IndexError>(if known.opened.is_some() { Break(()) } else { Continue(()) })
        })?;
        Ok(known)
    }
}

fn after(event: &Event) -> Before {
    match event.moment.deed {
        Deed::AclSet | Deed::Checked => event.before.clone(),
        _ => held(&event.moment),
    }
}

fn held(moment: &Moment) -> Before {
    if moment.deed.removes() { Before::Absent } else { Before::Held(moment.data.clone()) }
}
