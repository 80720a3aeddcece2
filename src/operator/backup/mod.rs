//! One pass over one backup.

pub mod ended;
mod facts;
mod observe;
mod plan;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};
use tracing::{Span, debug, info, info_span};

use super::kit::Kit;
use super::kit::managed::{self, Managed};
use super::kit::memory::{Memories, Memory};
use super::kit::pace::{Pace, spread};
use super::kit::pass::PassError;
use super::kit::status;
use super::kit::step::{Step, carry_out};
use super::kit::timeout::ApiError;
use crate::api::{BackupPhase, BackupStatus, ZooKeeperBackup};
use crate::model::backup_end::BackupEnd;
use crate::model::names::BACKUP_LABEL;
use crate::model::observed::{Kind, OperatorFacts};
use crate::plan::{ConditionStatus, UntimedCondition};
use ended::Ended;
use observe::observe;
use plan::{Decision, plan};

/// What every pass over a backup shares.
pub struct Context {
    /// What it shares with other kinds.
    pub kit: Arc<Kit>,
    /// What the operator knows about itself and its cluster.
    pub operator: OperatorFacts,
    /// The cluster's DNS domain.
    pub cluster_domain: String,
    /// What is remembered of each.
    pub memories: Memories<Memory>,
    /// Which have ended, for their ensembles.
    pub ended: Arc<Ended>,
}

/// One that is over is looked at so rarely, and when it expires: there may be thousands.
const OVER: Duration = Duration::from_hours(1);

/// Manages the backups of a namespace, or of all, until the operator is stopped.
pub async fn look_after(namespace: Option<&String>, selector: &str, context: Arc<Context>) {
    managed::look_after(namespace, selector, (&Kind::OF_BACKUP, BACKUP_LABEL), context).await;
}

impl Managed for Context {
    type Object = ZooKeeperBackup;
    type Error = ApiError;
    const WORD: &'static str = "backup";
    const OF_UNDECODABLE: &'static [(&'static str, ConditionStatus)] = &[("Completed", ConditionStatus::False)];

    fn kit(&self) -> &Kit {
        &self.kit
    }

    fn span(namespace: &str, name: &str, generation: Option<i64>) -> Span {
        info_span!("pass", %namespace, backup = name, generation)
    }

    fn pace(&self, namespace: &str, name: &str, look: impl FnOnce(&mut Pace) -> Duration) -> Duration {
        self.memories.with(namespace, name, |memory| look(&mut memory.pace))
    }

    async fn pass(&self, backup: &ZooKeeperBackup) -> Result<Action, PassError<ApiError>> {
        pass(self, backup).await
    }

    fn is_outdated(error: &ApiError) -> bool {
        error.is_outdated()
    }

    fn forget(&self, namespace: &str, name: &str) {
        self.memories.forget(namespace, name);
        self.ended.forget(namespace, name);
    }
}

/// One pass: observe, plan, act, report.
async fn pass(context: &Context, backup: &ZooKeeperBackup) -> Result<Action, PassError<ApiError>> {
    let (namespace, name) = (&backup.namespace().unwrap_or_default(), &backup.name_any());
    // What stands in its status: one that expires in this pass has ended as well.
    let own = backup.spec.to.is_some();
    if let Some(end) = backup.status.as_ref().and_then(|status| BackupEnd::of(name, own, status)) {
        context.ended.note(namespace, &backup.spec.ensemble, end);
    }
    let seen = observe(context, backup).await?;
    let plan = plan(&seen);
    debug!(step = plan.step.word(), "decided");
    // What was not done is not said either.
    carry_out(&context.kit, &context.memories, (namespace, name), &plan.step).await.map_err(PassError::Act)?;
    report(context, backup, &plan).await?;
    Ok(Action::requeue(spread(pause(context, namespace, name, &plan))))
}

/// How soon to look again.
fn pause(context: &Context, namespace: &str, name: &str, plan: &Decision) -> Duration {
    if plan.step == Step::Rest && plan.status.phase.is_some_and(BackupPhase::is_over) {
        let left = plan.status.expires.as_ref().map(|expires| expires.0.duration_since(Timestamp::now()));
        let left = left.and_then(|left| Duration::try_from(left).ok());
        return left.map_or(OVER, |left| left.clamp(Duration::from_secs(1), OVER));
    }
    let backups = context.memories.count();
    context.pace(namespace, name, |pace| pace.after(plan.step.after(), backups))
}

/// The status when it changes, and an Event when the condition has another reason.
async fn report(context: &Context, backup: &ZooKeeperBackup, decision: &Decision) -> Result<(), ApiError> {
    // It is gone.
    if matches!(&decision.step, Step::Delete(target) if target.key.kind == Kind::Backup) {
        return Ok(());
    }
    let before = backup.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let conditions = match &decision.condition {
        Some(condition) => {
            let failed = decision.status.phase == Some(BackupPhase::Failed);
            if !status::said_before(before, condition, failed) {
                info!(reason = condition.reason, note = condition.message, "backup");
                context.kit.events.tell(condition, failed, "Backup", &backup.object_ref(&())).await;
            }
            // For those who wait for it, whatever comes of it.
            let over = decision.status.phase.is_some_and(BackupPhase::is_over);
            let status = if over { ConditionStatus::True } else { ConditionStatus::False };
            let ended = UntimedCondition { name: "Ended", status, ..condition.clone() };
            status::conditions(before, &[condition.clone(), ended], backup.metadata.generation)
        }
        None => before.to_vec(),
    };
    let status = BackupStatus { conditions, ..decision.status.clone() };
    if backup.status.as_ref() == Some(&status) {
        return Ok(());
    }
    status::write::<ZooKeeperBackup>(&context.kit.client, &backup.metadata, &status).await
}
