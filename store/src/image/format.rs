//! The container formats Seawall reads, and their names.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

/// A container format.
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
    /// All formats, each with its name in Seawall and its name in QEMU.
    const NAMES: [(Self, &str, &str); 6] = [
        (Self::Raw, "raw", "raw"),
        (Self::Qcow2, "qcow2", "qcow2"),
        (Self::Vhd, "vhd", "vpc"),
        (Self::Vhdx, "vhdx", "vhdx"),
        (Self::Vdi, "vdi", "vdi"),
        (Self::Vmdk, "vmdk", "vmdk"),
    ];

    /// Returns the format with this name in QEMU.
    pub(super) fn of_qemu(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, _, of_qemu)| *of_qemu == name).map(|(format, ..)| *format)
    }

    /// Returns the format's name in QEMU.
    pub(super) fn qemu_name(self) -> &'static str {
        Self::NAMES.iter().find(|(format, ..)| *format == self).map_or("raw", |(.., name)| name)
    }

    /// Parses `[FORMAT:]PATH`, where the optional prefix is the name of a format.
    ///
    /// Write `./` before a path that itself begins with such a prefix.
    #[must_use]
    pub fn split_path(text: &OsStr) -> (Option<Self>, PathBuf) {
        let bytes = text.as_bytes();
        let named = Self::NAMES.iter().find_map(|(format, name, _)| {
            let path = bytes.strip_prefix(name.as_bytes())?.strip_prefix(b":")?;
            (!path.is_empty()).then(|| (Some(*format), PathBuf::from(OsStr::from_bytes(path))))
        });
        named.unwrap_or_else(|| (None, PathBuf::from(text)))
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

/// A name of no format that Seawall reads.
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

/// The magic number of qcow and qcow2. Version 1 is qcow, which the header parser refuses.
pub(super) const QCOW2_MAGIC: [u8; 4] = *b"QFI\xfb";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_before_a_path_is_told_from_a_path() {
        let split = |text: &str| {
            let (format, path) = Format::split_path(OsStr::new(text));
            (format, path.to_str().unwrap().to_owned())
        };
        for (text, format, path) in [
            ("raw:disk.img", Some(Format::Raw), "disk.img"),
            ("qcow2:/a:b", Some(Format::Qcow2), "/a:b"),
            ("./raw:disk.img", None, "./raw:disk.img"),
            ("RAW:disk.img", None, "RAW:disk.img"),
            ("raw:", None, "raw:"),
            ("raw", None, "raw"),
            ("rawx:disk", None, "rawx:disk"),
        ] {
            assert_eq!(split(text), (format, path.to_owned()));
        }
    }
}
