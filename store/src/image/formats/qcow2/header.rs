//! The qcow2 header, its extensions, and the name of the backing file.
//!
//! Features that Seawall does not read are refused here, so the other modules deal with one kind of
//! image only.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::super::fields::{be32, be64};
use crate::image::ImageError;
use crate::image::format::QCOW2_MAGIC;
use crate::image::source::NamedSource;

/// QEMU's limits on the cluster size, as powers of two.
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
/// The format's minimum with subclusters.
const EXTENDED_CLUSTER_BITS_MIN: u32 = 14;
/// Maximum length of a disk, in bytes.
const DISK_LEN_MAX: u64 = 64 << 40;
const SECTOR_LEN: u64 = 512;
const BACKING_NAME_LEN_MAX: u64 = 1023;
const HEADER_LEN_V2: u64 = 72;
const HEADER_LEN_V3_MIN: u64 = 104;
/// Length of the fixed part with every field that is read, in bytes; absent fields are zeros.
const FIXED_LEN: usize = 112;

const INCOMPATIBLE_DIRTY: u64 = 1 << 0;
const INCOMPATIBLE_CORRUPT: u64 = 1 << 1;
const INCOMPATIBLE_DATA_FILE: u64 = 1 << 2;
const INCOMPATIBLE_COMPRESSION: u64 = 1 << 3;
const INCOMPATIBLE_EXTENDED_L2: u64 = 1 << 4;

const EXTENSION_END: u32 = 0;
const EXTENSION_BACKING_FORMAT: u32 = 0xe279_2aca;

/// The compression of compressed clusters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Compression {
    Deflate,
    Zstd,
}

/// The backing file, which has the bytes that an image does not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::image) struct Backing {
    /// The name as written in the image; relative names are relative to the image's directory.
    pub(in crate::image) name: PathBuf,
    /// The format as written in the image.
    pub(in crate::image) format: Option<String>,
}

/// A validated header: every combination of its fields can be read correctly.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) cluster_bits: u32,
    pub(super) disk_len: u64,
    pub(super) l1_offset: u64,
    pub(super) l1_len: u32,
    pub(super) compression: Compression,
    pub(super) extended_l2: bool,
    pub(super) backing: Option<Backing>,
}

impl Header {
    pub(super) fn parse(source: &NamedSource) -> Result<Self, ImageError> {
        let fixed = Fixed::read(source)?;
        let cluster_bits = fixed.be32(20);
        if !CLUSTER_BITS.contains(&cluster_bits) {
            return Err(source.damaged(
                "header field cluster_bits",
                20,
                format!("{cluster_bits} is not from 9 to 21"),
            ));
        }
        let header_len = fixed.header_len(cluster_bits)?;
        // Only version 3 has feature bits; version 2 has extensions in their place.
        let features = if fixed.version == 3 { fixed.be64(72) } else { 0 };
        fixed.check_features(features)?;
        let extended_l2 = features & INCOMPATIBLE_EXTENDED_L2 != 0;
        if extended_l2 && cluster_bits < EXTENDED_CLUSTER_BITS_MIN {
            return Err(source.damaged(
                "header field cluster_bits",
                20,
                format!("{cluster_bits} is below 14, the least for extended L2 entries"),
            ));
        }
        Ok(Self {
            version: fixed.version,
            cluster_bits,
            disk_len: fixed.disk_len()?,
            l1_offset: fixed.be64(40),
            l1_len: fixed.be32(36),
            compression: fixed.compression(features, header_len)?,
            extended_l2,
            backing: fixed.backing(header_len, 1 << cluster_bits)?,
        })
    }
}

/// The first bytes of the file, with a valid magic number and version.
struct Fixed<'a> {
    source: &'a NamedSource,
    bytes: [u8; FIXED_LEN],
    version: u32,
}

impl<'a> Fixed<'a> {
    fn read(source: &'a NamedSource) -> Result<Self, ImageError> {
        if source.len < HEADER_LEN_V2 {
            let reason = format!("the file has {} bytes, a header has 72 or more", source.len);
            return Err(source.damaged("header", 0, reason));
        }
        let mut bytes = [0; FIXED_LEN];
        let len = usize::try_from(source.len).map_or(FIXED_LEN, |len| len.min(FIXED_LEN));
        source.read(0, &mut bytes[..len])?;
        if bytes[..4] != QCOW2_MAGIC {
            return Err(source.damaged("header", 0, "it does not start with the qcow2 magic"));
        }
        let version = be32(&bytes, 4);
        if version != 2 && version != 3 {
            let convert = "convert it with `qemu-img convert -O qcow2`";
            return Err(unsupported(source, format!("qcow version {version}"), convert));
        }
        Ok(Self { source, bytes, version })
    }

    fn be32(&self, at: usize) -> u32 {
        be32(&self.bytes, at)
    }

    fn be64(&self, at: usize) -> u64 {
        be64(&self.bytes, at)
    }

    fn header_len(&self, cluster_bits: u32) -> Result<u64, ImageError> {
        if self.version == 2 {
            return Ok(HEADER_LEN_V2);
        }
        let len = u64::from(self.be32(100));
        let cluster_len = 1 << cluster_bits;
        if len < HEADER_LEN_V3_MIN || len > cluster_len || len > self.source.len {
            let reason = format!("{len} is below 104, or past the first cluster or the file");
            return Err(self.source.damaged("header field header_length", 100, reason));
        }
        Ok(len)
    }

