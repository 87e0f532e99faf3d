//! The descriptor: text that says what a disk is made of, in a file of its own or embedded.
//!
//! Lines are `key=value`, comments, or extents (`RW 4194304 SPARSE "disk-s001.vmdk"`). Anything
//! else is refused: an extent that is passed over would shift all that follow.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::super::ImageError;
use super::super::source::NamedSource;
use super::{DISK_SECTORS_MAX, SECTOR_LEN};

/// What every descriptor in a file of its own begins with.
pub(super) const SIGNATURE: &[u8] = b"# Disk DescriptorFile";

/// QEMU's limit, too.
pub(super) const DESCRIPTOR_LEN_MAX: u64 = 1 << 20;
/// Each extent is an open file; a process has 1024 of them by default.
const EXTENTS_MAX: usize = 512;
/// The CID that stands for no parent.
const CID_NONE: u32 = u32::MAX;

/// What an extent is stored as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ExtentKind {
    /// Bytes as they are, from this offset of the file.
    Flat { offset: u64 },
    /// Grains behind a header of its own, of hosted products or of ESX.
    Sparse,
    /// Nothing but zeros; has no file.
    Zero,
}

/// A line that names an extent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ExtentLine {
    pub(super) sectors: u64,
    pub(super) kind: ExtentKind,
    /// In the descriptor's directory; empty where there is no file.
    pub(super) file: PathBuf,
    /// Where the line stands in the image file, for messages.
    pub(super) at: u64,
}

/// The image that holds what this one does not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Parent {
    /// As written in the image; relative names are relative to the image's directory.
    pub(super) name: PathBuf,
    /// The content identifier that the parent had when this image was made from it.
    pub(super) cid: u32,
}

/// A proven descriptor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Descriptor {
    pub(super) cid: Option<u32>,
    pub(super) parent: Option<Parent>,
    /// Such as `monolithicFlat`.
    pub(super) create_type: Option<String>,
    pub(super) extents: Vec<ExtentLine>,
}

impl Descriptor {
    /// Reads the descriptor that lies at `start` and has at most `len` bytes.
    pub(super) fn read(source: &NamedSource, start: u64, len: u64) -> Result<Self, ImageError> {
        let wrong = |reason: String| source.damaged("descriptor", start, reason);
        if len > DESCRIPTOR_LEN_MAX {
            return Err(wrong(format!(
                "it has {len} bytes, at most {DESCRIPTOR_LEN_MAX} are read"
            )));
        }
        if start.checked_add(len).is_none_or(|end| end > source.len) {
            return Err(wrong(format!("it ends past the end of the file at {}", source.len)));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        source.read(start, &mut bytes)?;
        // An embedded one is filled up with zeros.
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Parser { source, start, keys: Keys::default(), extents: Vec::new() }.parse(&bytes[..end])
    }

    /// The length of the disk in sectors.
    pub(super) fn sectors(&self) -> u64 {
        // Each line has at most DISK_SECTORS_MAX, 2^37, and there are at most 512 lines.
        self.extents.iter().map(|extent| extent.sectors).sum()
    }
}

#[derive(Default)]
struct Keys {
    cid: Option<u32>,
    parent_cid: Option<u32>,
    parent_name: Option<PathBuf>,
    create_type: Option<String>,
}

struct Parser<'a> {
    source: &'a NamedSource,
    start: u64,
    keys: Keys,
    extents: Vec<ExtentLine>,
}

