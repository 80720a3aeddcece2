//! One timeout for every call to the API server, and a bound on how many there are at once.

use std::time::Duration;

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
    /// What the API server said when it refused the content of a request: trying again cannot help.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Kube { source, .. } => match &**source {
                kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422) && !self.is_outdated() => {
                    Some(&status.message)
                }
                _ => None,
            },
            Self::Timeout { .. } => None,
        }
    }

    /// Whether the object is not there, or not the one that was seen any more. The next pass sees what is.
    pub fn is_outdated(&self) -> bool {
        let Self::Kube { source, .. } = self else { return false };
        let kube::Error::Api(status) = &**source else { return false };
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
