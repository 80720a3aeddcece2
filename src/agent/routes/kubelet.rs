//! What the kubelet asks: whether the agent lives, whether the server serves, and to hold up a leader that is to stop.
//!
//! The server has no liveness probe, and no startup probe. The kubelet kills a container for each answer that it does not
//! get, whoever owes it: an agent that crash-loops, or is out of memory, would cost its healthy server its life, and so a
//! clock would a large database its loading. What the kubelet could ask instead, all tried on 3.9.5: `ruok` needs a place among
//! the clients, and has no answer once `maxCnxns` is used up; a TCP connection to the client port is taken in by the kernel for
//! a process that is stopped as well (51 times, until the backlog is full); each one to the election port is a stack trace in
//! the server's log, and holds up its listener. `AdminServer` needs no place and is on loopback, where only this agent hears it.
//! So a server that does nothing any more is told by its agent, from several signs (`motion`), and it is the operator
//! that restarts it, which knows who else serves (`plan/replace.rs`). A process that ends is started anew by the kubelet.

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

/// That a server serves, the kubelet may hear a second late: it asks every second so that a member that has just joined is
/// ready at once, and a round of questions costs the server 5–8 ms.
const SETTLED: Duration = Duration::from_millis(1500);

/// How long a leader whose pod is being deleted is held up for another to lead: one round of the operator takes a second.
pub(super) const HAND_OVER: Duration = Duration::from_secs(5);
/// After that, for its successor to be established: an election takes a quarter of a second. When everybody is being deleted
/// there is none.
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

/// The kubelet asks this before it stops the server, and waits: not for a follower, and not for a leader whom nobody follows.
/// One that led waits until it follows: its successor has taken over what it decided last. All who ask meanwhile wait for the
/// same: any pod may ask, and none takes the kubelet's place.
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

/// A leader that could not be asked how many follow it may well have all of them.
pub(super) fn leads_others(server: &ServerState) -> bool {
    let ServerState::Serving(serving) = server else { return false };
    let may_have = || Membership::parse(&serving.membership).is_ok_and(|membership| membership.voters().count() > 1);
    serving.mode == Mode::Leader && serving.synced_voters.map_or_else(may_have, |others| others > 0)
}

fn follows(server: &ServerState) -> bool {
    matches!(server, ServerState::Serving(serving) if serving.mode != Mode::Leader)
}
