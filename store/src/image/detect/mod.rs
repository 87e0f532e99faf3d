//! Detects the format of a file by its content, checked against its name.
//!
//! | content | taken for |
//! |---|---|
//! | nothing | refused |
//! | the signature of a format that Seawall reads | that format, unless the name says another |
//! | the signature of a compression | wrapped, to be decompressed as a stream |
//! | the signature of anything else that is not a disk | refused by name |
//! | text | a VMDK descriptor, or refused |
//! | a boot sector, a partition table, a file system, zeros | raw, unless the name says a format |
//! | anything else | raw if the name says so or it is a block device, else refused |
//!
//! # Invariants
//!
//! 1. A file is not raw merely for lack of a signature. If something other than a disk were
//!    published as raw, only the guest that fails to boot would reveal it.
//! 2. The files that an image may name are decided by [`super::open::trust`], not here.

mod foreign;
mod name;
mod plain;
mod text;

use std::fmt;
use std::path::Path;

use super::ImageError;
use super::format::{Format, QCOW2_MAGIC};
use super::formats::vhd::footer::{COOKIE, FOOTER_LEN};
use super::formats::{vdi, vhd, vhdx, vmdk};
use super::source::{Source, read_error};
use name::Claim;

/// Length of the start that is examined, in bytes: signatures of file systems lie in the first 64
/// KiB.
const HEAD_LEN: u64 = 128 << 10;
/// Length of a sector, in bytes. Raw disks consist of whole sectors.
const SECTOR_LEN: u64 = 512;

/// Minimum length of a raw disk that does not end with a sector, in bytes.
const ODD_LEN_MIN: u64 = 4096;

/// The compression of a single file, which can be decompressed as a stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Wrapping {
    /// RFC 1952.
    Gzip,
    /// The .xz format.
    Xz,
    /// RFC 8878.
    Zstd,
    /// The format of bzip2.
    Bzip2,
}

impl Wrapping {
    const ALL: [(Self, &str, &[u8]); 4] = [
        (Self::Gzip, "gzip", b"\x1f\x8b\x08"),
        (Self::Xz, "xz", b"\xfd7zXZ\0"),
        (Self::Zstd, "zstd", b"\x28\xb5\x2f\xfd"),
        (Self::Bzip2, "bzip2", b"BZh"),
    ];

    /// Returns the compression of a file that begins with `head`, of which ten bytes suffice.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|(_, _, signature)| head.starts_with(signature));
        let Some((found, ..)) = found else {
            return is_skippable(head).then_some(Self::Zstd);
        };
        // Three letters are a short signature: check also that a block or the end of the stream
        // follows.
        let follows = head.get(4..10);
        let is_bzip2 = head.get(3).is_some_and(u8::is_ascii_digit)
            && follows.is_some_and(|it| it == b"1AY&SY" || it == b"\x17rE8P\x90");
        (found != Self::Bzip2 || is_bzip2).then_some(found)
    }
}

/// Returns whether bytes begin with a skippable frame of zstd, as the output of `pzstd` does. LZ4
/// has the same frames, but no program writes one first.
fn is_skippable(head: &[u8]) -> bool {
    matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

impl fmt::Display for Wrapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::ALL.iter().find(|(wrapping, ..)| wrapping == self);
        f.write_str(found.map_or("", |(_, name, _)| name))
    }
}

/// The kind of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Disk(Format),
    Wrapped(Wrapping),
}

/// The origin of the bytes, which decides the weight of the name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// A regular file of this name, or a range of one.
    File,
    /// A block device, whose name says nothing.
    Device,
    /// The decompressed content of a file of this name.
    Inflated,
    /// A disk of this name in a package, which may state the format. Both the name and the
    /// statement are advice: a signature in the content outweighs them.
    Member(Option<Format>),
}

