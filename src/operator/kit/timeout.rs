//! One timeout for every call to the API server, and a limit on how many there are at once.

use std::time::Duration;

use kube::core::Status;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::model::words::{QUOTE, cut};

/// Longer than any healthy answer, and shorter than a user's patience with a step.
const API: Duration = Duration::from_secs(15);

/// One look at an ensemble is about twenty requests. If a thousand are looked at, at the start or after an outage, the
/// API server's other users must not wait behind all of them.
static TURNS: Semaphore = Semaphore::const_new(64);

/// A call to the API server that failed.
#[derive(Debug, Error)]
pub enum ApiError {
    /// The server refused, with its own message: kube's text has all fields of the answer, as Rust prints them.
    #[error("failed to {what}: the API server says: {}", words(.status))]
    Refused {
        /// What was tried.
        what: String,
        /// Its answer.
        status: Box<Status>,
    },
    /// The server could not be reached, or its answer could not be read.
    #[error("failed to {what}")]
    Kube {
        /// What was tried.
        what: String,
        /// How it ended.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer. The write may have happened; the next pass reads again.
    #[error("failed to {what}: no answer from the API server within {} s", API.as_secs())]
    Timeout {
        /// What was tried.
        what: String,
    },
}

/// The message of an answer, or its code if it has none.
fn words(status: &Status) -> String {
    match (status.message.as_str(), status.reason.as_str()) {
        ("", "") => format!("{}", status.code),
        ("", reason) => format!("{reason} ({})", status.code),
        (message, _) => cut(message, QUOTE),
    }
}

impl ApiError {
    /// What became of a call.
    pub fn of(what: impl Into<String>, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused { what: what.into(), status },
            source => Self::Kube { what: what.into(), source: Box::new(source) },
        }
    }

    /// What was tried.
    pub fn what(&self) -> &str {
        match self {
            Self::Refused { what, .. } | Self::Kube { what, .. } | Self::Timeout { what } => what,
        }
    }

    /// The error and its cause, in one line.
    pub fn with_cause(&self) -> String {
        match self {
            Self::Kube { source, .. } => format!("{self}: {source}"),
            Self::Refused { .. } | Self::Timeout { .. } => self.to_string(),
        }
    }

    /// Whether the API server answered. If not, it is unlikely to answer anything else now.
    pub fn is_answer(&self) -> bool {
        self.status().is_some()
    }

    fn status(&self) -> Option<&Status> {
        match self {
            Self::Refused { status, .. } => Some(status),
            Self::Kube { .. } | Self::Timeout { .. } => None,
        }
    }

    /// What the API server said when it refused the content of a request: retrying at once cannot help. A webhook that
    /// could not be reached is a server error by its code, but for the object it is the same.
    pub fn refusal(&self) -> Option<&str> {
        let status = self.status()?;
        let webhook = status.code == 500 && status.message.contains("webhook");
        let refused = matches!(status.code, 400 | 403 | 405 | 413 | 422) || webhook;
        (refused && !self.is_outdated()).then_some(status.message.as_str())
    }

    /// What the API server said about an internal error. The next try may work. Or the content is the cause: the server
    /// also reports content that it cannot decode in this way.
    pub fn failure(&self) -> Option<&str> {
        let status = self.status()?;
        (status.code == 500 && !status.message.is_empty() && self.refusal().is_none())
            .then_some(status.message.as_str())
    }

    /// Whether the object does not exist, or is not the one that was seen. The next pass sees what is there.
    pub fn is_outdated(&self) -> bool {
        let Some(status) = self.status() else { return false };
        let namespace_goes = status.code == 403 && status.message.contains("is being terminated");
        status.code == 404 || status.code == 409 || namespace_goes
    }
}

/// Waits for an answer of the API server, for as long as is reasonable.
pub async fn within<T>(what: impl Into<String>, call: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    // An error would mean that the semaphore is closed, and nobody closes it.
    let _turn = TURNS.acquire().await;
    match tokio::time::timeout(API, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(ApiError::of(what, error)),
        Err(_) => Err(ApiError::Timeout { what: what.into() }),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    const MALFORMED: &str = "failed to create typed patch object: quantities must match the regular expression";

    fn answered(code: u16, message: &str) -> ApiError {
        let status = Status { code, message: message.into(), reason: "InternalError".into(), ..Status::default() };
        ApiError::of("apply StatefulSet zk", kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn what_the_api_server_says_is_said_in_its_words_and_never_as_rust_writes_them() {
        let error = answered(500, MALFORMED);
        assert_eq!(error.with_cause(), format!("failed to apply StatefulSet zk: the API server says: {MALFORMED}"));
        assert!(error.source().is_none(), "its cause would be said a second time");
        let silent = answered(500, "");
        assert_eq!(silent.with_cause(), "failed to apply StatefulSet zk: the API server says: InternalError (500)");
        for error in [error, silent, answered(403, &"no ".repeat(10_000))] {
            assert!(
                !error.with_cause().contains("Status") && error.with_cause().len() < 2 * QUOTE,
                "{}",
                error.with_cause()
            );
        }
    }

    #[test]
    fn an_error_of_the_servers_own_is_no_refusal_and_is_told_apart_from_having_no_answer() {
        let words = |error: &ApiError| error.failure().map(str::to_owned);
        assert_eq!(
            (answered(500, MALFORMED).refusal(), words(&answered(500, MALFORMED))),
            (None, Some(MALFORMED.into()))
        );
        let webhook = answered(500, "failed calling webhook");
        assert!(webhook.refusal().is_some() && webhook.failure().is_none());
        for other in [answered(503, "busy"), answered(409, "conflict"), ApiError::Timeout { what: "read".into() }] {
            assert_eq!(words(&other), None, "{other}");
        }
    }
}
