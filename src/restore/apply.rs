//! Carries out a plan, and goes on with one that was carried out in part.
//!
//! Each round reads what is there, plans, and carries that out until something is not as it was read, or an answer is lost. There
//! is no record of progress but the ensemble itself, so that this can be killed anywhere and begun again.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use thiserror::Error;

use crate::restore::moved::{Moved, moved, znodes};
use crate::restore::operation::{Operation, Turn};
use crate::restore::options::{Access, OptionsError};
use crate::restore::plan::{Plan, plan};
use crate::restore::plan_file::PlanFile;
use crate::restore::reader::{ReadError, read};
use crate::restore::reason::{Measure, Note};
use crate::restore::scope::parent;
use crate::restore::wanted::Limits;
use crate::restore::znodes::{Failure, Znodes};

/// Requests in flight at the same time. Each fires the watches of its znode and its parent.
const AT_ONCE: usize = 64;
/// Rounds in a row in which nothing was done before it gives up. The pauses between them, which double from half a second to
/// [`LONGEST_PAUSE`], are a minute and a quarter, as long as elections take on slow disks; requests that time out come on top.
const IDLE_ROUNDS: u32 = 12;
/// Rounds at all: others may change what is restored for ever.
const ROUNDS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What happens if others have changed the scope since the plan was made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ChangedSincePlan {
    /// Nothing more is done.
    #[default]
    Fail,
    /// It goes on with a new plan, and says what differs.
    Replan,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// So many znodes were read.
    Read(usize),
    /// So many operations of this round's are answered.
    Done(usize, usize),
}

/// How it ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Applied {
    /// How many operations were answered as done. Some whose answers were lost may have been done as well.
    pub done: usize,
    /// What differed from the approved plan.
    pub moved: Vec<Moved>,
    /// What this run has created and others have deleted since, as far as it read again. It is not created twice.
    pub gone: Vec<String>,
    /// Quotas that were set and leave no room, of which the approved plan said nothing or less: others have written since.
    pub low: Vec<Note>,
    /// The last plan: of what it skips nothing was done.
    pub last: Plan,
}

/// Why it stopped before the end. What was done stays done; the same plan goes on from there.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// Others have changed the scope.
    #[error("others have changed {} znodes since the plan was made, the first: {first}; nothing was done about them. Plan again, or go on with --changed replan", znodes(.moved))]
    Moved {
        /// The first of them.
        first: Box<Moved>,
        /// All of them.
        moved: Vec<Moved>,
    },
    /// The ensemble could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Options that do not go together.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The quotas cannot be read any more.
    #[error(
        "the quotas could be read when the plan was made, and cannot be now (not ours to read, or too many): whether servers can read their \
         statistics, and do not end by a change, is not known. Nothing more was done; plan again"
    )]
    QuotasUnknown,
    /// An operation that will never be carried out.
    #[error("failed to {operation}: {reason}")]
    Refused {
        /// The operation.
        operation: Box<Operation>,
        /// The cause and the cure.
        reason: String,
    },
    /// It did not come to an end.
    #[error("not finished after {rounds} rounds, {left} changes left: {reason}; the same command goes on from here")]
    Unsettled {
        /// How many.
        rounds: u32,
        /// How many operations are left.
        left: usize,
        /// What happened last.
        reason: String,
    },
}

/// The quota that a note says to be low, and by which measure.
fn low_quota(note: &Note) -> Option<((&str, Measure), &Note)> {
    match note {
        Note::LowQuota { path, measure, .. } => Some(((path, *measure), note)),
        _ => None,
    }
}

