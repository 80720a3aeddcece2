//! Asks an agent: the operator does, and founders each other at a birth.

use std::time::Duration;

use crate::http::{self, HttpError};
use crate::model::layout::{AGENT_PORT, MEMBER_PATH};
use crate::model::{MemberTruth, address};

/// An agent answers in milliseconds; a node that was cut off never does.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// Nobody listens at a birth, and is refused at once; only a lost packet takes this long.
pub const PATIENCE_AT_BIRTH: Duration = Duration::from_secs(1);

/// What the member on that host says of itself, within that time and [`http::LIMIT`].
pub async fn member(host: &str, patience: Duration) -> Result<MemberTruth, HttpError> {
    http::get_json(&format!("http://{}{MEMBER_PATH}", address::with_port(host, AGENT_PORT)), patience).await
}
