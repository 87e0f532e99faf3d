//! Allocation units: `byte * 2^20` (DSP0004, annex C), and what older tools write.

/// Bytes in a unit; `None` for what is none.
pub(super) fn bytes_in(unit: &str) -> Option<u64> {
    let unit = unit.trim().to_ascii_lowercase();
    let mut factors = unit.split('*').map(str::trim);
    let base: u64 = match factors.next()? {
        "" | "byte" | "bytes" | "b" => 1,
        "kilobytes" | "kilobyte" | "kb" | "kib" => 1 << 10,
        "megabytes" | "megabyte" | "mb" | "mib" => 1 << 20,
        "gigabytes" | "gigabyte" | "gb" | "gib" => 1 << 30,
        "terabytes" | "terabyte" | "tb" | "tib" => 1 << 40,
        _ => return None,
    };
    factors.try_fold(base, |product, factor| {
        let value = match factor.split_once('^') {
            Some((base, exponent)) => {
                let base = base.trim().parse::<u64>().ok()?;
                base.checked_pow(exponent.trim().parse().ok()?)?
            }
            None => factor.parse().ok()?,
        };
        product.checked_mul(value)
    })
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
            ("Byte * 1024 * 2^10", Some(1 << 20)),
            ("byte * 10^9", Some(1_000_000_000)),
            ("MegaBytes", Some(1 << 20)),
            ("byte * 2^64", None),
            ("byte * 2^40 * 2^40", None),
            ("byte * x", None),
            ("hertz * 10^6", None),
            ("byte * 2^-1", None),
        ] {
            assert_eq!(bytes_in(unit), expect, "{unit:?}");
        }
    }
}