/// Carries out a plan.
pub async fn apply<Z: Znodes>(
    znodes: &Z,
    file: &PlanFile,
    changed: ChangedSincePlan,
    limits: Limits,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<Applied, ApplyError> {
    let PlanFile { version: _, options, plan: approved, wanted } = file;
    let (mut done, mut idle, mut told) = (0, 0, Vec::new());
    let mut reason = String::new();
    let mut left = approved.operations.len();
    let mut created = HashSet::new();
    let mut low: BTreeMap<_, Note> = BTreeMap::new();
    let raised = raised(approved);
    let known: BTreeMap<_, &Note> = approved.notes.iter().filter_map(low_quota).collect();
    for round in 1..=ROUNDS {
        let live = match read(znodes, &wanted.scope, limits, &mut |count| on_progress(Progress::Read(count))).await {
            Ok(live) => live,
            Err(ReadError::Unknown { path, reason: why }) if idle < IDLE_ROUNDS => {
                idle += 1;
                reason = format!("{path} could not be read: {why}");
                znodes.pause(pause(idle)).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let now = plan(wanted, &live, options)?;
        if now.notes.contains(&Note::QuotasUnknown) && !approved.notes.contains(&Note::QuotasUnknown) {
            return Err(ApplyError::QuotasUnknown);
        }
        // Of other notes there may be one for each znode.
        let differs = |((path, measure), note): ((&str, Measure), &Note)| {
            (known.get(&(path, measure)) != Some(&note)).then(|| ((path.to_owned(), measure), note.clone()))
        };
        low.extend(now.notes.iter().filter_map(low_quota).filter_map(differs));
        let allowed = now
            .operations
            .iter()
            .filter(|operation| !matches!(operation, Operation::Raise { path, .. } if !raised.contains(&**path)));
        let (operations, gone) = not_again(allowed, &created);
        left = operations.len();
        let differs = moved(approved, &now, &live, options.access);
        match (changed, differs.first()) {
            (ChangedSincePlan::Fail, Some(first)) => {
                if options.access == Access::Super {
                    let last = half_done(approved, &now, &differs);
                    // The change is what is reported. What fails here keeps its old ACL, and the same plan still has it.
                    let _done_or_not = carry_out(znodes, &last, file, &mut created, on_progress).await;
                }
                return Err(ApplyError::Moved { first: Box::new(first.clone()), moved: differs });
            }
            _ => told
                .extend(differs.into_iter().filter(|moved| !told.contains(moved)).take(MOST_TOLD).collect::<Vec<_>>()),
        }
        told.truncate(MOST_TOLD);
        let Outcome { answered, hindered, refused } =
            carry_out(znodes, &operations, file, &mut created, on_progress).await;
        done += answered;
        if let Some((operation, reason)) = refused {
            return Err(ApplyError::Refused { operation: Box::new(operation), reason });
        }
        let Some(why) = hindered else {
            return Ok(Applied { done, moved: told, gone, low: low.into_values().collect(), last: now });
        };
        (idle, reason) = (if answered > 0 { 0 } else { idle + 1 }, why);
        if idle >= IDLE_ROUNDS {
            return Err(ApplyError::Unsettled { rounds: round, left, reason });
        }
        znodes.pause(pause(idle)).await;
    }
    Err(ApplyError::Unsettled { rounds: ROUNDS, left, reason })
}

/// The approved ACLs of znodes that have got their data by this plan, and are not touched by others: they have only the old,
/// narrower ACL until then. Without the super user such ACLs shut us out: they wait until all else is done.
fn half_done<'a>(approved: &'a Plan, now: &'a Plan, differs: &[Moved]) -> Vec<&'a Operation> {
    let sets = |plan: &'a Plan| -> HashSet<&'a str> {
        let sets = plan.operations.iter().filter(|operation| matches!(operation, Operation::Set { .. }));
        sets.map(Operation::path).collect()
    };
    let (had, has) = (sets(approved), sets(now));
    let others: HashSet<&str> =
        differs.iter().map(|(Moved::New(operation) | Moved::Overtaken(operation))| operation.path()).collect();
    let last = |operation: &&Operation| {
        let path = operation.path();
        is_last(operation) && had.contains(path) && !has.contains(path) && !others.contains(path)
    };
    now.operations.iter().filter(last).collect()
}

/// Where sequence counters are raised. What a plan has left out because it was too much for one is no part of it once others are done.
fn raised(approved: &Plan) -> HashSet<&str> {
    let raises = approved.operations.iter().filter(|operation| matches!(operation, Operation::Raise { .. }));
    raises.map(Operation::path).collect()
}

fn is_last(operation: &Operation) -> bool {
    matches!(operation, Operation::SetAcl { turn: Turn::After, .. })
}

/// Without what this run has created before, nor what would be below that, nor its quota: a client that takes an entry of a queue would
/// get it again, and again. Only answered creations count: of others nobody knows.
fn not_again<'a>(
    operations: impl Iterator<Item = &'a Operation>,
    created: &HashSet<String>,
) -> (Vec<&'a Operation>, Vec<String>) {
    let mut left_out = HashSet::new();
    let mut gone = Vec::new();
    let mut left = Vec::new();
    // Parents come before their children.
    for operation in operations {
        let path = operation.path();
        if operation.quota_of().is_some_and(|of| left_out.contains(of)) {
            continue;
        }
        let again = matches!(operation, Operation::Create { .. }) && created.contains(path);
        if again {
            gone.push(path.to_owned());
        }
        if again || parent(path).is_some_and(|above| left_out.contains(above)) {
            left_out.insert(path);
        } else {
            left.push(operation);
        }
    }
    (left, gone)
}

/// As many differences as anybody reads.
const MOST_TOLD: usize = 1000;

fn pause(idle: u32) -> Duration {
    PAUSE.saturating_mul(1 << idle.min(10)).min(LONGEST_PAUSE)
}

#[derive(Default)]
struct Outcome {
    answered: usize,
    /// Why the rest needs a new plan.
    hindered: Option<String>,
    refused: Option<(Operation, String)>,
}

/// Carries out stage after stage. The next one begins when all of a stage is answered, and not if anything in it failed, but for the
/// super user's last ACLs: none of them needs another one.
async fn carry_out<Z: Znodes>(
    znodes: &Z,
    operations: &[&Operation],
    PlanFile { options, wanted, .. }: &PlanFile,
    created: &mut HashSet<String>,
    on_progress: &mut dyn FnMut(Progress),
) -> Outcome {
    let mut outcome = Outcome::default();
    for stage in operations.chunk_by(|a, b| a.stage() == b.stage()) {
        // What failed will be tried again, and a quota could refuse it then.
        if outcome.refused.is_some() && stage.iter().any(|operation| operation.quota_of().is_some()) {
            return outcome;
        }
        let requests = stream::iter(stage).map(|&operation| async move {
            let data = wanted.znodes.get(operation.path()).map(|znode| &*znode.data).unwrap_or_default();
            (operation, znodes.perform(operation, data).await)
        });
        let mut answers = requests.buffer_unordered(AT_ONCE);
        while let Some((operation, answer)) = answers.next().await {
            match answer {
                Ok(()) => {
                    outcome.answered += 1;
                    if let Operation::Create { path, .. } = operation {
                        created.insert(path.clone());
                    }
                }
                Err(Failure::Changed(reason)) => outcome.hindered = Some(format!("{}: {reason}", operation.path())),
                // A session that is gone answers nothing more: the next round opens another one.
                Err(Failure::Unknown(reason)) => {
                    outcome.hindered = Some(format!("{}: {reason}", operation.path()));
                    return outcome;
                }
                Err(Failure::Refused(reason)) => {
                    outcome.refused.get_or_insert_with(|| (operation.clone(), reason));
                    if options.access != Access::Super || !is_last(operation) {
                        return outcome;
                    }
                }
            }
            on_progress(Progress::Done(outcome.answered, operations.len()));
        }
        if outcome.hindered.is_some() {
            return outcome;
        }
    }
    outcome
}