    fn check_features(&self, features: u64) -> Result<(), ImageError> {
        let refuse =
            |feature: &str, remedy: &str| Err(unsupported(self.source, feature.to_owned(), remedy));
        let unknown = features
            & !(INCOMPATIBLE_DIRTY
                | INCOMPATIBLE_CORRUPT
                | INCOMPATIBLE_DATA_FILE
                | INCOMPATIBLE_COMPRESSION
                | INCOMPATIBLE_EXTENDED_L2);
        if unknown != 0 {
            return refuse(
                &format!("the unknown incompatible features {unknown:#x} of qcow2"),
                "convert it with `qemu-img convert -O qcow2` of the release that made it",
            );
        }
        if features & INCOMPATIBLE_CORRUPT != 0 {
            let reason = "the image is marked as corrupt";
            return Err(self.source.damaged("header field incompatible_features", 72, reason));
        }
        if features & INCOMPATIBLE_DATA_FILE != 0 {
            return refuse(
                "an external data file",
                "make it one file with `qemu-img convert -O qcow2`",
            );
        }
        let method = match self.be32(32) {
            0 => return Ok(()),
            1 => "AES encryption".to_owned(),
            2 => "LUKS encryption".to_owned(),
            other => format!("encryption of kind {other}"),
        };
        refuse(&method, "decrypt it with `qemu-img convert` and the option `--object secret,…`")
    }

    fn compression(&self, features: u64, header_len: u64) -> Result<Compression, ImageError> {
        // The byte at 104. A shorter header has extensions there.
        let kind = if self.version == 3 && header_len > 104 { self.bytes[104] } else { 0 };
        let marked = features & INCOMPATIBLE_COMPRESSION != 0;
        match (kind, marked) {
            (0, false) => Ok(Compression::Deflate),
            (1, true) => Ok(Compression::Zstd),
            (0 | 1, _) => {
                let reason = format!("type {kind} contradicts the compression feature bit");
                Err(self.source.damaged("header field compression_type", 104, reason))
            }
            (other, _) => Err(unsupported(
                self.source,
                format!("compression of type {other}"),
                "convert it with `qemu-img convert -O qcow2 -o compression_type=zlib`",
            )),
        }
    }

    fn disk_len(&self) -> Result<u64, ImageError> {
        let len = self.be64(24);
        if len > DISK_LEN_MAX {
            let reason = format!("{len} bytes are more than 64 TiB");
            return Err(self.source.damaged("header field size", 24, reason));
        }
        // A guest sees whole sectors only.
        Ok(len - len % SECTOR_LEN)
    }

    fn backing(&self, header_len: u64, cluster_len: u64) -> Result<Option<Backing>, ImageError> {
        let name_offset = self.be64(8);
        let name_len = u64::from(self.be32(16));
        if name_offset == 0 || name_len == 0 {
            return Ok(None);
        }
        let end = name_offset.checked_add(name_len);
        if name_len > BACKING_NAME_LEN_MAX
            || name_offset < header_len
            || end.is_none_or(|end| end > cluster_len.min(self.source.len))
        {
            let reason = format!("{name_len} bytes at {name_offset} are too long or out of place");
            return Err(self.source.damaged("backing file name", 8, reason));
        }
        let name = read_bytes(self.source, name_offset, name_len)?;
        if name.contains(&0) {
            let reason = "it contains a zero byte";
            return Err(self.source.damaged("backing file name", name_offset, reason));
        }
        let format = self.backing_format(header_len, name_offset)?;
        Ok(Some(Backing { name: PathBuf::from(OsStr::from_bytes(&name)), format }))
    }

    /// Looks for the extension with the backing format, between the header and `end`.
    fn backing_format(&self, header_len: u64, end: u64) -> Result<Option<String>, ImageError> {
        let mut offset = header_len;
        // Each iteration consumes at least 8 bytes of one cluster.
        while offset + 8 <= end {
            let mut head = [0; 8];
            self.source.read(offset, &mut head)?;
            let (kind, len) = (be32(&head, 0), u64::from(be32(&head, 4)));
            if kind == EXTENSION_END {
                break;
            }
            if len > end - offset - 8 {
                let reason = format!("{len} bytes do not fit between the header and byte {end}");
                return Err(self.source.damaged("header extension", offset, reason));
            }
            if kind == EXTENSION_BACKING_FORMAT {
                let name = read_bytes(self.source, offset + 8, len)?;
                return Ok(Some(String::from_utf8_lossy(&name).into_owned()));
            }
            offset += 8 + len.next_multiple_of(8);
        }
        Ok(None)
    }
}

fn unsupported(source: &NamedSource, feature: String, remedy: &str) -> ImageError {
    ImageError::Unsupported { path: source.path.clone(), feature, remedy: remedy.to_owned() }
}

/// Reads `len` bytes; callers bound `len` by a cluster.
fn read_bytes(source: &NamedSource, offset: u64, len: u64) -> Result<Vec<u8>, ImageError> {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    source.read(offset, &mut bytes)?;
    Ok(bytes)
}
