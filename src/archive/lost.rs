//! What of an archive could not be read while a point was looked for. It is no error while others have the same; if they do not, it is
//! why the point is missing.

use std::fmt;

use super::bases::BaseError;
use super::shipper::ShipError;
use super::store::{StoreError, StoreErrorKind};

/// So many are named.
const NAMED: usize = 3;

/// Objects that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// The first of them, with what is wrong with each.
    named: Vec<String>,
    more: usize,
    /// Whether one of them may be read later.
    may_pass: bool,
}

impl Lost {
    /// Adds one of which this is known.
    pub(super) fn add(&mut self, what: String, may_pass: bool) {
        self.may_pass |= may_pass;
        if self.named.len() < NAMED { self.named.push(what) } else { self.more += 1 }
    }

    /// Adds a segment that could not be read, if it is that one alone. What is wrong with the whole store is an error.
    pub(super) fn segment(&mut self, error: ShipError) -> Result<(), ShipError> {
        match error {
            ShipError::Damaged { .. } => self.add(error.to_string(), false),
            ShipError::Store(store) if store.is_of_one_object() => self.add(store.to_string(), may_pass(&store)),
            other => return Err(other),
        }
        Ok(())
    }

    /// The same for a base.
    pub(super) fn base(&mut self, error: BaseError) -> Result<(), BaseError> {
        match error {
            BaseError::Damaged { .. } => self.add(error.to_string(), false),
            BaseError::Store(store) if store.is_of_one_object() => self.add(store.to_string(), may_pass(&store)),
            other => return Err(other),
        }
        Ok(())
    }

    /// Whether all could be read.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// Whether one of them may be read later.
    pub fn may_pass(&self) -> bool {
        self.may_pass
    }
}

/// A right or a key can be given, and a frozen object thawed.
fn may_pass(error: &StoreError) -> bool {
    matches!(error.kind, StoreErrorKind::Denied | StoreErrorKind::NoKey)
}

impl fmt::Display for Lost {
    /// Goes on after another message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for what in &self.named {
            write!(f, "; {what}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "; and {more} more could not be read: menagerie archive verify names them"),
        }
    }
}
