//! A quantity of memory as users write it: `2048` (MiB), `"512 MiB"`, `"2 GiB"`, `"1 TiB"`.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A quantity of memory in MiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct MemoryMib(pub(super) u64);

impl Default for MemoryMib {
    fn default() -> Self {
        Self(1024)
    }
}

const RULE: &str = "write memory as a number of MiB, or as \"512 MiB\", \"2 GiB\" or \"1 TiB\"";

impl FromStr for MemoryMib {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| RULE)?;
        // `4G` means GiB in QEMU and virsh. `GB` is refused, because some read it as 10^9 bytes,
        // and no guest has such a memory.
        let factor = match unit.trim_start() {
            "" | "M" | "MiB" => 1,
            "G" | "GiB" => 1 << 10,
            "T" | "TiB" => 1 << 20,
            _ => return Err(RULE),
        };
        number.checked_mul(factor).map(Self).ok_or(RULE)
    }
}

impl<'de> Deserialize<'de> for MemoryMib {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Memory;
        impl Visitor<'_> for Memory {
            type Value = MemoryMib;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of MiB or a text such as \"2 GiB\"")
            }

            fn visit_i64<E: de::Error>(self, mib: i64) -> Result<MemoryMib, E> {
                u64::try_from(mib).map(MemoryMib).map_err(|_| E::custom(RULE))
            }

            fn visit_u64<E: de::Error>(self, mib: u64) -> Result<MemoryMib, E> {
                Ok(MemoryMib(mib))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<MemoryMib, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_reads_in_binary_units_only() {
        let cases = [
            ("2048", Some(2048)),
            ("512 MiB", Some(512)),
            ("2GiB", Some(2048)),
            (" 1 TiB ", Some(1 << 20)),
            ("2 GB", None),
            ("2G", Some(2048)),
            ("512M", Some(512)),
            ("1.5 GiB", None),
            ("-1", None),
            ("", None),
            ("18446744073709551615 TiB", None),
        ];
        for (text, expect) in cases {
            assert_eq!(text.parse().ok(), expect.map(MemoryMib), "{text:?}");
        }
    }
}
