//! Formats times, and does it fast: a log has millions of them, and most are in the same second as the one before.

pub(crate) use zookeeper_files::time::{civil, iso_text};

/// Formats milliseconds since 1970. It keeps the text of the last second for the next time.
#[derive(Debug)]
pub(crate) struct Clock {
    second: i64,
    text: Vec<u8>,
    write: fn(i64, &mut Vec<u8>),
}

impl Clock {
    /// As `2026-11-23T19:52:00.123Z`.
    pub(crate) fn iso() -> Self {
        Self { second: i64::MIN, text: Vec::new(), write: iso }
    }

    /// As `11/23/26, 7:52:00 PM UTC`, like Java in English.
    pub(crate) fn java() -> Self {
        Self { second: i64::MIN, text: Vec::new(), write: java }
    }

    fn second(&mut self, millis: i64) -> &[u8] {
        let second = millis.div_euclid(1000);
        if self.second != second {
            self.text.clear();
            (self.write)(second, &mut self.text);
            self.second = second;
        }
        &self.text
    }

    pub(crate) fn push_second(&mut self, millis: i64, to: &mut Vec<u8>) {
        to.extend_from_slice(self.second(millis));
    }

    pub(crate) fn push_millis(&mut self, millis: i64, to: &mut Vec<u8>) {
        to.extend_from_slice(self.second(millis));
        let rest = millis.rem_euclid(1000);
        let digit = |number: i64| b'0' + u8::try_from(number % 10).unwrap_or(0);
        to.extend_from_slice(&[b'.', digit(rest / 100), digit(rest / 10), digit(rest), b'Z']);
    }
}

fn iso(second: i64, to: &mut Vec<u8>) {
    let (year, month, day) = civil(second.div_euclid(86_400));
    let of_day = second.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    to.extend_from_slice(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}").as_bytes());
}

fn java(second: i64, to: &mut Vec<u8>) {
    let (year, month, day) = civil(second.div_euclid(86_400));
    let of_day = second.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let (half, year) = (if hour < 12 { "AM" } else { "PM" }, year.rem_euclid(100));
    let hour = if hour % 12 == 0 { 12 } else { hour % 12 };
    to.extend_from_slice(format!("{month}/{day}/{year:02}, {hour}:{minute:02}:{second:02} {half} UTC").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_one_that_a_calendar_library_says() {
        for millis in
            [0, -1, 951_782_400_123, 1_709_164_800_000, 4_102_444_799_999, -62_135_596_800_000, 1_700_000_000_001]
        {
            let expected = jiff::Timestamp::from_millisecond(millis).unwrap();
            assert_eq!(iso_text(millis), format!("{expected:.3}"));
        }
    }

    #[test]
    fn java_counts_the_hours_of_each_half_from_twelve() {
        let text = |millis| {
            let mut text = Vec::new();
            Clock::java().push_second(millis, &mut text);
            String::from_utf8(text).unwrap()
        };
        assert_eq!(text(0), "1/1/70, 12:00:00 AM UTC");
        assert_eq!(text(1_795_463_520_000), "11/23/26, 7:52:00 PM UTC");
    }
}
