//! Waits for an object to come to its end, and says how far it is.

use std::io;
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use kube::core::DynamicObject;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::connection::{Cluster, ClusterOptions, LOG_IN, connect, name};
use super::objects::{Kind, name_of};
use super::problem::{cause, is_missing, told};
use super::teller::{Now, Stands, Teller};
use crate::cli::point::span;
use crate::cli::{CommandError, Exit};
use crate::operator::kit::timeout::ApiError;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// So often in a row it may be that the API server does not know who asks, while the login is renewed.
const MOST_UNKNOWN: u32 = 15;
const LONGEST_MILLIS: i64 = 30 * 24 * 3_600_000;

/// How long it is waited for.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct PatienceOptions {
    /// How long to wait, like 90s, 10m or 1h30m; it goes on by itself after that
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = patience)]
    timeout: Duration,
}

/// Whether it is waited for, and how long.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct WaitOptions {
    /// Follow it to its end, as `watch` does; of `create`, on standard error
    #[arg(long)]
    wait: bool,
    /// How long to wait, like 90s, 10m or 1h30m; it goes on by itself after that
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = patience, requires = "wait")]
    timeout: Duration,
}

impl WaitOptions {
    /// How long, if at all.
    pub(super) fn patience(&self) -> Option<PatienceOptions> {
        self.wait.then_some(PatienceOptions { timeout: self.timeout })
    }
}

fn patience(text: &str) -> Result<Duration, String> {
    let millis = Some(span(text)?).filter(|millis| (1..=LONGEST_MILLIS).contains(millis));
    let millis = millis.and_then(|millis| u64::try_from(millis).ok());
    millis.map(Duration::from_millis).ok_or_else(|| format!("{text}: more than nothing, and up to 30d"))
}

/// Which one is followed.
#[derive(Args, Debug)]
pub(super) struct WatchOptions {
    /// Its name
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    #[command(flatten)]
    cluster: ClusterOptions,
    #[command(flatten)]
    patience: PatienceOptions,
}

/// Follows the one of that name to its end.
pub(super) async fn watch<K: Followed>(options: &WatchOptions) -> Result<Exit, CommandError> {
    let WatchOptions { name, cluster, patience } = options;
    let cluster = connect(cluster).await?;
    let seen = cluster.read::<K>(name).await?;
    follow::<K>(&cluster, &seen, *patience, false).await
}

/// A kind that is waited for.
pub(super) trait Followed: Kind {
    /// The command that is about it.
    const COMMAND: &'static str;

    /// What is known of one, from its status.
    fn now(object: &DynamicObject) -> Now;

    /// What its user can do next, once it has come to an end.
    fn next(cluster: &Cluster, object: &DynamicObject) -> Vec<String>;
}

