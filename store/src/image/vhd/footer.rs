//! The footer: at the end of each VHD, and once more at the start of those that have blocks.

use super::super::fields::{array, be16, be32, be64};
use super::super::parent::Id;

pub(in super::super) const FOOTER_LEN: u64 = 512;
pub(in super::super) const COOKIE: [u8; 8] = *b"conectix";
/// Where the checksum stands, in the footer.
pub(in super::super) const CHECKSUM_AT: usize = 64;
/// The longest disk of the format: 2040 GiB.
pub(in super::super) const DISK_LEN_MAX: u64 = 0xff00_0000 * SECTOR_LEN;
pub(in super::super) const SECTOR_LEN: u64 = 512;
/// Cylinders, heads and sectors of a disk that has more than geometry can say.
pub(in super::super) const GEOMETRY_MAX: (u16, u8, u8) = (65_535, 16, 255);

const VERSION: u32 = 0x0001_0000;
const FIXED: u32 = 2;
const DYNAMIC: u32 = 3;
const DIFFERENCING: u32 = 4;

/// What kind of VHD a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Kind {
    Fixed,
    Dynamic,
    Differencing,
}

/// A footer with a right checksum.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Footer {
    pub(super) kind: Kind,
    pub(super) disk_len: u64,
    /// Where the header of a VHD with blocks is.
    pub(super) header_offset: u64,
    pub(super) id: Id,
}

/// The one's complement of the sum of all bytes but those of the checksum itself.
pub(in super::super) fn checksum(bytes: &[u8], checksum_at: usize) -> u32 {
    let counted =
        bytes.iter().enumerate().filter(|(at, _)| !(checksum_at..checksum_at + 4).contains(at));
    !counted.fold(0u32, |sum, (_, byte)| sum.wrapping_add(u32::from(*byte)))
}

impl Footer {
    /// Proves a footer, or says what is wrong with it.
    pub(in super::super) fn parse(bytes: &[u8; 512]) -> Result<Self, String> {
        if bytes[..8] != COOKIE {
            return Err("it does not start with `conectix`".to_owned());
        }
        let (found, right) = (be32(bytes, CHECKSUM_AT), checksum(bytes, CHECKSUM_AT));
        if found != right {
            return Err(format!("its checksum is {found:#x}, its bytes have {right:#x}"));
        }
        let version = be32(bytes, 12);
        if version != VERSION {
            return Err(format!("its version is {version:#x}, known is {VERSION:#x}"));
        }
        let kind = match be32(bytes, 60) {
            FIXED => Kind::Fixed,
            DYNAMIC => Kind::Dynamic,
            DIFFERENCING => Kind::Differencing,
            other => return Err(format!("its disk type is {other}, not 2, 3 or 4")),
        };
        let disk_len = disk_len(bytes);
        if disk_len > DISK_LEN_MAX {
            return Err(format!("its disk of {disk_len} bytes is longer than 2040 GiB"));
        }
        Ok(Self { kind, disk_len, header_offset: be64(bytes, 16), id: array(bytes, 68) })
    }
}

/// The length of the disk. Virtual PC and old releases of QEMU show the guest as much as geometry
/// can say and name more than that, all others mean what they name.
fn disk_len(bytes: &[u8]) -> u64 {
    let named = be64(bytes, 48);
    let geometry = (be16(bytes, 56), bytes[58], bytes[59]);
    let of_geometry = matches!(&bytes[28..32], b"vpc " | b"qemu") && geometry != GEOMETRY_MAX;
    if of_geometry {
        let (cylinders, heads, sectors) = geometry;
        return u64::from(cylinders) * u64::from(heads) * u64::from(sectors) * SECTOR_LEN;
    }
    // A guest sees whole sectors only.
    named - named % SECTOR_LEN
}
