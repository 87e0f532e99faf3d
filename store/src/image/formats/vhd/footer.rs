//! The footer of a VHD: at the end of the file, with a copy at the start of files with blocks.

use super::super::blocks::parent::Id;
use super::super::fields::{array, be16, be32, be64};

pub(in crate::image) const FOOTER_LEN: u64 = 512;
pub(in crate::image) const COOKIE: [u8; 8] = *b"conectix";
/// Offset of the checksum in the footer.
pub(in crate::image) const CHECKSUM_AT: usize = 64;
/// Maximum length of a disk, in bytes: 2040 GiB.
pub(in crate::image) const DISK_LEN_MAX: u64 = 0xff00_0000 * SECTOR_LEN;
pub(in crate::image) const SECTOR_LEN: u64 = 512;
/// Cylinders, heads and sectors of a disk that exceeds any geometry.
pub(in crate::image) const GEOMETRY_MAX: (u16, u8, u8) = (65_535, 16, 255);

const VERSION: u32 = 0x0001_0000;
const FIXED: u32 = 2;
const DYNAMIC: u32 = 3;
const DIFFERENCING: u32 = 4;

/// The kind of a VHD.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::image) enum Kind {
    Fixed,
    Dynamic,
    Differencing,
}

/// A footer with a valid checksum.
#[derive(Clone, Copy, Debug)]
pub(in crate::image) struct Footer {
    pub(super) kind: Kind,
    pub(super) disk_len: u64,
    /// The offset of the header of a VHD with blocks.
    pub(super) header_offset: u64,
    pub(super) id: Id,
}

/// Returns the one's complement of the sum of all bytes except the checksum's.
pub(in crate::image) fn checksum(bytes: &[u8], checksum_at: usize) -> u32 {
    let counted =
        bytes.iter().enumerate().filter(|(at, _)| !(checksum_at..checksum_at + 4).contains(at));
    !counted.fold(0u32, |sum, (_, byte)| sum.wrapping_add(u32::from(*byte)))
}

impl Footer {
    /// Parses and validates a footer. The error is the reason.
    pub(in crate::image) fn parse(bytes: &[u8; 512]) -> Result<Self, String> {
        if bytes[..8] != COOKIE {
            return Err("it does not start with `conectix`".to_owned());
        }
        let (found, right) = (be32(bytes, CHECKSUM_AT), checksum(bytes, CHECKSUM_AT));
        if found != right {
            return Err(format!("its checksum is {found:#x}, its bytes have {right:#x}"));
        }
        let version = be32(bytes, 12);
        if version != VERSION {
            return Err(format!("its version is {version:#x}, not {VERSION:#x}"));
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

/// Returns the length of the disk, in bytes. Files of Virtual PC and of old releases of QEMU have
/// the length of their geometry and state a greater one; all others have the length they state.
fn disk_len(bytes: &[u8]) -> u64 {
    let named = be64(bytes, 48);
    let geometry = (be16(bytes, 56), bytes[58], bytes[59]);
    let of_geometry = matches!(&bytes[28..32], b"vpc " | b"qemu") && geometry != GEOMETRY_MAX;
    if of_geometry {
        let (cylinders, heads, sectors) = geometry;
        return u64::from(cylinders) * u64::from(heads) * u64::from(sectors) * SECTOR_LEN;
    }
    // A guest only sees whole sectors.
    named - named % SECTOR_LEN
}
