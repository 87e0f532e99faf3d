//! Which formats an export has, and the layout of each.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use seawall_api::digest::ContentDigest;

use super::super::Format;
use super::{
    Layout, LayoutError, Qcow2Layout, RawLayout, Round, VhdKind, VhdLayout, VhdxKind, VhdxLayout,
    VhdxSectors, VmdkLayout,
};

/// A format, and the variant of it, in which a disk is exported.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ExportFormat {
    /// The disk's bytes and nothing else.
    Raw,
    /// QEMU's copy-on-write format, version 3.
    Qcow2,
    /// VHD that grows with its data.
    Vhd,
    /// VHD that is the disk and a footer, which is what Azure takes.
    VhdFixed,
    /// VHDX that grows with its data.
    Vhdx,
    /// VHDX with a place for every block.
    VhdxFixed,
    /// VMware's format, in one file that grows with its data.
    Vmdk,
    /// VMware's format for transport: compressed, written and read from its start to its end.
    VmdkStream,
    /// QEMU's format, compressed with zstd.
    Qcow2Zstd,
    /// QEMU's format, compressed with deflate.
    Qcow2Zlib,
}

impl ExportFormat {
    /// All formats, in the order in which they are listed.
    pub const ALL: [Self; 10] = [
        Self::Raw,
        Self::Qcow2,
        Self::Vhd,
        Self::VhdFixed,
        Self::Vhdx,
        Self::VhdxFixed,
        Self::Vmdk,
        Self::VmdkStream,
        Self::Qcow2Zstd,
        Self::Qcow2Zlib,
    ];

    /// The name as it is typed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vhd => "vhd",
            Self::VhdFixed => "vhd-fixed",
            Self::Vhdx => "vhdx",
            Self::VhdxFixed => "vhdx-fixed",
            Self::Vmdk => "vmdk",
            Self::VmdkStream => "vmdk-stream",
            Self::Qcow2Zstd => "qcow2-zstd",
            Self::Qcow2Zlib => "qcow2-zlib",
        }
    }
}

impl ExportFormat {
    /// The format that such a file is read as.
    #[must_use]
    pub const fn container(self) -> Format {
        match self {
            Self::Raw => Format::Raw,
            Self::Qcow2 | Self::Qcow2Zstd | Self::Qcow2Zlib => Format::Qcow2,
            Self::Vhd | Self::VhdFixed => Format::Vhd,
            Self::Vhdx | Self::VhdxFixed => Format::Vhdx,
            Self::Vmdk | Self::VmdkStream => Format::Vmdk,
        }
    }

    /// Whether the file is laid out before its first byte, so that it can be written and patched
    /// in any order; the others are written from start to end.
    #[must_use]
    pub const fn is_laid_out(self) -> bool {
        !matches!(self, Self::VmdkStream | Self::Qcow2Zstd | Self::Qcow2Zlib)
    }

    /// Returns true if a block device can hold the file.
    ///
    /// `vhd-fixed` and `vmdk-stream` end with a footer, and a longer device ends with other bytes.
    #[must_use]
    pub const fn is_for_devices(self) -> bool {
        self.is_laid_out() && !matches!(self, Self::VhdFixed)
    }

    /// Whether a disk's length is rounded on request: only those who take VHDs ask for it.
    ///
    /// # Errors
    /// When it is asked for and the format has no such thing.
    pub fn check_round(self, round: Round) -> Result<(), LayoutError> {
        match (round, self) {
            (Round::Exact, _) | (Round::UpToMib, Self::Vhd | Self::VhdFixed) => Ok(()),
            (Round::UpToMib, format) => Err(LayoutError::NotRounded { format }),
        }
    }
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that stands for no format that Seawall writes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown export format {0:?}; known are {known}", known = known())]
pub struct UnknownExportFormat(String);

fn known() -> String {
    ExportFormat::ALL.map(ExportFormat::name).join(", ")
}

impl FromStr for ExportFormat {
    type Err = UnknownExportFormat;

    fn from_str(text: &str) -> Result<Self, UnknownExportFormat> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| UnknownExportFormat(text.to_owned()))
    }
}

/// Lays out a disk of `disk_len` bytes with this content for export.
///
/// `data_runs` are sorted and do not overlap; what is outside of them reads as zeros. Identifiers
/// in the file are made from `content`, so the same disk gives the same file.
///
/// # Errors
///
/// When the format does not hold a disk of this length, or does not round it, or the runs are out
/// of order.
pub fn lay_out(
    format: ExportFormat,
    round: Round,
    disk_len: u64,
    content: &ContentDigest,
    data_runs: impl IntoIterator<Item = Range<u64>>,
) -> Result<Box<dyn Layout>, LayoutError> {
    format.check_round(round)?;
    Ok(match format {
        ExportFormat::Raw => Box::new(RawLayout::new(disk_len, data_runs)?),
        ExportFormat::Qcow2 => Box::new(Qcow2Layout::new(disk_len, data_runs)?),
        ExportFormat::Vhd => {
            Box::new(VhdLayout::new(VhdKind::Dynamic, round, disk_len, content, data_runs)?)
        }
        ExportFormat::VhdFixed => {
            Box::new(VhdLayout::new(VhdKind::Fixed, round, disk_len, content, data_runs)?)
        }
        ExportFormat::Vhdx => {
            let (kind, sectors) = (VhdxKind::Dynamic, VhdxSectors::Emulated512);
            Box::new(VhdxLayout::new(kind, sectors, disk_len, content, data_runs)?)
        }
        ExportFormat::VhdxFixed => {
            let (kind, sectors) = (VhdxKind::Fixed, VhdxSectors::Emulated512);
            Box::new(VhdxLayout::new(kind, sectors, disk_len, content, data_runs)?)
        }
        ExportFormat::Vmdk => Box::new(VmdkLayout::new(disk_len, content, data_runs)?),
        ExportFormat::VmdkStream | ExportFormat::Qcow2Zstd | ExportFormat::Qcow2Zlib => {
            return Err(LayoutError::NotLaidOut { format });
        }
    })
}
