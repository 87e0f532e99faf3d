//! Parsing of sizes such as `500GiB`, and of durations such as `90d`.

/// Parses a size such as `500GiB`, `2TB` or `4096`, a whole number with an optional unit, into
/// bytes.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// Parses a duration such as `90s`, `15m`, `12h` or `7d` into seconds.
pub(crate) fn duration_secs(text: &str) -> Option<u64> {
    let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
    units
        .iter()
        .find_map(|(unit, secs)| text.strip_suffix(*unit)?.parse::<u64>().ok()?.checked_mul(*secs))
}

#[cfg(test)]
mod tests {
    use super::{duration_secs, parse};

    #[test]
    fn durations_have_a_number_and_a_unit() {
        let cases = [("90m", Some(5400)), ("12h", Some(43_200)), ("7d", Some(604_800))];
        for (text, secs) in cases {
            assert_eq!(duration_secs(text), secs, "{text}");
        }
        for text in ["", "d", "7", "7w", "-1d", "1.5h", "18446744073709551615d"] {
            assert_eq!(duration_secs(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_have_a_number_and_perhaps_a_unit() {
        let cases = [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("64m", Some(64 << 20)),
            ("500GiB", Some(500 << 30)),
            ("2 TB", Some(2_000_000_000_000)),
            ("17000000TiB", None),
            ("GiB", None),
            ("-1", None),
            ("1.5GiB", None),
            ("5 %", None),
            ("", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse(text), bytes, "{text}");
        }
    }
}
