//! What `menagerie archive` does with bases: list them, read them to their ends, write them as files again.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::archive::bases::{self, BaseError};
use crate::archive::key::BaseKey;
use crate::archive::manifest::Manifest;
use crate::archive::store::Store;
use crate::cli::{CommandError, Exit, Output, Printer, print_message};
use crate::view::time::iso_text;
use zookeeper_files::atomic::Part;
use zookeeper_files::ids::Zxid;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BaseLine<'a> {
    identity: &'a str,
    member: u32,
    disk: String,
    /// The zxid in the snapshot's name.
    base: String,
    /// Whether it has a manifest that can be read. Without one it is on its way, or was given up.
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<ManifestLine>,
    /// The file that it was fetched into.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// Whether all of it was read and is what the manifest says; only where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    whole: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ManifestLine {
    /// From here on, the tree can be built from it.
    end: String,
    made: String,
    bytes: u64,
    parts: usize,
    stored: u64,
}

impl<'a> BaseLine<'a> {
    fn of(identity: &'a str, key: &BaseKey) -> Self {
        let (base, disk) = (format!("{:#}", key.zxid), key.chain.disk.to_string());
        let member = key.chain.member.0;
        Self { identity, member, disk, base, complete: false, manifest: None, file: None, whole: None, damage: None }
    }

    fn know(&mut self, manifest: &Manifest) {
        self.complete = true;
        self.manifest = Some(ManifestLine {
            end: format!("{:#}", manifest.end),
            made: iso_text(manifest.made),
            bytes: manifest.bytes,
            parts: manifest.parts.len(),
            stored: manifest.parts.iter().map(|part| part.bytes).sum(),
        });
    }

    fn print(&self, key: &BaseKey, output: Output, to: &mut Printer) -> Result<(), CommandError> {
        if output == Output::Json {
            return Ok(to.json(self)?);
        }
        if let Some(damage) = &self.damage {
            print_message("damage", damage);
        }
        let state = match (self.whole, &self.damage, self.complete) {
            (_, Some(_), _) => ": DAMAGED",
            (Some(_), None, _) => ": whole",
            (None, None, true) => "",
            (None, None, false) => ": begun, and not complete",
        };
        let what = self.manifest.as_ref().map(|ManifestLine { end, made, bytes, parts, stored }| {
            format!(": {bytes} bytes in {parts} parts ({stored} stored), a whole tree from {end} on, made {made}")
        });
        let text = format!("  base {} of {}{state}{}\n", self.base, key.chain, what.unwrap_or_default());
        to.buffer.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Lists the bases of an ensemble.
pub(super) async fn list(
    store: &Store,
    identity: &str,
    output: Output,
    to: &mut Printer,
) -> Result<Exit, CommandError> {
    let mut exit = Exit::Sound;
    for key in bases::keys(store, identity).await? {
        let mut line = BaseLine::of(identity, &key);
        match damage_of(bases::manifest(store, identity, &key).await)? {
            Ok(manifest) => manifest.iter().for_each(|manifest| line.know(manifest)),
            Err(damage) => {
                line.damage = Some(damage);
                exit = Exit::Damage;
            }
        }
        line.print(&key, output, to)?;
    }
    Ok(exit)
}

/// The names of the bases that have a manifest which can be read, in their order.
pub(super) async fn names(store: &Store, identity: &str) -> Result<Vec<Zxid>, CommandError> {
    let mut names = Vec::new();
    for key in bases::keys(store, identity).await? {
        if let Ok(Some(manifest)) = damage_of(bases::manifest(store, identity, &key).await)? {
            names.push(manifest.zxid);
        }
    }
    Ok(names)
}

/// Reads every base of an ensemble to its end.
pub(super) async fn verify(
    store: &Store,
    identity: &str,
    output: Output,
    to: &mut Printer,
) -> Result<Exit, CommandError> {
    let mut exit = Exit::Sound;
    for key in bases::keys(store, identity).await? {
        let mut line = BaseLine::of(identity, &key);
        let read = match damage_of(bases::manifest(store, identity, &key).await)? {
            Ok(None) => Ok(()),
            Ok(Some(manifest)) => {
                line.know(&manifest);
                damage_of(bases::read(store, &manifest, &mut |_| Ok(())).await)?
            }
            Err(damage) => Err(damage),
        };
        line.whole = (line.complete || read.is_err()).then_some(read.is_ok());
        if let Err(damage) = read {
            line.damage = Some(damage);
            exit = Exit::Damage;
        }
        line.print(&key, output, to)?;
        to.flush()?;
    }
    Ok(exit)
}

/// Writes every base of an ensemble into the folder of its chain, if it is whole.
pub(super) async fn fetch(
    store: &Store,
    identity: &str,
    folder: &Path,
    (output, to): (Output, &mut Printer),
) -> Result<Exit, CommandError> {
    let mut exit = Exit::Sound;
    for key in bases::keys(store, identity).await? {
        let mut line = BaseLine::of(identity, &key);
        let fetched = match damage_of(bases::manifest(store, identity, &key).await)? {
            Ok(None) => continue,
            Ok(Some(manifest)) => {
                line.know(&manifest);
                // Beside the log of its disk, what is missing in that would seem to be what its member never had.
                let folder = folder.join(format!("{}.bases", key.chain));
                fs::create_dir_all(&folder)?;
                let path = folder.join(manifest.file_name());
                let mut file = Part::begin(&path, Some(0o600))?;
                let read = damage_of(bases::read(store, &manifest, &mut |bytes| file.write_all(bytes)).await)?;
                if read.is_ok() {
                    file.keep()?;
                    line.file = Some(path.display().to_string());
                }
                read.map(|()| manifest.bytes)
            }
            Err(damage) => Err(damage),
        };
        line.whole = Some(fetched.is_ok());
        match (fetched, output) {
            (Ok(bytes), Output::Human) => {
                let file = line.file.as_deref().unwrap_or_default();
                to.buffer.extend_from_slice(format!("{file}: {bytes} bytes\n").as_bytes());
            }
            (Err(damage), Output::Human) => {
                print_message("damage", &damage);
                exit = Exit::Damage;
            }
            (Ok(_), Output::Json) => to.json(&line)?,
            (Err(damage), Output::Json) => {
                line.damage = Some(damage);
                to.json(&line)?;
                exit = Exit::Damage;
            }
        }
        to.flush()?;
    }
    Ok(exit)
}

/// Tells damage from a store or disk that does not answer.
fn damage_of<T>(read: Result<T, BaseError>) -> Result<Result<T, String>, CommandError> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(damaged @ BaseError::Damaged { .. }) => Ok(Err(damaged.to_string())),
        Err(BaseError::Store(error)) if error.is_of_one_object() => Ok(Err(error.to_string())),
        Err(BaseError::Store(error)) => Err(error.into()),
        Err(BaseError::Io(error)) => Err(error.into()),
    }
}
