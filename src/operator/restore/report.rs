//! Reports to people: the status when it changes, and an Event for each phase.

use kube::Resource as _;
use tracing::info;

use super::Context;
use super::plan::Decision;
use crate::api::{RestorePhase, RestoreStatus, ZooKeeperRestore};
use crate::operator::kit::status;
use crate::operator::kit::timeout::ApiError;
use crate::plan::UntimedCondition;

/// Writes the status if it has changed.
pub async fn record(context: &Context, restore: &ZooKeeperRestore, decision: &Decision) -> Result<(), ApiError> {
    let before = restore.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let conditions = match &decision.conditions {
        Some(untimed) => status::conditions(before, untimed, restore.metadata.generation),
        None => before.to_vec(),
    };
    let status = RestoreStatus { conditions, ..decision.status.clone() };
    if restore.status.as_ref() == Some(&status) {
        return Ok(());
    }
    status::write::<ZooKeeperRestore>(&context.kit.client, &restore.metadata, &status).await
}

/// An Event and a log line when a condition has another reason. A lost Event is no reason to stop.
pub async fn announce(context: &Context, restore: &ZooKeeperRestore, decision: &Decision) {
    let before = restore.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let Some([planned, completed, _]) = &decision.conditions else { return };
    let failed = decision.status.phase == Some(RestorePhase::Failed);
    let said = |condition: &UntimedCondition| status::said_before(before, condition, failed);
    // While nothing is planned, both say the same.
    let news = if planned.reason != completed.reason && !said(planned) { Some(planned) } else { None };
    let news = news.into_iter().chain((!said(completed)).then_some(completed));
    for condition in news {
        info!(reason = condition.reason, note = condition.message, "restore");
        context.kit.events.tell(condition, failed, "Restore", &restore.object_ref(&())).await;
    }
}
