//! Times as people read them.

/// Year, month and day of a number of days since 1970. It is Howard Hinnant's algorithm `civil_from_days`, in our own
/// code.
pub fn civil(days: i64) -> (i64, u32, u32) {
    // If years begin in March, their leap day is the last day, and each 400 years have 146 097 days.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, u32::try_from(month).unwrap_or(1), u32::try_from(day).unwrap_or(1))
}

/// Milliseconds since 1970 as `2026-11-23T19:52:00.123Z`.
pub fn iso_text(millis: i64) -> String {
    let (second, rest) = (millis.div_euclid(1000), millis.rem_euclid(1000));
    let (year, month, day) = civil(second.div_euclid(86_400));
    let of_day = second.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{rest:03}Z")
}
