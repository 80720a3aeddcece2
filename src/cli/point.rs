//! Points of a history as users write them.

use std::str::FromStr;

use crate::files::Point;
use crate::model::ids::Zxid;

/// `0x10000002a`, or `2026-11-23T19:52:00Z`, or `@1795463520000` in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PointArg(pub(crate) Point);

impl FromStr for PointArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "end" => Ok(Self(Point::End)),
            _ if text.starts_with("0x") => {
                text.parse::<Zxid>().map(|zxid| Self(Point::Zxid(zxid))).map_err(|error| error.to_string())
            }
            _ => text.parse::<TimeArg>().map(|time| Self(Point::Time(time.0))),
        }
    }
}

/// A time in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeArg(pub(crate) i64);

impl FromStr for TimeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(millis) = text.strip_prefix('@') {
            return millis.parse().map(Self).map_err(|_| format!("{text}: not @ and milliseconds since 1970"));
        }
        let time: Result<jiff::Timestamp, _> = text.parse();
        time.map(|time| Self(time.as_millisecond())).map_err(|_| {
            format!("{text}: neither a zxid like 0x10000002a nor a time like 2026-11-23T19:52:00Z or @1795463520000")
        })
    }
}
