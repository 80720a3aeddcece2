//! Which ensemble of an archive is asked for, and what is said where none or several can be meant.

use crate::archive::about::{About, called};
use crate::archive::chains;
use crate::archive::command::ArchiveOptions;
use crate::archive::retention_command;
use crate::archive::store::Store;
use crate::archive::target::Target;
use crate::cli::{CommandError, Output};
use crate::model::names::is_name;
use crate::view::time::iso_text;

/// So many ensembles or folders are named in a message.
const MOST_NAMED: usize = 12;

/// Parses what an ensemble is asked for by: [`resolved`] finds it.
pub(crate) fn ensemble(text: &str) -> Result<String, String> {
    let known = text.split('/').count() <= 2 && text.split('/').all(is_name);
    known.then(|| text.to_owned()).ok_or_else(|| {
        "an ensemble is asked for by its identity, the beginning of that, its name, or NAMESPACE/NAME".to_owned()
    })
}

/// The ensembles in an archive, or the one that is asked for.
pub(super) async fn resolved(store: &Store, options: &ArchiveOptions) -> Result<Vec<String>, CommandError> {
    let there = chains::identities(store).await?;
    let Some(asked) = &options.identity else { return Ok(there) };
    if there.contains(asked) {
        return Ok(vec![asked.clone()]);
    }
    let mut found = Vec::new();
    for identity in there {
        let about = About::read(store, &identity).await?;
        let called = about.is_some_and(|about| about.ensemble == *asked || about.to_string() == *asked);
        if called || identity.starts_with(asked) {
            found.push(identity);
        }
    }
    if found.len() > 1 {
        let text = format!(
            "{}: {asked} may be {}; name one by its identity",
            options.target,
            introduced(store, &found).await?
        );
        return Err(CommandError::Usage(text));
    }
    Ok(found)
}

/// Ensembles, as people tell them apart: whose they are and when each was last heard of.
async fn introduced(store: &Store, identities: &[impl AsRef<str>]) -> Result<String, CommandError> {
    let mut all = Vec::new();
    for identity in identities.iter().take(MOST_NAMED) {
        let identity = identity.as_ref();
        // Whose end cannot be read may still be the one that is meant.
        let end = chains::end(store, identity, &mut |_| ()).await.ok().flatten();
        let end = end.map(|(_, time)| format!(", up to {}", iso_text(time))).unwrap_or_default();
        all.push(format!("{}{end}", called(store, identity).await?));
    }
    let more = identities.len().saturating_sub(MOST_NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Ok(format!("{}{more}", all.join("; ")))
}

/// That there is nothing, and where it may be instead.
pub(super) async fn nothing(store: &Store, options: &ArchiveOptions) -> Result<CommandError, CommandError> {
    let target = options.target.to_string();
    let whose = options.identity.as_ref().map(|identity| format!(" of {identity}")).unwrap_or_default();
    let mut text = format!("{target} has no archived log{whose}");
    if chains::is_below_an_archive(store).await?
        && let Some((archive, identity)) = target.trim_end_matches('/').rsplit_once('/')
    {
        text = format!("{text}: it is the folder of one ensemble; name {archive} --identity {identity}");
        return Ok(CommandError::Usage(text));
    }
    let mut ensembles = Vec::new();
    for identity in chains::identities(store).await? {
        if !chains::chains(store, &identity).await?.is_empty() {
            ensembles.push(identity);
        }
    }
    if !ensembles.is_empty() {
        text = format!("{text}: it has {}", introduced(store, &ensembles).await?);
        return Ok(CommandError::Usage(text));
    }
    let folders = store.folders("").await?;
    if !folders.is_empty() {
        let named: Vec<String> = folders.iter().take(MOST_NAMED).map(|folder| format!("{folder}/")).collect();
        let more = if folders.len() > MOST_NAMED { ", …" } else { "" };
        text = format!("{text}; below it are folders: {}{more}", named.join(", "));
    }
    Ok(CommandError::Usage(text))
}

/// The ensemble whose archive is read, where only one can be meant.
pub(crate) async fn the_ensemble(
    store: &Store,
    target: &Target,
    identity: Option<&String>,
) -> Result<String, CommandError> {
    let options = ArchiveOptions { target: target.clone(), identity: identity.cloned(), output: Output::Human };
    retention_command::one(store, &options).await
}

/// That more than one ensemble is there, and which.
pub(super) async fn several(
    store: &Store,
    options: &ArchiveOptions,
    identities: &[impl AsRef<str>],
) -> Result<String, CommandError> {
    let all = introduced(store, identities).await?;
    Ok(format!("{} has more than one ensemble: {all}; name one with --identity", options.target))
}