/// Returns the format of an open file.
///
/// # Errors
///
/// A known format that Seawall does not read is refused by name. An unknown file is refused too:
/// stored as raw, it would give the guest the container's bytes. [`ImageError::Wrapped`] for a
/// compressed file.
pub(super) fn detect(path: &Path, file: &dyn Source, origin: Origin) -> Result<Format, ImageError> {
    if file.source_len() == 0 {
        return Err(empty(path));
    }
    let head = read_some(path, file, 0, HEAD_LEN)?;
    let claim = match origin {
        Origin::Device => Claim::None,
        Origin::File => name::claim(path),
        Origin::Inflated | Origin::Member(None) => name::claim(&name::unwrapped(path)),
        Origin::Member(Some(stated)) => Claim::Format(stated),
    };
    let kind = match signature(path, file, &head)? {
        Some(kind) => kind,
        None => Kind::Disk(without_signature(path, file, &head, origin, claim)?),
    };
    match (kind, claim) {
        (Kind::Wrapped(wrapping), _) => {
            Err(ImageError::Wrapped { path: path.to_owned(), wrapping })
        }
        (Kind::Disk(format), Claim::None | Claim::AnyDisk) => Ok(format),
        (Kind::Disk(format), Claim::Format(named)) if format == named => Ok(format),
        (Kind::Disk(format), _) if format != Format::Raw && matches!(origin, Origin::Member(_)) => {
            Ok(format)
        }
        (Kind::Disk(format), Claim::Format(named)) => Err(contradiction(path, format, named)),
        (Kind::Disk(Format::Raw), Claim::Foreign(said) | Claim::Wrapping(said)) => {
            Err(not_what_it_says(path, said))
        }
        // A download decompressed in transit keeps the name of the compressed file.
        (Kind::Disk(format), Claim::Wrapping(_)) => Ok(format),
        (Kind::Disk(format), Claim::Foreign(said)) => Err(two_formats(path, format, said)),
    }
}

/// Looks for a signature of a disk format, a compression, or a foreign kind of file.
fn signature(path: &Path, file: &dyn Source, head: &[u8]) -> Result<Option<Kind>, ImageError> {
    let known: [(usize, &[u8], Format); 4] = [
        (0, &QCOW2_MAGIC, Format::Qcow2),
        (0, &COOKIE, Format::Vhd),
        (0, &vhdx::header::MAGIC, Format::Vhdx),
        (vdi::SIGNATURE_AT, &vdi::SIGNATURE, Format::Vdi),
    ];
    let at =
        |offset: usize, bytes: &[u8]| head.get(offset..).is_some_and(|it| it.starts_with(bytes));
    if let Some((.., format)) = known.into_iter().find(|(offset, bytes, _)| at(*offset, bytes)) {
        return Ok(Some(Kind::Disk(format)));
    }
    if vmdk::is_vmdk(head) {
        return Ok(Some(Kind::Disk(Format::Vmdk)));
    }
    if let Some(wrapping) = Wrapping::of(head) {
        return Ok(Some(Kind::Wrapped(wrapping)));
    }
    if let Some(foreign) = foreign::find(head) {
        return Err(foreign.refuse(path));
    }
    // Trailers: a fixed VHD is the disk and a footer. With a damaged footer it is not taken for raw
    // either: the VHD reader reports the damage.
    if vhd::find_footer(file, &|source| read_error(path, file.source_len(), 0, source))?.is_some() {
        return Ok(Some(Kind::Disk(Format::Vhd)));
    }
    let tail = file.source_len().saturating_sub(FOOTER_LEN);
    if let Some(foreign) = foreign::find_trailer(&read_some(path, file, tail, FOOTER_LEN)?) {
        return Err(foreign.refuse(path));
    }
    Ok(None)
}

