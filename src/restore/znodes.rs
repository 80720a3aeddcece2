//! What a restore needs of an ensemble.

use std::time::Duration;

use crate::restore::live::LiveZnode;
use crate::restore::operation::Operation;

/// Why a request was not carried out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Failure {
    /// Nobody knows whether it was: the connection or the answer was lost. Only a read shows it.
    Unknown(String),
    /// It was not: the znode, its parent or its children are not as they were read. A new plan takes that into account.
    Changed(String),
    /// It was not, and will not be: the cause, and the cure.
    Refused(String),
}

/// Znodes that are read and changed, in an ensemble or in a test.
pub trait Znodes {
    /// Makes sure that there is a session, and that reads show everything that was committed before.
    fn refresh(&self) -> impl Future<Output = Result<(), Failure>>;

    /// Data, ACL and stat; `None` if there is no such znode.
    fn get(&self, path: &str) -> impl Future<Output = Result<Option<LiveZnode>, Failure>>;

    /// Whether it exists, and whether it belongs to a session. This needs no rights.
    fn is_ephemeral(&self, path: &str) -> impl Future<Output = Result<Option<bool>, Failure>>;

    /// Data alone, whole; `None` if there is no such znode.
    fn data(&self, path: &str) -> impl Future<Output = Result<Option<Vec<u8>>, Failure>>;

    /// The names of the children; `None` if there is no such znode.
    fn children(&self, path: &str) -> impl Future<Output = Result<Option<Vec<String>>, Failure>>;

    /// Lets time pass before the next try.
    fn pause(&self, time: Duration) -> impl Future<Output = ()>;

    /// Carries out one operation, with that data if it needs one.
    fn perform(&self, operation: &Operation, data: &[u8]) -> impl Future<Output = Result<(), Failure>>;
}
