//! Options for a part of the history: from one point to another, and of one session.

use clap::Args;

use crate::cli::point::{self, TimeArg};
use crate::view::time::iso_text;
use zookeeper_files::ids::{Zxid, ZxidRange};
use zookeeper_files::log::Header;

/// Bounds of the history, and a session.
#[derive(Args, Debug, Default)]
pub(crate) struct RangeOptions {
    /// Start at this transaction: its zxid, like 0x10000002a
    #[arg(long, value_name = "ZXID", value_parser = point::zxid)]
    pub(crate) from: Option<Zxid>,
    /// End at this transaction
    #[arg(long, value_name = "ZXID", value_parser = point::zxid)]
    pub(crate) to: Option<Zxid>,
    /// Start at this time, like 2026-11-23T19:52:00Z, or at a time before now, like 90m, 1h or 2d
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<TimeArg>,
    /// End before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<TimeArg>,
    /// Show only this session, in hexadecimal
    #[arg(long, value_name = "ID", value_parser = session)]
    pub(crate) session: Option<i64>,
}

impl RangeOptions {
    /// Whether the range includes every transaction.
    pub(crate) fn is_open(&self) -> bool {
        let Self { from, to, since, until, session } = self;
        from.is_none() && to.is_none() && since.is_none() && until.is_none() && session.is_none()
    }

    /// Whether anything can be in it.
    pub(crate) fn check(&self) -> Result<(), String> {
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since.0 >= until.0
        {
            let [since, until] = [since, until].map(|time| iso_text(time.0));
            return Err(format!(
                "nothing is between --since {since} and --until {until}: the first has to be the earlier one"
            ));
        }
        match (self.from, self.to) {
            (Some(from), Some(to)) if from > to => {
                Err(format!("nothing is between --from {from:#} and --to {to:#}: the first has to be the lower one"))
            }
            _ => Ok(()),
        }
    }

    /// The zxids from `--from` to `--to`.
    pub(crate) fn zxids(&self) -> ZxidRange {
        let ZxidRange { first, last } = ZxidRange::ALL;
        ZxidRange { first: self.from.unwrap_or(first), last: self.to.unwrap_or(last) }
    }

    /// Whether a transaction is in the range.
    pub(crate) fn lets(&self, header: &Header) -> bool {
        self.zxids().contains(header.zxid)
            && self.since.is_none_or(|since| header.time >= since.0)
            && self.until.is_none_or(|until| header.time < until.0)
            && self.session.is_none_or(|session| header.session.0 == session)
    }
}

fn session(text: &str) -> Result<i64, String> {
    let parsed = u64::from_str_radix(text.trim_start_matches("0x"), 16);
    parsed.map(u64::cast_signed).map_err(|error| error.to_string())
}

/// Parses a path, and gives it ZooKeeper's form: only `/` itself ends in a slash.
pub(crate) fn path(text: &str) -> Result<String, String> {
    if text != "/" && text.starts_with('/') && text.ends_with('/') {
        return Ok(text.trim_end_matches('/').to_owned());
    }
    if text.starts_with('/') { Ok(text.to_owned()) } else { Err("a path begins with /".to_owned()) }
}
