//! The formats of an export, and the layout of each.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use seawall_api::digest::ContentDigest;

use super::super::Format;
use super::{
    Layout, LayoutError, Qcow2Layout, RawLayout, Round, VhdKind, VhdLayout, VhdxKind, VhdxLayout,
    VhdxSectors, VmdkLayout,
};

/// A format and variant for the export of a disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ExportFormat {
    /// The disk's bytes and nothing else.
    Raw,
    /// QEMU's copy-on-write format, version 3.
    Qcow2,
    /// VHD, dynamic: grows with its data.
    Vhd,
    /// VHD, fixed: the disk and a footer, as Azure requires.
    VhdFixed,
    /// VHDX, dynamic: grows with its data.
    Vhdx,
    /// VHDX, fixed: with a place for every block.
    VhdxFixed,
    /// VMware's format, in one sparse file.
    Vmdk,
    /// VMware's format for transport: compressed, and written and read from start to end.
    VmdkStream,
    /// QEMU's format, compressed with zstd.
    Qcow2Zstd,
    /// QEMU's format, compressed with deflate.
    Qcow2Zlib,
}

impl ExportFormat {
    /// All formats, in the order of listings.
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

    /// Returns the name on the command line.
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
    /// Returns the container format of such a file.
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

    /// Returns whether the file is laid out before its first byte, and can be written and patched
    /// in any order. Other formats are written from start to end.
    #[must_use]
    pub const fn is_laid_out(self) -> bool {
        !matches!(self, Self::VmdkStream | Self::Qcow2Zstd | Self::Qcow2Zlib)
    }

    /// Returns whether the file can be written to a block device.
    ///
    /// `vhd-fixed` and `vmdk-stream` end with a footer, and a longer device ends with other bytes.
    #[must_use]
    pub const fn is_for_devices(self) -> bool {
        self.is_laid_out() && !matches!(self, Self::VhdFixed)
    }

    /// Fails if rounding is requested of a format other than VHD.
    ///
    /// # Errors
    /// [`LayoutError::NotRounded`].
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

/// A name of no format that Seawall writes.
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
/// `data_runs` are sorted and do not overlap; everything else reads as zeros. Identifiers in the
/// file are derived from `content`, so the same disk gives the same file.
///
/// # Errors
///
/// When the format does not permit a disk of this length, or does not round it, or the runs are out
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
