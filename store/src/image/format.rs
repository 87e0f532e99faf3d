//! Which container format a file has, told by its content.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::ImageError;
use super::source::{Source, read_error};
use super::vmdk;

/// A container format that Seawall reads.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// The disk's bytes and nothing else.
    Raw,
    /// QEMU's copy-on-write format, versions 2 and 3.
    Qcow2,
    /// VMware's format: a sparse file, or a descriptor and its extents.
    Vmdk,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vmdk => "vmdk",
        })
    }
}

/// A name that stands for no format that Seawall reads.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown image format {0:?}; known are raw, qcow2 and vmdk")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text {
            "raw" => Ok(Self::Raw),
            "qcow2" => Ok(Self::Qcow2),
            "vmdk" => Ok(Self::Vmdk),
            other => Err(UnknownFormat(other.to_owned())),
        }
    }
}

/// `QFI\xfb`; versions 2 and 3 are qcow2, version 1 is told apart by the header parser.
pub(super) const QCOW2_MAGIC: [u8; 4] = *b"QFI\xfb";

/// Formats with a signature that are refused rather than taken for raw: offset, bytes, name.
const FOREIGN: [(usize, &[u8], &str); 6] = [
    (0, b"vhdxfile", "VHDX"),
    (0, b"conectix", "VHD"),
    (0x40, &[0x7f, 0x10, 0xda, 0xbe], "VDI"),
    (0, b"QED\0", "QED"),
    (0, b"WithoutFreeSpace", "Parallels"),
    (0, b"WithouFreSpacExt", "Parallels"),
];

const HEAD_LEN: u64 = 512;
/// A VHD of fixed length is the raw disk with this footer.
const VHD_FOOTER_LEN: u64 = 512;

/// Tells the format of an open file by its content.
///
/// # Errors
///
/// A recognised format that Seawall does not read is refused: stored as raw, it would give the
/// guest the container's bytes.
pub(super) fn detect(path: &Path, file: &dyn Source) -> Result<Format, ImageError> {
    let head = read_some(path, file, 0, HEAD_LEN)?;
    if head.starts_with(&QCOW2_MAGIC) {
        return Ok(Format::Qcow2);
    }
    if vmdk::is_vmdk(&head) {
        return Ok(Format::Vmdk);
    }
    for (offset, signature, name) in FOREIGN {
        if head.get(offset..).is_some_and(|bytes| bytes.starts_with(signature)) {
            return Err(foreign(path, name));
        }
    }
    let footer = file.source_len().saturating_sub(VHD_FOOTER_LEN);
    if read_some(path, file, footer, VHD_FOOTER_LEN)?.starts_with(b"conectix") {
        return Err(foreign(path, "VHD"));
    }
    Ok(Format::Raw)
}

fn read_some(
    path: &Path,
    file: &dyn Source,
    offset: u64,
    len_max: u64,
) -> Result<Vec<u8>, ImageError> {
    let len = len_max.min(file.source_len().saturating_sub(offset));
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_exact_at(offset, &mut bytes)
        .map_err(|source| read_error(path, file.source_len(), offset, source))?;
    Ok(bytes)
}

fn foreign(path: &Path, name: &str) -> ImageError {
    ImageError::Unsupported {
        path: path.to_owned(),
        feature: format!("the {name} format"),
        remedy: "convert it with `qemu-img convert -O qcow2` for now; if it is the disk itself \
                 that starts or ends like this, give the format `raw`"
            .to_owned(),
    }
}
