//! The client of an agent: for the operator, and for founders that ask each other at a birth.

use std::time::Duration;

use crate::http::{self, HttpError};
use crate::model::layout::{AGENT_PORT, MEMBER_PATH};
use crate::model::{MemberTruth, address};

/// An agent answers in milliseconds; a node that was cut off never answers.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// If nobody listens at a birth, the connection is refused at once; only a lost packet takes this long.
pub const PATIENCE_AT_BIRTH: Duration = Duration::from_secs(1);

/// What the member on that host says about itself, within that time and [`http::LIMIT`].
pub async fn member(host: &str, patience: Duration) -> Result<MemberTruth, HttpError> {
    http::get_json(&format!("http://{}{MEMBER_PATH}", address::with_port(host, AGENT_PORT)), patience).await
}