/// What a status says: its phase, and the reason and message of that condition.
pub(super) fn of_status(object: &DynamicObject, condition: &str) -> Now {
    let status = &object.data["status"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = status["conditions"].as_array().into_iter().flatten();
    let condition = all.into_iter().find(|found| found["type"] == condition).unwrap_or(&Value::Null);
    let observed = condition["observedGeneration"].as_i64().or_else(|| status["observedGeneration"].as_i64());
    let current = observed == object.metadata.generation;
    let now = Now {
        phase: text(&status["phase"]),
        reason: text(&condition["reason"]),
        message: text(&condition["message"]),
        stands: Stands::Going,
    };
    match (now.phase.as_str(), now.reason.as_str()) {
        // What is over is over, also where the operator is an older one that does not understand it.
        ("Completed", _) => Now { stands: Stands::Well, ..now },
        ("Failed", _) => Now { stands: Stands::Badly, ..now },
        // It is left alone until somebody corrects it.
        (_, "InvalidSpec") if current => Now { stands: Stands::Badly, ..now },
        (_, "InvalidSpec") => Now {
            phase: if now.phase.is_empty() { "Pending".to_owned() } else { now.phase },
            reason: String::new(),
            message: "the operator has not seen the corrected spec yet".to_owned(),
            ..Now::default()
        },
        ("", _) => Now { phase: "Pending".to_owned(), message: UNSEEN.to_owned(), ..now },
        _ => now,
    }
}

const UNSEEN: &str =
    "the operator has said nothing of it yet; if that stays so, it is not running, or its selector asks for a --label";

/// Follows an object that was read or created until it comes to its end. `aside` says it on standard error.
pub(super) async fn follow<K: Followed>(
    cluster: &Cluster,
    seen: &DynamicObject,
    PatienceOptions { timeout }: PatienceOptions,
    aside: bool,
) -> Result<Exit, CommandError> {
    let (name, uid) = (name_of(seen), seen.metadata.uid.as_ref());
    let mut teller = Teller::new(format!("{} {name}", K::COMMAND), aside);
    let begun = Instant::now();
    let goes_on = |why: String| {
        let (command, arguments) = (K::COMMAND, cluster.arguments());
        CommandError::Usage(format!(
            "{why}; the {command} goes on by itself: menagerie {command} watch {name} {arguments} looks again"
        ))
    };
    // Beside another output, what is said is worth no error.
    let heard = |told: io::Result<()>| if aside { Ok(()) } else { told.map_err(|error| unwritten(&error)) };
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let mut at_last = pin!(sleep(timeout));
    let (mut last, mut pause, mut unknown) = (Now::default(), Duration::ZERO, 0);
    loop {
        let look = async {
            sleep(pause).await;
            cluster.get::<K>(name).await
        };
        let look = tokio::select! {
            biased;
            _ = &mut interrupted => return Err(goes_on("interrupted".to_owned())),
            () = &mut at_last => {
                let Now { phase, reason, .. } = last;
                let said = if reason.is_empty() { phase } else { format!("{phase}, {reason}") };
                return Err(goes_on(format!("it has not come to its end within {timeout:?} ({said})")));
            }
            look = look => look,
        };
        pause = PAUSE;
        match look {
            Ok(object) if object.metadata.uid.as_ref() != uid => {
                return Err(deleted::<K>(name, ", and another one made"));
            }
            Ok(object) => {
                let now = K::now(&object);
                heard(teller.tell(&now, begun.elapsed()))?;
                let exit = match now.stands {
                    Stands::Going => {
                        (last, unknown) = (now, 0);
                        continue;
                    }
                    Stands::Badly => Exit::Damage,
                    Stands::Well => Exit::Sound,
                };
                for text in K::next(cluster, &object) {
                    heard(teller.add(&text))?;
                }
                return Ok(exit);
            }
            Err(error) if is_missing(&error) => return Err(deleted::<K>(name, "")),
            // An API server that is upgraded is away for a while.
            Err(error) if is_passing(&error) => {
                let now = Now { message: cause(&error), reason: "Unanswered".to_owned(), ..last.clone() };
                heard(teller.tell(&now, begun.elapsed()))?;
            }
            // A login ends sooner than what is watched, and is renewed.
            Err(error) if is_unknown(&error) && unknown < MOST_UNKNOWN => match cluster.logs_in_again().await {
                Ok(true) => unknown += 1,
                Ok(false) => return Err(told::<K>(cluster, &error)),
                Err(error) => return Err(told::<K>(cluster, &error)),
            },
            Err(error) => return Err(told::<K>(cluster, &error)),
        }
    }
}

fn is_unknown(error: &ApiError) -> bool {
    matches!(error, ApiError::Refused { status, .. } if status.code == 401)
}

fn is_passing(error: &ApiError) -> bool {
    match error {
        ApiError::Refused { status, .. } => status.code == 429 || status.code >= 500,
        // A login that asks somebody is not begun again and again.
        ApiError::Kube { what, .. } => what != LOG_IN,
        ApiError::Timeout { .. } => true,
    }
}

fn deleted<K: Followed>(name: &str, more: &str) -> CommandError {
    CommandError::Usage(format!("{} {name} was deleted meanwhile{more}: what became of it is not known", K::kind(&())))
}

/// A reader that went away knows nothing of the end: that is no success.
pub(super) fn unwritten(error: &io::Error) -> CommandError {
    CommandError::Usage(format!("cannot write: {error}"))
}
