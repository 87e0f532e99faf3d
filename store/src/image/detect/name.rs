//! Formats claimed by file names.

use std::path::{Path, PathBuf};

use super::super::format::Format;

/// The claim of a file name about the content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Claim {
    /// No known claim.
    None,
    /// A disk of any format: `.img` is common for raw and qcow2 disks alike.
    AnyDisk,
    /// A disk of this format.
    Format(Format),
    /// A compression.
    Wrapping(&'static str),
    /// A file that is not a disk, or a disk of a format that Seawall does not read.
    Foreign(&'static str),
}

const CLAIMS: [(&str, Claim); 55] = [
    ("raw", Claim::Format(Format::Raw)),
    ("qcow2", Claim::Format(Format::Qcow2)),
    ("qcow", Claim::Format(Format::Qcow2)),
    ("vmdk", Claim::Format(Format::Vmdk)),
    ("vhd", Claim::Format(Format::Vhd)),
    ("avhd", Claim::Format(Format::Vhd)),
    ("vhdx", Claim::Format(Format::Vhdx)),
    ("avhdx", Claim::Format(Format::Vhdx)),
    ("vdi", Claim::Format(Format::Vdi)),
    ("img", Claim::AnyDisk),
    ("image", Claim::AnyDisk),
    ("bin", Claim::AnyDisk),
    ("iso", Claim::AnyDisk),
    ("dd", Claim::AnyDisk),
    ("dsk", Claim::AnyDisk),
    ("disk", Claim::AnyDisk),
    ("gz", Claim::Wrapping("gzip")),
    ("xz", Claim::Wrapping("xz")),
    ("zst", Claim::Wrapping("zstd")),
    ("zstd", Claim::Wrapping("zstd")),
    ("bz2", Claim::Wrapping("bzip2")),
    ("tgz", Claim::Foreign("a tar archive")),
    ("tar", Claim::Foreign("a tar archive")),
    ("ova", Claim::Foreign("an OVA package")),
    ("xva", Claim::Foreign("an XVA package")),
    ("box", Claim::Foreign("a Vagrant box")),
    ("vma", Claim::Foreign("a Proxmox backup")),
    ("zip", Claim::Foreign("a zip archive")),
    ("7z", Claim::Foreign("a 7z archive")),
    ("rar", Claim::Foreign("a rar archive")),
    ("wim", Claim::Foreign("a WIM archive")),
    ("lz4", Claim::Foreign("lz4")),
    ("lzma", Claim::Foreign("lzma")),
    ("lzo", Claim::Foreign("lzo")),
    ("lz", Claim::Foreign("lzip")),
    ("ovf", Claim::Foreign("an OVF descriptor")),
    ("mf", Claim::Foreign("a manifest")),
    ("vmx", Claim::Foreign("a configuration of VMware")),
    ("vbox", Claim::Foreign("a configuration of VirtualBox")),
    ("xml", Claim::Foreign("XML")),
    ("html", Claim::Foreign("HTML")),
    ("htm", Claim::Foreign("HTML")),
    ("json", Claim::Foreign("JSON")),
    ("toml", Claim::Foreign("TOML")),
    ("txt", Claim::Foreign("text")),
    ("qed", Claim::Foreign("QED")),
    ("hdd", Claim::Foreign("Parallels")),
    ("hds", Claim::Foreign("Parallels")),
    ("dmg", Claim::Foreign("DMG")),
    ("bochs", Claim::Foreign("Bochs")),
    ("cloop", Claim::Foreign("cloop")),
    ("simg", Claim::Foreign("an Android sparse image")),
    ("cow", Claim::Foreign("COW")),
    ("e01", Claim::Foreign("EWF")),
    ("ex01", Claim::Foreign("EWF")),
];

/// Returns the claim of a name's extension.
pub(super) fn claim(path: &Path) -> Claim {
    let Some(extension) = path.extension().and_then(|it| it.to_str()) else { return Claim::None };
    let found = CLAIMS.iter().find(|(name, _)| name.eq_ignore_ascii_case(extension));
    found.map_or(Claim::None, |(_, claim)| *claim)
}

/// Returns the name of a compressed file without the extension of its compression.
pub(super) fn unwrapped(path: &Path) -> PathBuf {
    match claim(path) {
        Claim::Wrapping(_) => path.with_extension(""),
        _ => path.to_owned(),
    }
}

/// Returns whether a name has the form of an extent of a VMware disk.
pub(super) fn is_extent(path: &Path) -> bool {
    let stem = path.file_stem().and_then(|it| it.to_str()).unwrap_or_default();
    let is_numbered = stem.rsplit_once('-').is_some_and(|(_, end)| {
        end.strip_prefix(['f', 's']).is_some_and(|it| it.bytes().all(|byte| byte.is_ascii_digit()))
    });
    is_numbered || ["-flat", "-delta", "-sesparse"].iter().any(|end| stem.ends_with(end))
}
