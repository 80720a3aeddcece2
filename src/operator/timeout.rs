//! One timeout for every call to the API server, and a bound on how many there are at once.

use std::time::Duration;

use kube::core::Status;
use thiserror::Error;
use tokio::sync::Semaphore;

/// Longer than any healthy answer, shorter than the patience of somebody who waits for a step.
const API: Duration = Duration::from_secs(15);

/// A look at an ensemble is some twenty requests. When a thousand are looked at, at the start or after an outage, the API
/// server's other users must not wait behind all of them.
static TURNS: Semaphore = Semaphore::const_new(64);

/// A call to the API server that failed.
#[derive(Debug, Error)]
pub enum ApiError {
    /// The server said no, or could not be reached.
    #[error("failed to {what}")]
    Kube {
        /// What was tried.
        what: String,
        /// How it ended.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer. Writes may have happened; the next pass reads afresh.
    #[error("failed to {what}: no answer from the API server within {} s", API.as_secs())]
    Timeout {
        /// What was tried.
        what: String,
    },
}

impl ApiError {
    /// What was tried.
    pub fn what(&self) -> &str {
        match self {
            Self::Kube { what, .. } | Self::Timeout { what } => what,
        }
    }

    /// With its cause.
    pub fn told(&self) -> String {
        match self {
            Self::Kube { source, .. } => format!("{self}: {source}"),
            Self::Timeout { .. } => self.to_string(),
        }
    }

    /// Whether the API server answered. Otherwise nothing else that it is asked now is likely to be.
    pub fn is_answer(&self) -> bool {
        self.status().is_some()
    }

    fn status(&self) -> Option<&Status> {
        match self {
            Self::Kube { source, .. } => match &**source {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::Timeout { .. } => None,
        }
    }

    /// What the API server said when it refused the content of a request: trying again at once cannot help. That a webhook
    /// could not be asked is an error of the server by its code, and for the object the same.
    pub fn refusal(&self) -> Option<&str> {
        let status = self.status()?;
        let webhook = status.code == 500 && status.message.contains("webhook");
        let refused = matches!(status.code, 400 | 403 | 405 | 413 | 422) || webhook;
        (refused && !self.is_outdated()).then_some(status.message.as_str())
    }

    /// Whether the object is not there, or not the one that was seen any more. The next pass sees what is.
    pub fn is_outdated(&self) -> bool {
        let Some(status) = self.status() else { return false };
        let namespace_goes = status.code == 403 && status.message.contains("is being terminated");
        status.code == 404 || status.code == 409 || namespace_goes
    }
}

/// Awaits an answer of the API server, for as long as is reasonable.
pub async fn within<T>(what: impl Into<String>, call: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    // An error would mean that somebody had closed it, and nobody does.
    let _turn = TURNS.acquire().await;
    match tokio::time::timeout(API, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(ApiError::Kube { what: what.into(), source: Box::new(source) }),
        Err(_) => Err(ApiError::Timeout { what: what.into() }),
    }
}
