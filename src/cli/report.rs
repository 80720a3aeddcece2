//! Prints the report of a verification.

use serde::Serialize;

use crate::cli::{CommandError, Exit, Output, Printer};
use crate::view::escape::push_message;
use zookeeper_files::disk::{Finding, Report};
use zookeeper_files::ids::{Zxid, ZxidRange};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FindingLine<'a> {
    file: String,
    severity: &'static str,
    finding: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zxid: Option<String>,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_start: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SummaryLine<'a> {
    member: &'a str,
    sound: bool,
    logs: u64,
    snapshots: u64,
    transactions: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<String>,
}

fn hex(zxid: Option<Zxid>) -> Option<String> {
    zxid.map(|zxid| format!("{zxid:#}"))
}

/// Prints the findings and a summary.
pub(crate) fn print(name: &str, report: &Report, output: Output, to: &mut Printer) -> Result<Exit, CommandError> {
    for finding in &report.findings {
        print_finding(finding, output, to)?;
    }
    let Report { logs, snapshots, records, bytes, first, last, .. } = *report;
    let sound = report.is_sound();
    match output {
        Output::Json => {
            let (first, last) = (hex(first), hex(last));
            to.json(&SummaryLine { member: name, sound, logs, snapshots, transactions: records, bytes, first, last })?;
        }
        Output::Human => {
            let range =
                first.zip(last).map(|(first, last)| format!(", {}", ZxidRange { first, last })).unwrap_or_default();
            let state = if sound { "sound" } else { "DAMAGED" };
            let line = format!(
                "{name}: {state}: {records} transactions in {logs} logs{range}; {snapshots} snapshots; {bytes} bytes"
            );
            push_message(&line, &mut to.buffer);
            to.buffer.push(b'\n');
            to.line_done()?;
        }
    }
    Ok(if sound { Exit::Sound } else { Exit::Damage })
}

fn print_finding(finding: &Finding, output: Output, to: &mut Printer) -> Result<(), CommandError> {
    let severity = finding.severity.name();
    match output {
        Output::Human => {
            push_message(&format!("{severity}: {finding}"), &mut to.buffer);
            to.buffer.push(b'\n');
        }
        Output::Json => to.json(&FindingLine {
            file: finding.path.display().to_string(),
            severity,
            finding: finding.name,
            offset: finding.offset,
            zxid: hex(finding.zxid),
            text: &finding.text,
            at_start: finding.at_start.map(zookeeper_files::log::AtStart::name),
        })?,
    }
    Ok(to.line_done()?)
}
