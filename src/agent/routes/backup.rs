//! What the Job of a backup asks that is made from a member's files. Who asks shows that it knows the super user's password ([`Files`]).
//!
//! [`Files`]: crate::agent::files::Files

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;

use crate::agent::files::Refused;
use crate::agent::member::Member;
use crate::http::BEARER;
use crate::model::layout::FILES_PATH;

/// Its routes.
pub fn routes() -> Router<Arc<Member>> {
    Router::new().route(FILES_PATH, get(list)).route(&format!("{FILES_PATH}/{{name}}/{{from}}"), get(chunk))
}

async fn list(State(member): State<Arc<Member>>, headers: HeaderMap) -> Response {
    answered(member.files.list(token(&headers)).await)
}

/// From a byte of a file on.
async fn chunk(
    State(member): State<Arc<Member>>,
    Path((name, from)): Path<(String, u64)>,
    headers: HeaderMap,
) -> Response {
    answered(member.files.chunk(token(&headers), name, from).await)
}

fn token(headers: &HeaderMap) -> &str {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.strip_prefix(BEARER)).unwrap_or_default()
}

fn answered(answer: Result<Bytes, Refused>) -> Response {
    match answer {
        Ok(sealed) => sealed.into_response(),
        Err(Refused::Stranger) => {
            let text = "only who knows the super user's password reads a member's files\n";
            (StatusCode::UNAUTHORIZED, text).into_response()
        }
        Err(Refused::Gone) => (StatusCode::NOT_FOUND, "the member has no such file\n").into_response(),
        Err(Refused::Failed(why)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}
