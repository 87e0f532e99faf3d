//! Conversion between Unix time and date texts in UTC.

/// Formats seconds since 1970-01-01 UTC as `2026-11-22T04:07:00Z` (RFC 3339).
#[must_use]
pub fn rfc3339(secs: u64) -> String {
    let (days, rest) = (secs / 86_400, secs % 86_400);
    // Days to civil date, Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2014.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Parses `2026-11-22`, `2026-11-22T04:07:00Z`, or the same with a space instead of the `T`, into
/// seconds since 1970-01-01 UTC.
///
/// Returns `None` for any other text and for times before 1970.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let (date, time) = text.split_at_checked(10)?;
    let number = |text: &str, len: usize| -> Option<u64> {
        (text.len() == len && text.bytes().all(|b| b.is_ascii_digit()))
            .then(|| text.parse().ok())?
    };
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    if parts.next().is_some() || year < 1970 || !(1..=12).contains(&month) {
        return None;
    }
    let is_leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let days_of_month = match month {
        2 => 28 + u64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1..=days_of_month).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    let secs = if time.is_empty() { 0 } else { time_of_day(time, number)? };
    Some(days * 86_400 + secs)
}

fn time_of_day(text: &str, number: impl Fn(&str, usize) -> Option<u64>) -> Option<u64> {
    let text = text.strip_prefix(['T', ' '])?.strip_suffix('Z')?;
    let mut parts = text.split(':').map(|part| number(part, 2));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let is_time = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    is_time.then_some(hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments_are_dates_in_utc() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_320_420, "2026-11-22T04:07:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
        ];
        for (secs, text) in cases {
            assert_eq!(rfc3339(secs), text);
        }
        assert_eq!(parse("2000-02-29"), Some(951_782_400));
    }

    #[test]
    fn invalid_moments_are_none() {
        for text in [
            "",
            "2026-11-2",
            "2026-13-01",
            "2026-02-29",
            "1969-12-31",
            "2026-11-22T04:07:00",
            "2026-11-22T24:00:00Z",
            "2026-11-22T04:07Z",
            "2026-11-22T04:07:00:00Z",
            "+026-11-22",
            "2026-11-2é",
            "2026/11/22",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_moment_parses_as_it_prints(secs in 0u64..253_402_300_800) {
            prop_assert_eq!(parse(&rfc3339(secs)), Some(secs));
            prop_assert_eq!(parse(&rfc3339(secs).replace('T', " ")), Some(secs));
        }
    }
}