impl Parser<'_> {
    fn parse(mut self, text: &[u8]) -> Result<Descriptor, ImageError> {
        let mut at = self.start;
        for line in text.split(|byte| *byte == b'\n') {
            self.line(at, line.trim_ascii())?;
            at += u64::try_from(line.len()).unwrap_or(0) + 1;
        }
        let Keys { cid, parent_cid, parent_name, create_type } = self.keys;
        let parent = match (parent_cid.filter(|cid| *cid != CID_NONE), parent_name) {
            (None, _) => None,
            (Some(cid), Some(name)) => Some(Parent { name, cid }),
            (Some(cid), None) => {
                let reason = format!("it has a parent, CID {cid:08x}, and does not name its file");
                return Err(self.source.damaged("descriptor", self.start, reason));
            }
        };
        Ok(Descriptor { cid, parent, create_type, extents: self.extents })
    }

    fn line(&mut self, at: u64, line: &[u8]) -> Result<(), ImageError> {
        if line.is_empty() || line.starts_with(b"#") {
            return Ok(());
        }
        let first = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        if [&b"RW"[..], b"RDONLY", b"NOACCESS"].contains(&first) {
            let extent = self.extent(at, line)?;
            if self.extents.len() >= EXTENTS_MAX {
                let feature = format!("a disk of more than {EXTENTS_MAX} extents");
                return Err(unsupported(self.source, feature, FLATTEN));
            }
            self.extents.push(extent);
            return Ok(());
        }
        let Some(equals) = line.iter().position(|byte| *byte == b'=') else {
            return Err(self.wrong(at, "it is neither a setting nor an extent"));
        };
        let (key, value) = (line[..equals].trim_ascii(), line[equals + 1..].trim_ascii());
        self.setting(at, key, unquoted(value))
    }

    fn setting(&mut self, at: u64, key: &[u8], value: &[u8]) -> Result<(), ImageError> {
        let is = |name: &str| key.eq_ignore_ascii_case(name.as_bytes());
        if is("CID") {
            self.keys.cid = Some(self.cid(at, value)?);
        } else if is("parentCID") {
            self.keys.parent_cid = Some(self.cid(at, value)?);
        } else if is("parentFileNameHint") {
            self.keys.parent_name = Some(PathBuf::from(OsStr::from_bytes(value)));
        } else if is("createType") {
            self.keys.create_type = Some(String::from_utf8_lossy(value).into_owned());
        }
        Ok(())
    }

    fn cid(&self, at: u64, value: &[u8]) -> Result<u32, ImageError> {
        let text = std::str::from_utf8(value).ok();
        text.and_then(|text| u32::from_str_radix(text, 16).ok())
            .ok_or_else(|| self.wrong(at, "a CID has up to eight hexadecimal digits"))
    }

    /// `ACCESS SECTORS TYPE ["FILE" [OFFSET]]`, with more words where it stands for a device.
    fn extent(&self, at: u64, line: &[u8]) -> Result<ExtentLine, ImageError> {
        let mut rest = line;
        let access = word(&mut rest);
        let sectors = number(word(&mut rest))
            .filter(|sectors| (1..=DISK_SECTORS_MAX).contains(sectors))
            .ok_or_else(|| self.wrong(at, "its length in sectors is not from 1 to 2^37"))?;
        let kind_name = word(&mut rest);
        if access == b"NOACCESS" {
            let feature = "an extent that may not be read (NOACCESS)".to_owned();
            return Err(unsupported(self.source, feature, FLATTEN));
        }
        let kind = match kind_name {
            b"ZERO" => ExtentKind::Zero,
            b"FLAT" | b"VMFS" => ExtentKind::Flat { offset: 0 },
            b"SPARSE" | b"VMFSSPARSE" => ExtentKind::Sparse,
            other => {
                let kind = String::from_utf8_lossy(&other[..other.len().min(32)]).into_owned();
                let feature = format!("an extent of type {kind:?}");
                return Err(unsupported(self.source, feature, CLONE));
            }
        };
        if kind == ExtentKind::Zero {
            return Ok(ExtentLine { sectors, kind, file: PathBuf::new(), at });
        }
        let name = self.quoted(at, &mut rest)?;
        let kind = match (kind, word(&mut rest)) {
            (kind, b"") => kind,
            (ExtentKind::Flat { .. }, offset) => {
                let offset = number(offset).and_then(|sectors| sectors.checked_mul(SECTOR_LEN));
                let offset = offset.ok_or_else(|| self.wrong(at, "its offset is no number"))?;
                ExtentKind::Flat { offset }
            }
            _ => return Err(self.wrong(at, "a sparse extent has no offset")),
        };
        Ok(ExtentLine { sectors, kind, file: self.local(name)?, at })
    }

    fn quoted<'b>(&self, at: u64, rest: &mut &'b [u8]) -> Result<&'b [u8], ImageError> {
        let text = rest.trim_ascii_start();
        let inner = text.strip_prefix(b"\"").and_then(|inner| {
            let end = inner.iter().position(|byte| *byte == b'"')?;
            Some((&inner[..end], &inner[end + 1..]))
        });
        let (name, after) =
            inner.ok_or_else(|| self.wrong(at, "its file name is not in quotes"))?;
        *rest = after;
        Ok(name)
    }

    /// A file name that stays in the image's directory.
    ///
    /// An image of unknown origin could name any file that this process can read.
    fn local(&self, name: &[u8]) -> Result<PathBuf, ImageError> {
        let path = Path::new(OsStr::from_bytes(name));
        let stays = path.components().all(|part| matches!(part, Component::Normal(_)));
        if stays && !name.is_empty() {
            return Ok(path.to_owned());
        }
        Err(ImageError::Backing {
            path: self.source.path.clone(),
            backing: path.display().to_string(),
            reason: "an extent is read from the image's own directory only".to_owned(),
            remedy: "put the file beside the image and name it without a directory; the \
                     descriptor is text"
                .to_owned(),
        })
    }

    fn wrong(&self, at: u64, reason: &str) -> ImageError {
        self.source.damaged("descriptor line", at, reason)
    }
}

const FLATTEN: &str = "make it one file with `qemu-img convert -O qcow2`";
const CLONE: &str = "make a copy of it with `vmkfstools -i IN -d thin OUT` or export it as OVF, \
                     and take that";

pub(super) fn unsupported(source: &NamedSource, feature: String, remedy: &str) -> ImageError {
    ImageError::Unsupported { path: source.path.clone(), feature, remedy: remedy.to_owned() }
}

/// Takes the next word off a line; empty at its end.
fn word<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let text = rest.trim_ascii_start();
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    *rest = &text[end..];
    &text[..end]
}

fn number(word: &[u8]) -> Option<u64> {
    let is_plain = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    is_plain.then(|| std::str::from_utf8(word).ok()?.parse().ok())?
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(value)
}
