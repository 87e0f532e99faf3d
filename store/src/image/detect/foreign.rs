//! Signatures of files that Seawall does not read: archives, packages, and disks of other formats.

use std::path::Path;

use super::super::ImageError;

/// The operator's next step for a file of a foreign kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// Convert the file with QEMU.
    Qemu,
    /// Unpack the disk with this program.
    Unpack(&'static str),
    /// Make a raw disk with this program.
    Run(&'static str),
    /// The file is not a disk.
    NoDisk,
}

/// A kind of file that Seawall does not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Foreign {
    at: usize,
    bytes: &'static [u8],
    name: &'static str,
    step: Step,
}

const fn foreign(at: usize, bytes: &'static [u8], name: &'static str, step: Step) -> Foreign {
    Foreign { at, bytes, name, step }
}

const TAR: Foreign =
    foreign(257, b"ustar", "tar (an OVA, an XVA or an archive)", Step::Unpack("tar -xf"));
const DMG: Foreign = foreign(0, b"koly\0\0\0\x04\0\0\x02\0", "DMG", Step::Qemu);

const FOREIGN: [Foreign; 50] = [
    foreign(0, b"QED\0", "QED", Step::Qemu),
    foreign(0, b"WithoutFreeSpace", "Parallels", Step::Qemu),
    foreign(0, b"WithouFreSpacExt", "Parallels", Step::Qemu),
    foreign(0, b"Bochs Virtual HD Image", "Bochs", Step::Qemu),
    foreign(0, b"#!/bin/sh\n#V2.0 Format", "cloop", Step::Qemu),
    foreign(
        0,
        b"OOOM",
        "COW",
        Step::Run("qemu-img convert -f cow -O raw` of QEMU 2.1 or older; `qemu-img"),
    ),
    foreign(
        0,
        b"LUKS\xba\xbe",
        "LUKS (encrypted)",
        Step::Run("qemu-img convert --object secret,… -O qcow2"),
    ),
    foreign(0, b"\x3a\xff\x26\xed", "Android sparse image", Step::Run("simg2img")),
    foreign(0, b"EVF\x09\x0d\x0a\xff\x00", "EWF", Step::Run("ewfexport -f raw")),
    foreign(0, b"EVF2\x0d\x0a\x81", "EWF", Step::Run("ewfexport -f raw")),
    foreign(0, b"LVF\x09\x0d\x0a\xff\x00", "EWF", Step::Run("ewfexport -f raw")),
    foreign(0, b"AFF10\r\n\0", "AFF", Step::Run("affconvert -r")),
    foreign(0, b"sprs", "Apple sparse image", Step::Run("hdiutil convert -format UDTO")),
    foreign(0, b"partclone-image", "partclone", Step::Run("partclone.restore -o")),
    foreign(0, b"\0ntfsclone-image", "ntfsclone", Step::Run("ntfsclone --restore-image -O")),
    foreign(0, b"PaRtImAgE-VoLuMe", "partimage", Step::Run("partimage restore")),
    foreign(0, b"FsA0", "FSArchiver", Step::Run("fsarchiver restfs")),
    foreign(0, b"\xfe\xef\x01", "Ghost", Step::Run("ghost -clone")),
    foreign(0, b"encrcdsa", "encrypted DMG", Step::Run("hdiutil convert -format UDTO")),
    foreign(0, b"shdw", "ASIF", Step::Run("diskutil image create from --format RAW")),
    foreign(0, b"\xd2\xbe\xd2\xbe", "snapshot of VMware's memory", Step::NoDisk),
    foreign(0, b"\xd0\xbe\xd2\xbe", "snapshot of VMware's memory", Step::NoDisk),
    foreign(0, b"VMA\0", "VMA (a Proxmox backup)", Step::Run("vma extract")),
    foreign(0, b"\xbe\xba\xfe\xca\0\0\0\0", "seSparse", Step::Run("vmkfstools -i IN -d thin")),
    foreign(0, b"PK\x03\x04", "zip", Step::Unpack("unzip")),
    foreign(0, b"PK\x05\x06", "zip", Step::Unpack("unzip")),
    foreign(0, b"PK\x07\x08", "zip", Step::Unpack("unzip")),
    foreign(0, b"7z\xbc\xaf\x27\x1c", "7z", Step::Unpack("7z x")),
    foreign(0, b"Rar!\x1a\x07", "rar", Step::Unpack("unrar x")),
    foreign(0, b"MSCF\0\0\0\0", "cabinet", Step::Unpack("cabextract")),
    foreign(0, b"MSWIM\0\0\0", "WIM", Step::Unpack("wimapply")),
    foreign(0, b"070701", "cpio", Step::Unpack("cpio -i")),
    foreign(0, b"070702", "cpio", Step::Unpack("cpio -i")),
    foreign(0, b"070707", "cpio", Step::Unpack("cpio -i")),
    foreign(0, b"!<arch>\n", "ar", Step::Unpack("ar x")),
    foreign(0, b"\xed\xab\xee\xdb", "RPM", Step::NoDisk),
    foreign(0, b"\x04\x22\x4d\x18", "lz4", Step::Unpack("lz4 -d")),
    foreign(0, b"\x02\x21\x4c\x18", "lz4", Step::Unpack("lz4 -d")),
    foreign(0, b"LRZI", "lrzip", Step::Unpack("lrunzip")),
    foreign(7, b"**ACE**", "ACE", Step::Unpack("unace x")),
    foreign(0, b"\x5d\0\0\x80\0", "lzma", Step::Unpack("unlzma")),
    foreign(0, b"\x5d\0\0\0\x04", "lzma", Step::Unpack("unlzma")),
    foreign(0, b"\x89LZO\0\r\n\x1a\n", "lzop", Step::Unpack("lzop -d")),
    foreign(0, b"LZIP\x01", "lzip", Step::Unpack("lzip -d")),
    foreign(0, b"\x1f\x9d", "compress", Step::Unpack("uncompress")),
    foreign(0, b"\x7fELF", "ELF", Step::NoDisk),
    foreign(0, b"%PDF-", "PDF", Step::NoDisk),
    foreign(0, b"\x89PNG\r\n\x1a\n", "PNG", Step::NoDisk),
    foreign(0, b"SQLite format 3\0", "SQLite", Step::NoDisk),
    foreign(0, b"ANDROID!", "Android boot image", Step::NoDisk),
];

