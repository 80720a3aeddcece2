//! Deletes from an archive what is older than is to be kept: what `menagerie archive prune --delete` does, for the `CronJob` of an
//! ensemble.

use clap::Args;
use tracing::info;

use super::Ended;
use super::archive_options::ArchiveOptions;
use crate::archive::catalogue::{self, Told};
use crate::archive::chains;
use crate::archive::prune::{self, Decision, PruneError};
use crate::archive::pruner::{News, Pruner, Tally};
use crate::archive::rolling::{self, Rolled};
use crate::cli::print_message;
use crate::model::report::{Pruned, Report};

const DAY: i64 = 24 * 60 * 60 * 1000;
/// Progress is logged each time that so much more is done.
const STEP: u64 = 10_000;

#[derive(Args, Debug)]
pub(super) struct PruneOptions {
    #[command(flatten)]
    archive: ArchiveOptions,
    /// Every point of so many days is kept
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    keep_days: u32,
}

fn ended(error: impl Into<PruneError>) -> Ended {
    let error = error.into();
    let text = error.to_string();
    if error.may_pass() { Ended::ForNow(text) } else { Ended::ForGood(text) }
}

/// Decides what goes, and deletes it.
pub(super) async fn prune(options: &PruneOptions) -> Result<Report, Ended> {
    let store = options.archive.open()?;
    let identity = options.archive.identity.as_str();
    // Before anything is stored: it may be another archive.
    if chains::chains(&store, identity).await.map_err(ended)?.is_empty() {
        return Err(Ended::ForNow(format!("{} has no archived log of {identity}: nothing is deleted", store.target())));
    }
    let (store, time) = prune::time(store, identity).await.map_err(ended)?;
    let now = time.map_err(|skew| ended(PruneError::Skew(skew)))?;
    let mut damage = Vec::new();
    let mut told = |told: Told<'_>| match told {
        Told::Listed(chain, count) => info!(%chain, count, "segments listed"),
        // It goes as any other one does, in its time.
        Told::Damaged(what) => print_message("damage", what),
        Told::Unread(what) => {
            print_message("damage", what);
            damage.push(what.to_owned());
        }
    };
    let catalogue = catalogue::read(&store, identity, &mut told).await.map_err(ended)?;
    let mut damaged = |what: &str| {
        print_message("damage", what);
        damage.push(what.to_owned());
    };
    let wanted = (i64::from(options.keep_days) * DAY, Vec::new(), now);
    let decided = prune::decide(&store, identity, catalogue, wanted, true, &mut damaged).await.map_err(ended)?;
    let Decision { named, over, plan, .. } = &decided;
    info!(
        days = options.keep_days,
        pins = named.len(),
        over = over.len(),
        empty = plan.is_empty(),
        "decided what goes"
    );
    let mut first = None;
    let mut tell = |news: News<'_>| match news {
        News::Progress(tally) if tally.deleted % STEP == 0 => info!(deleted = tally.deleted, "objects deleted"),
        News::Progress(_) => {}
        News::Error(error) => {
            print_message("error", &error.to_string());
            first.get_or_insert_with(|| error.to_string());
        }
        News::Note(note) => print_message("note", &note),
    };
    let tally = Pruner::new(&store, identity, &mut tell).carry_out(&decided).await;
    info!("{tally}");
    let mut rolled = Rolled::default();
    // What cannot be deleted would only be there twice.
    if tally.is_complete() {
        let (what, when) = ((&decided.catalogue, &decided.plan), (now, rolling::LONGEST));
        rolled = match rolling::roll_up(&store, identity, what, when, &mut tell).await.map_err(PruneError::from) {
            Ok(rolled) => rolled,
            Err(error) => {
                let text = format!("{tally}, and not all is rolled up: {error}");
                return Err(if error.may_pass() { Ended::ForNow(text) } else { Ended::ForGood(text) });
            }
        };
        info!("{rolled}");
    }
    report(&tally, &rolled, first.as_deref(), &damage)
}

/// What came of it. Of a plan that was not carried out in full, the next run does the rest; that of tomorrow, if a right is missing.
fn report(tally: &Tally, rolled: &Rolled, first: Option<&str>, damage: &[String]) -> Result<Report, Ended> {
    let first = first.map(|first| format!("; the first error: {first}")).unwrap_or_default();
    let Tally { deleted, refused, failed, left, changed } = *tally;
    if refused > 0 {
        return Err(Ended::ForGood(format!("{tally}{first}")));
    }
    if !tally.is_complete() {
        return Err(Ended::ForNow(format!("{tally}{first}")));
    }
    if let Some(what) = damage.first() {
        let more = match damage.len() {
            1 => String::new(),
            all => format!(" (the first of {all})"),
        };
        return Err(Ended::ForGood(format!(
            "{tally}; but {what}{more}: it is not relied on, and what it would replace stays"
        )));
    }
    let rolled_up = rolled.segments;
    Ok(Report { pruned: Some(Pruned { deleted, refused, failed, left, changed, rolled_up }), ..Report::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_done_is_tried_again_unless_a_right_is_missing_and_damage_is_no_success() {
        let done = Tally { deleted: 7, ..Tally::default() };
        let whole = report(&done, &Rolled::default(), None, &[]).unwrap();
        assert_eq!(whole.pruned, Some(Pruned { deleted: 7, ..Pruned::default() }));
        let text = |ended: Result<Report, Ended>| match ended {
            Err(Ended::ForGood(text)) => (1, text),
            Err(Ended::ForNow(text)) => (3, text),
            Err(Ended::NotProved { why, .. }) => panic!("{why}"),
            Ok(report) => (0, format!("{report:?}")),
        };
        let (code, words) = text(report(
            &Tally { refused: 2, failed: 1, ..done.clone() },
            &Rolled::default(),
            Some("AccessDenied"),
            &[],
        ));
        assert_eq!(code, 1);
        assert!(
            words.contains("2 refused by the store") && words.ends_with("the first error: AccessDenied"),
            "{words}"
        );
        for again in [
            Tally { failed: 1, ..done.clone() },
            Tally { left: 1, ..done.clone() },
            Tally { changed: 1, ..done.clone() },
        ] {
            assert_eq!(text(report(&again, &Rolled::default(), None, &[])).0, 3, "{again}");
        }
        let (code, words) =
            text(report(&done, &Rolled::default(), None, &["base a is damaged".to_owned(), "another".to_owned()]));
        assert!(code == 1 && words.contains("but base a is damaged (the first of 2)"), "{words}");
    }
}