/// Decides the format of a file without a signature.
fn without_signature(
    path: &Path,
    file: &dyn Source,
    head: &[u8],
    origin: Origin,
    claim: Claim,
) -> Result<Format, ImageError> {
    let len = file.source_len();
    match text::classify(head, len) {
        text::Text::Descriptor => return Ok(Format::Vmdk),
        text::Text::Known(what) => return Err(no_disk(path, what)),
        text::Text::None | text::Text::Other => {}
    }
    // A file named `.raw` may end within a sector, if it is long enough to be a disk.
    let is_said = claim == Claim::Format(Format::Raw) && len >= ODD_LEN_MIN;
    let is_whole = len.is_multiple_of(SECTOR_LEN) || is_said;
    if is_whole && plain::is_plain(head) {
        return Ok(Format::Raw);
    }
    if text::classify(head, len) == text::Text::Other {
        return Err(no_disk(path, "text"));
    }
    if let Claim::Format(named) = claim
        && named != Format::Raw
    {
        return Err(contradiction(path, Format::Raw, named));
    }
    if let Claim::Foreign(said) | Claim::Wrapping(said) = claim {
        return Err(not_what_it_says(path, said));
    }
    if !is_whole {
        let reason =
            format!("it has no signature, and its {len} bytes are not whole sectors of 512");
        return Err(unrecognised(path, reason));
    }
    let says_raw = matches!(claim, Claim::Format(Format::Raw) | Claim::AnyDisk);
    if says_raw || origin == Origin::Device || !head.iter().any(|byte| *byte != 0) {
        return Ok(Format::Raw);
    }
    let reason = "it has no signature, no boot sector, no partition table and no file system, and \
                  its name does not end in .raw or .img";
    Err(unrecognised(path, reason.to_owned()))
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

/// Returns the remedy for a file that is the disk itself.
fn say_raw(path: &Path) -> String {
    let path = path.display();
    format!(
        "if these bytes are the disk itself, write `raw:{path}`, or `format = \"raw\"` in an \
         application.toml"
    )
}

fn unrecognised(path: &Path, reason: String) -> ImageError {
    ImageError::Unrecognised { path: path.to_owned(), reason, remedy: say_raw(path) }
}

fn no_disk(path: &Path, what: &str) -> ImageError {
    let remedy = match what {
        text::VMX => "give the disk that it names in `fileName`, a .vmdk".to_owned(),
        text::OVF => "push the package: `seawall push APP:VERSION NAME.ovf`".to_owned(),
        text::LFS => "fetch the file itself: `git lfs pull`".to_owned(),
        text::HTML => "download the disk again: the server answered with a page".to_owned(),
        _ => say_raw(path),
    };
    ImageError::Unrecognised { path: path.to_owned(), reason: format!("it is {what}"), remedy }
}

fn not_what_it_says(path: &Path, said: &str) -> ImageError {
    unrecognised(path, format!("its name indicates {said}, but its content does not"))
}

fn empty(path: &Path) -> ImageError {
    ImageError::Unrecognised {
        path: path.to_owned(),
        reason: "it is empty".to_owned(),
        remedy: "copy or download the disk again, and compare its length with the original"
            .to_owned(),
    }
}

/// Returns the error for a name of a foreign kind on content in a format that Seawall reads.
fn two_formats(path: &Path, found: Format, said: &str) -> ImageError {
    let shown = path.display();
    ImageError::Unrecognised {
        path: path.to_owned(),
        reason: format!("its name indicates {said}, but its content {found}"),
        remedy: format!("if it is a {found} image, write `{found}:{shown}`"),
    }
}

/// Returns the error for a name that contradicts the content.
fn contradiction(path: &Path, found: Format, named: Format) -> ImageError {
    if found == Format::Raw {
        let extent = if named == Format::Vmdk && name::is_extent(path) {
            "it may be an extent: open its descriptor, the small .vmdk beside it; or "
        } else {
            ""
        };
        return ImageError::Unrecognised {
            path: path.to_owned(),
            reason: format!("its name indicates {named}, but its content has no {named} signature"),
            remedy: format!("{extent}{}", say_raw(path)),
        };
    }
    let shown = path.display();
    ImageError::Unrecognised {
        path: path.to_owned(),
        reason: format!("its name indicates {named}, but its content {found}"),
        remedy: format!(
            "say which it is: `{found}:{shown}` for a {found} image, or `{named}:{shown}`; a guest \
             can write any header into its own raw disk"
        ),
    }
}

#[cfg(test)]
mod tests;
