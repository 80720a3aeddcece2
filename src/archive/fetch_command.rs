//! `menagerie archive fetch`: an archive's logs and bases as files again.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::base_command;
use super::chain_check::Check;
use super::command::{ArchiveOptions, disks, kept, places};
use super::key::SegmentKey;
use super::segment::Segment;
use super::store::Store;
use super::which::several;
use crate::cli::{CommandError, Exit, Output, Printer, print_message};
use zookeeper_files::atomic::Part;

#[derive(Args, Debug)]
pub(super) struct FetchOptions {
    #[command(flatten)]
    archive: ArchiveOptions,
    /// The folder to write to. It must be empty, or not there yet
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

/// The log of a disk, as it was fetched.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FetchedLine<'a> {
    identity: &'a str,
    member: u32,
    disk: String,
    /// Whether these are the roll-ups of that disk.
    rolled: bool,
    /// Where its files are.
    folder: String,
    logs: usize,
    transactions: u64,
    /// Where it cannot be proved that nothing is missing.
    gaps: Vec<String>,
    /// Where retention has deleted what a base has.
    pruned: Vec<String>,
    damage: Vec<String>,
}

impl FetchedLine<'_> {
    fn print(&self, output: Output, to: &mut Printer) -> Result<(), CommandError> {
        let Self { folder, logs, transactions, gaps, pruned, damage, .. } = self;
        if output == Output::Json {
            return Ok(to.json(self)?);
        }
        for (severity, all) in [("damage", damage), ("gap", gaps), ("pruned", pruned)] {
            for text in all {
                print_message(severity, text);
            }
        }
        let text = format!("{folder}: {transactions} transactions in {logs} logs\n");
        to.buffer.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

pub(super) async fn fetch(FetchOptions { archive, to }: &FetchOptions) -> Result<Exit, CommandError> {
    let store = Store::open(&archive.target)?;
    fs::create_dir_all(to)?;
    if fs::read_dir(to)?.next().is_some() {
        return Err(CommandError::Usage(format!("{} is not empty", to.display())));
    }
    let places = places(&store, archive).await?;
    let mut identities: Vec<&str> = places.iter().map(|place| place.identity.as_str()).collect();
    identities.dedup();
    if identities.len() > 1 {
        return Err(CommandError::Usage(several(&store, archive, &identities).await?));
    }
    let mut exit = Exit::Sound;
    let mut printer = Printer::new();
    let kept = kept(&store, &places).await?;
    for disk in disks(&places) {
        let folders: Vec<PathBuf> = disk.iter().map(|place| to.join(place.chain.to_string())).collect();
        for folder in &folders {
            fs::create_dir(folder)?;
        }
        let mut counts = vec![0; disk.len()];
        let mut take = |number: usize, key: &SegmentKey, segment: &Segment| {
            let mut file = Part::begin(&folders[number].join(format!("log.{}", key.first)), Some(0o600))?;
            file.write_all(&segment.log)?;
            file.keep()?;
            counts[number] += segment.facts.count;
            Ok(())
        };
        let kept = disk.first().and_then(|place| kept.get(&place.identity));
        let checks = Check::of_disk(&store, kept, disk, &mut take).await?;
        for (((place, check), transactions), folder) in disk.iter().zip(checks).zip(counts).zip(&folders) {
            if !check.damage.is_empty() {
                exit = Exit::Damage;
            }
            let line = FetchedLine {
                identity: &place.identity,
                member: place.chain.member.0,
                disk: place.chain.disk.to_string(),
                rolled: place.chain.rolled,
                folder: folder.display().to_string(),
                logs: place.segments.len(),
                transactions,
                gaps: check.gaps,
                pruned: check.pruned,
                damage: check.damage,
            };
            line.print(archive.output, &mut printer)?;
        }
        printer.flush()?;
    }
    let Some(place) = places.first() else { return Ok(exit) };
    Ok(exit.worse(base_command::fetch(&store, &place.identity, to, (archive.output, &mut printer)).await?))
}
