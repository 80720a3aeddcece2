//! What the kubelet asks: whether the agent lives, whether the server serves, and to hold up a leader that is to stop.
//!
//! The server has no liveness probe and no startup probe. The kubelet kills a container for each answer that it does
//! not get, whoever is to blame: an agent that crashes or runs out of memory would cost a healthy server its life, and
//! a time limit would stop a large database from loading. What the kubelet could ask instead, all tried on 3.9.5:
//! `ruok` needs a client connection, and gets no answer once `maxCnxns` is used up. The kernel accepts a TCP connection
//! to the client port even for a stopped process (51 times, until the backlog is full). Each connection to the election
//! port is a stack trace in the server's log, and delays its listener. `AdminServer` needs no client connection and is
//! on loopback, where only this agent hears it. So the agent recognises a server that does nothing any more, from
//! several signs (`motion`), and the operator restarts it, because it knows who else serves (`plan/replace.rs`). The
//! kubelet restarts a process that ends.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::time::{sleep, timeout};

use crate::agent::member::{MOMENT, Member};
use crate::agent::truth;
use crate::model::Membership;
use crate::model::layout::{HAND_OVER_PATH, HEALTH_PATH, READY_PATH};
use crate::model::truth::{Mode, ServerState};

/// The kubelet may learn a second late that a server serves: it asks every second, so that a new member is ready at
/// once, and a round of questions costs the server 5–8 ms.
const SETTLED: Duration = Duration::from_millis(1500);

/// How long a leader whose pod is being deleted waits for another to lead: one round of the operator takes a second.
pub(super) const HAND_OVER: Duration = Duration::from_secs(5);
/// After that, how long it waits for its successor to be established: an election takes a quarter of a second. If all
/// pods are being deleted there is no successor.
const SUCCESSION: Duration = Duration::from_millis(1500);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Its routes.
pub fn routes() -> Router<Arc<Member>> {
    Router::new()
        .route(HEALTH_PATH, get(async || "ok\n"))
        .route(READY_PATH, get(ready))
        .route(HAND_OVER_PATH, get(hand_over))
}

async fn ready(State(member): State<Arc<Member>>) -> (StatusCode, String) {
    let moment = |server: &ServerState| if matches!(server, ServerState::Serving(_)) { SETTLED } else { MOMENT };
    let server = member.server_if(|server, age| age <= moment(server)).await;
    let status = match server {
        ServerState::Serving(_) => StatusCode::OK,
        ServerState::Waiting { .. } | ServerState::Silent { .. } | ServerState::Unknown => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    (status, format!("{}\n", truth::line(&server)))
}

/// The kubelet calls this before it stops the server, and waits: not for a follower, and not for a leader that nobody
/// follows. A leader waits until it follows: then its successor has its last decisions. All callers wait for the same
/// result: any pod may call this, and none uses up the kubelet's turn.
async fn hand_over(State(member): State<Arc<Member>>) -> (StatusCode, &'static str) {
    let asked = Arc::clone(&member);
    match member.held_up.join(|_, _| false, || async move { relieve(&asked).await }).await {
        Some(outcome) => (StatusCode::OK, outcome),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the asking broke off\n"),
    }
}

async fn relieve(member: &Arc<Member>) -> &'static str {
    let mut led = false;
    let relieved = async {
        while leads_others(&member.server(LOOK_AGAIN).await) {
            led = true;
            sleep(LOOK_AGAIN).await;
        }
    };
    if timeout(HAND_OVER, relieved).await.is_err() {
        return "nobody took over\n";
    }
    let succeeded = async {
        while led && !follows(&member.server(LOOK_AGAIN).await) {
            sleep(LOOK_AGAIN).await;
        }
    };
    match timeout(SUCCESSION, succeeded).await {
        Ok(()) => "it does not lead\n",
        Err(_) => "it does not lead any more, and follows nobody\n",
    }
}

/// If a leader cannot say how many follow it, it may have all of them, and so it may if its membership cannot be read here.
pub(super) fn leads_others(server: &ServerState) -> bool {
    let ServerState::Serving(serving) = server else { return false };
    let alone = |membership: Membership| membership.voters().count() <= 1;
    let may_have = || !Membership::parse(&serving.membership).is_ok_and(alone);
    serving.mode == Mode::Leader && serving.synced_voters.map_or_else(may_have, |others| others > 0)
}

fn follows(server: &ServerState) -> bool {
    matches!(server, ServerState::Serving(serving) if serving.mode != Mode::Leader)
}
