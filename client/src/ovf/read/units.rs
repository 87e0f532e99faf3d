//! Numbers and allocation units: `byte * 2^20` (DSP0004, annex C), and other tools' notations.

/// Returns the number of bytes in a unit. `None` if malformed. An empty unit means bytes.
///
/// Prefixes are binary in every spelling, as hypervisors mean them: `MB` is `byte * 2^20`.
pub(super) fn bytes_in(unit: &str) -> Option<u64> {
    let unit = unit.trim().to_lowercase().replace(['×', '·'], "*");
    // A separate `x` is a multiplication sign.
    let unit = unit.replace(" x ", "*").replace("**", "^");
    if unit.is_empty() {
        return Some(1);
    }
    let mut words = 0;
    let product = unit.split('*').map(str::trim).try_fold(1_u64, |product, factor| {
        let value = match factor.split_once('^') {
            Some((base, exponent)) => {
                let base = base.trim().parse::<u64>().ok()?;
                base.checked_pow(exponent.trim().parse().ok()?)?
            }
            None => match factor.parse() {
                Ok(number) => number,
                Err(_) => {
                    words += 1;
                    word(factor)?
                }
            },
        };
        product.checked_mul(value)
    })?;
    (words == 1).then_some(product)
}

/// Returns the bytes in a word such as `byte`, `MegaBytes`, `Mega Bytes`, `mebibyte` or `MiB`.
fn word(word: &str) -> Option<u64> {
    let word: String = word.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-')).collect();
    let prefix = ["bytes", "byte", "b"].iter().find_map(|suffix| word.strip_suffix(suffix))?;
    match prefix {
        "" => Some(1),
        "kilo" | "kibi" | "k" | "ki" => Some(1 << 10),
        "mega" | "mebi" | "m" | "mi" => Some(1 << 20),
        "giga" | "gibi" | "g" | "gi" => Some(1 << 30),
        "tera" | "tebi" | "t" | "ti" => Some(1 << 40),
        _ => None,
    }
}

/// Multiplies a decimal number by a unit. `None` if the product is not whole: `0.5` of 1024 is 512.
///
/// Other notations (`0x10`, `1e3`, `1,024`) are malformed, because readers disagree on their value.
pub(super) fn scaled(text: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let mut product = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    if !fraction.is_empty() {
        let parts = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let of_unit = fraction.parse::<u128>().ok()?.checked_mul(u128::from(unit))?;
        if of_unit % parts != 0 {
            return None;
        }
        product = product.checked_add(u64::try_from(of_unit / parts).ok()?)?;
    }
    Some(product)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_products_of_bytes() {
        for (unit, expect) in [
            ("byte", Some(1)),
            ("", Some(1)),
            ("byte * 2^20", Some(1 << 20)),
            ("byte*2^30", Some(1 << 30)),
            ("byte x 2^20", Some(1 << 20)),
            ("byte × 2 ^ 20", Some(1 << 20)),
            ("byte*2**20", Some(1 << 20)),
            ("2^20 * byte", Some(1 << 20)),
            ("Byte * 1024 * 2^10", Some(1 << 20)),
            ("byte * 10^9", Some(1_000_000_000)),
            ("byte * 2^64", None),
            ("byte * 2^40 * 2^40", None),
            ("byte * x", None),
            ("byte * byte", None),
            ("2^20", None),
            ("hertz * 10^6", None),
            ("byte * 2^-1", None),
            ("x", None),
        ] {
            assert_eq!(bytes_in(unit), expect, "{unit:?}");
        }
        for mega in ["MegaBytes", "Mega Bytes", "megabyte", "MB", "mb", "MiB", "MByte", "Mebibytes"]
        {
            assert_eq!(bytes_in(mega), Some(1 << 20), "{mega}");
        }
    }

    #[test]
    fn numbers_are_decimal_and_exact_or_none() {
        for (text, unit, expect) in [
            ("2", 1, Some(2)),
            (" 2.0 ", 1, Some(2)),
            ("0.5", 1 << 20, Some(1 << 19)),
            ("1.25", 4, Some(5)),
            ("0.3", 1, None),
            ("0x10", 1, None),
            ("1e3", 1, None),
            ("1,024", 1, None),
            ("-1", 1, None),
            ("+1", 1, None),
            ("", 1, None),
            (".5", 2, None),
            ("1.2.3", 1, None),
            ("18446744073709551616", 1, None),
            ("9223372036854775808", 2, None),
        ] {
            assert_eq!(scaled(text, unit), expect, "{text:?} of {unit}");
        }
        assert_eq!(scaled(&format!("1.{}", "1".repeat(60)), 1), None);
    }
}
