//! The frame of a pass: an error stays inside it, and its result and duration are counted.

use std::any::Any;
use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures::FutureExt as _;
use tracing::{Instrument as _, Span};

use super::metrics::Metrics;
use super::timeout::ApiError;

/// Why a pass failed. `E`: why the kind's step was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum PassError<E: Error + 'static> {
    /// The API server did not do what was asked.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The step was not carried out.
    #[error(transparent)]
    Act(E),
    /// A bug of this operator.
    #[error("panicked: {0}")]
    Panic(String),
}

/// Runs a pass, and contains a panic in it: kube would raise it again in the controller's own task.
pub async fn framed<T, E: Error + 'static>(
    metrics: &Metrics,
    span: Span,
    pass: impl Future<Output = Result<T, PassError<E>>>,
) -> Result<T, PassError<E>> {
    let started = Instant::now();
    let result = contained(Box::pin(pass)).instrument(span).await;
    let outcome = match &result {
        Ok(_) => "ok",
        Err(PassError::Panic(_)) => "panic",
        Err(PassError::Api(_) | PassError::Act(_)) => "error",
    };
    metrics.pass(outcome, started.elapsed().as_secs_f64());
    result
}

async fn contained<T, E: Error + 'static>(
    pass: impl Future<Output = Result<T, PassError<E>>>,
) -> Result<T, PassError<E>> {
    AssertUnwindSafe(pass).catch_unwind().await.unwrap_or_else(|panic| Err(PassError::Panic(text_of(&*panic))))
}

/// An error with its cause, on one line. One cause is enough: kube's errors repeat theirs.
pub fn chain(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_one_pass_is_an_error_of_that_pass() {
        let panicked = contained::<(), ApiError>(async { panic!("a defect") }).await;
        assert!(matches!(panicked, Err(PassError::Panic(text)) if text == "a defect"));
        assert!(contained::<_, ApiError>(async { Ok(1) }).await.is_ok());
    }
}