/// Returns the kind of a file by its first bytes.
pub(super) fn find(head: &[u8]) -> Option<Foreign> {
    let is = |it: &&Foreign| head.get(it.at..).is_some_and(|bytes| bytes.starts_with(it.bytes));
    FOREIGN.iter().find(is).copied().or_else(|| is_tar(head).then_some(TAR))
}

/// Returns the kind of a file by its last 512 bytes.
pub(super) fn find_trailer(tail: &[u8]) -> Option<Foreign> {
    (tail.len() == 512 && tail.starts_with(DMG.bytes)).then_some(DMG)
}

/// Returns whether the first block is the header of a tar member, old or new, by its checksum. A
/// guest's boot sector has code there.
fn is_tar(head: &[u8]) -> bool {
    let Some(block) = head.get(..512) else { return false };
    let digits = block[148..156].trim_ascii_start().split(|byte| !byte.is_ascii_digit()).next();
    let stated = digits
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| u64::from_str_radix(digits, 8).ok());
    let counted = |(at, byte): (usize, &u8)| {
        if (148..156).contains(&at) { u64::from(b' ') } else { u64::from(*byte) }
    };
    let sum: u64 = block.iter().enumerate().map(counted).sum();
    block[0] != 0 && stated == Some(sum)
}

impl Foreign {
    pub(super) fn refuse(self, path: &Path) -> ImageError {
        let (name, shown) = (self.name, path.display());
        let raw = format!("if these bytes are the disk itself, write `raw:{shown}`");
        let step = match self.step {
            Step::Qemu => format!("convert it with `qemu-img convert -O qcow2 {shown} OUT.qcow2`"),
            Step::Run(program) => format!("make a raw disk of it with `{program}`"),
            Step::Unpack(_) if is_package(path) => {
                format!("push the package: `seawall push APP:VERSION {shown}`")
            }
            Step::Unpack(program) => {
                format!("unpack it with `{program} {shown}` and give the disk in it")
            }
            Step::NoDisk => "give the file of the disk".to_owned(),
        };
        ImageError::Unsupported {
            path: path.to_owned(),
            feature: format!("the {name} format"),
            remedy: format!("{step}; {raw}"),
        }
    }
}

fn is_package(path: &Path) -> bool {
    path.extension().is_some_and(|it| it.eq_ignore_ascii_case("ova"))
}
