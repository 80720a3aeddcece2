//! What operators ask, of this version and of others; and founders at a birth, before they let an empty disk vote
//! (`birth`).

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};

use crate::agent::member::Member;
use crate::model::layout::MEMBER_PATH;

/// Their routes.
pub fn routes() -> Router<Arc<Member>> {
    Router::new().route(MEMBER_PATH, get(member))
}

/// A partial answer is not given: whether there is a database has no third value, so it would be taken for a whole one.
async fn member(State(member): State<Arc<Member>>) -> Response {
    match member.truth().await {
        Ok(truth) => Json(truth).into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}
