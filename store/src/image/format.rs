//! Which container format a file has, told by its content.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::source::{Source, read_error};
use super::vhd::footer::FOOTER_LEN;
use super::{ImageError, vdi, vhd, vhdx, vmdk};

/// A container format that Seawall reads.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// The disk's bytes and nothing else.
    Raw,
    /// QEMU's copy-on-write format, versions 2 and 3.
    Qcow2,
    /// Microsoft's older format: fixed, dynamic and differencing.
    Vhd,
    /// Microsoft's newer format, of Hyper-V since 2012.
    Vhdx,
    /// VirtualBox's format.
    Vdi,
    /// VMware's format: a sparse file, or a descriptor and its extents.
    Vmdk,
}

impl Format {
    /// All formats, with their names here and, where it has another one, in QEMU.
    const NAMES: [(Self, &str, &str); 6] = [
        (Self::Raw, "raw", "raw"),
        (Self::Qcow2, "qcow2", "qcow2"),
        (Self::Vhd, "vhd", "vpc"),
        (Self::Vhdx, "vhdx", "vhdx"),
        (Self::Vdi, "vdi", "vdi"),
        (Self::Vmdk, "vmdk", "vmdk"),
    ];

    /// The format that QEMU calls so.
    pub(super) fn of_qemu(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, _, of_qemu)| *of_qemu == name).map(|(format, ..)| *format)
    }

    /// QEMU's name of the format.
    pub(super) fn qemu_name(self) -> &'static str {
        Self::NAMES.iter().find(|(format, ..)| *format == self).map_or("raw", |(.., name)| name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vhd => "vhd",
            Self::Vhdx => "vhdx",
            Self::Vdi => "vdi",
            Self::Vmdk => "vmdk",
        })
    }
}

/// A name that stands for no format that Seawall reads.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown image format {0:?}; known are {known}", known = known())]
pub struct UnknownFormat(String);

fn known() -> String {
    Format::NAMES.map(|(_, name, _)| name).join(", ")
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let found = Self::NAMES.into_iter().find(|(_, name, _)| *name == text);
        found.map(|(format, ..)| format).ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}

/// `QFI\xfb`; versions 2 and 3 are qcow2, version 1 is told apart by the header parser.
pub(super) const QCOW2_MAGIC: [u8; 4] = *b"QFI\xfb";

/// Formats with a signature that are refused rather than taken for raw: offset, bytes, name.
const FOREIGN: [(usize, &[u8], &str); 3] = [
    (0, b"QED\0", "QED"),
    (0, b"WithoutFreeSpace", "Parallels"),
    (0, b"WithouFreSpacExt", "Parallels"),
];

/// Signatures of formats that are read: offset, bytes, format.
const KNOWN: [(usize, &[u8], Format); 4] = [
    (0, &QCOW2_MAGIC, Format::Qcow2),
    (0, &vhd::footer::COOKIE, Format::Vhd),
    (0, &vhdx::header::MAGIC, Format::Vhdx),
    (vdi::SIGNATURE_AT, &vdi::SIGNATURE, Format::Vdi),
];

const HEAD_LEN: u64 = 512;

/// Tells the format of an open file by its content.
///
/// # Errors
///
/// A recognised format that Seawall does not read is refused: stored as raw, it would give the
/// guest the container's bytes.
pub(super) fn detect(path: &Path, file: &dyn Source) -> Result<Format, ImageError> {
    let head = read_some(path, file, 0, HEAD_LEN)?;
    for (offset, signature, format) in KNOWN {
        if head.get(offset..).is_some_and(|bytes| bytes.starts_with(signature)) {
            return Ok(format);
        }
    }
    if vmdk::is_vmdk(&head) {
        return Ok(Format::Vmdk);
    }
    for (offset, signature, name) in FOREIGN {
        if head.get(offset..).is_some_and(|bytes| bytes.starts_with(signature)) {
            return Err(foreign(path, name));
        }
    }
    // A fixed VHD is the disk and a footer. One that is damaged is not taken for raw either: its
    // reader says what is wrong with it.
    let footer = file.source_len().saturating_sub(FOOTER_LEN);
    if read_some(path, file, footer, FOOTER_LEN)?.starts_with(&vhd::footer::COOKIE) {
        return Ok(Format::Vhd);
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
