//! The descriptor of a VMDK: a text that lists the parts of a disk, in a separate file or embedded.
//!
//! Lines are `key=value`, comments, or extents (`RW 4194304 SPARSE "disk-s001.vmdk"`). Writers vary
//! widely: a byte order mark, blank lines and comments before the first line or no first line at
//! all, line ends, tabs, quotes, case, and the code page in `encoding`. All of these are read. A
//! line that may be an extent and is not understood is refused: skipping an extent would shift all
//! later ones.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use encoding_rs::Encoding;

use super::{DISK_SECTORS_MAX, SECTOR_LEN};
use crate::image::ImageError;
use crate::image::source::NamedSource;

/// The first line of a descriptor in a separate file.
pub(super) const SIGNATURE: &[u8] = b"# Disk DescriptorFile";

/// Maximum length of a descriptor, in bytes; QEMU has the same limit.
pub(super) const DESCRIPTOR_LEN_MAX: u64 = 1 << 20;
/// Maximum number of extents. Flat extents in the same file share one open file; others have one
/// each. 8192 extents of 2 GiB are 16 TiB.
const EXTENTS_MAX: usize = 8192;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Values of `createType` for disks that stand for a device of their machine.
const DEVICES: [&str; 6] = [
    "fullDevice",
    "partitionedDevice",
    "vmfsRaw",
    "vmfsRawDeviceMap",
    "vmfsPassthroughRawDeviceMap",
    "vmfsRDM",
];
/// The parent CID of a disk without a parent.
const CID_NONE: u32 = u32::MAX;

/// The storage of an extent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ExtentKind {
    /// Plain bytes, from this offset of the file.
    Flat { offset: u64 },
    /// Grains with a header, of hosted products or of ESX.
    Sparse,
    /// Zeros, without a file.
    Zero,
}

/// A line that names an extent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ExtentLine {
    pub(super) sectors: u64,
    pub(super) kind: ExtentKind,
    /// The file's possible names, decoded by the descriptor's encoding and as raw bytes; empty if
    /// there is no file.
    pub(super) names: Vec<PathBuf>,
    /// The offset of the line in the image file, for messages.
    pub(super) at: u64,
}

/// The parent, which has the bytes that this image does not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Parent {
    /// Possible names, decoded by the descriptor's encoding and as raw bytes; relative to the
    /// image's directory, or of another machine.
    pub(super) names: Vec<PathBuf>,
    /// The content identifier that the parent had when this image was made from it.
    pub(super) cid: u32,
}

/// A validated descriptor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Descriptor {
    pub(super) cid: Option<u32>,
    pub(super) parent: Option<Parent>,
    /// The kind of the disk, such as `monolithicFlat`.
    pub(super) create_type: Option<String>,
    pub(super) extents: Vec<ExtentLine>,
}

impl Descriptor {
    /// Reads the descriptor of at most `len` bytes at `start`.
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
        let text = text_of(&bytes);
        let encoding = encoding(text);
        let keys = Keys::default();
        Parser { source, start, encoding, keys, extents: Vec::new() }.parse(text)
    }

    /// Returns the length of the disk, in sectors.
    pub(super) fn sectors(&self) -> u64 {
        // Each line has at most DISK_SECTORS_MAX, 2^37, and there are at most 2^13 lines.
        self.extents.iter().map(|extent| extent.sectors).sum()
    }
}

/// Returns the bytes up to the first zero, without a byte order mark: embedded descriptors are
/// padded with zeros.
fn text_of(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = &bytes[..end];
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii)
}

/// Splits `key=value`, and removes the quotes around the value.
fn key_and_value(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = line.iter().position(|byte| *byte == b'=')?;
    Some((line[..equals].trim_ascii(), unquoted(line[equals + 1..].trim_ascii())))
}

/// Returns whether a line begins with the access mode of an extent.
fn is_extent(line: &[u8]) -> bool {
    let mut rest = line;
    let access = word(&mut rest);
    let known = ["RW", "RDONLY", "NOACCESS"];
    known.iter().any(|it| access.eq_ignore_ascii_case(it.as_bytes()))
}

/// Returns whether text is a descriptor, with or without the usual first line.
pub(in crate::image) fn is_descriptor(bytes: &[u8]) -> bool {
    let text = text_of(bytes).trim_ascii_start();
    let is_signed =
        text.get(..SIGNATURE.len()).is_some_and(|start| start.eq_ignore_ascii_case(SIGNATURE));
    let is_key = |line: &[u8]| {
        let known = ["version", "CID", "parentCID", "createType"];
        let key = key_and_value(line).map(|(key, _)| key);
        key.is_some_and(|key| known.iter().any(|it| key.eq_ignore_ascii_case(it.as_bytes())))
    };
    let names_extent = |line: &[u8]| is_extent(line) && !line.contains(&b'=');
    is_signed || (lines(text).any(is_key) && lines(text).any(names_extent))
}

/// Returns the encoding stated in the descriptor; `None` for UTF-8 and unknown names.
fn encoding(text: &[u8]) -> Option<&'static Encoding> {
    let said = lines(text).filter_map(key_and_value);
    let mut said = said.filter(|(key, _)| key.eq_ignore_ascii_case(b"encoding"));
    let found = Encoding::for_label(said.next()?.1)?;
    (found != encoding_rs::UTF_8).then_some(found)
}

#[derive(Default)]
struct Keys {
    cid: Option<u32>,
    parent_cid: Option<u32>,
    parent_names: Vec<PathBuf>,
    create_type: Option<String>,
}

struct Parser<'a> {
    source: &'a NamedSource,
    start: u64,
    /// The encoding of file names, if other than UTF-8.
    encoding: Option<&'static Encoding>,
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
        let Keys { cid, parent_cid, parent_names, create_type } = self.keys;
        let is_device = |kind: &String| DEVICES.iter().any(|it| kind.eq_ignore_ascii_case(it));
        if let Some(kind) = create_type.as_ref().filter(|kind| is_device(kind)) {
            let feature = format!("a disk that represents a device ({kind})");
            return Err(unsupported(self.source, feature, DEVICE));
        }
        let parent = match parent_cid.filter(|cid| *cid != CID_NONE) {
            None => None,
            Some(cid) if parent_names.is_empty() => {
                let reason = format!("it has a parent, CID {cid:08x}, but does not name its file");
                return Err(self.source.damaged("descriptor", self.start, reason));
            }
            Some(cid) => Some(Parent { names: parent_names, cid }),
        };
        Ok(Descriptor { cid, parent, create_type, extents: self.extents })
    }

    fn line(&mut self, at: u64, line: &[u8]) -> Result<(), ImageError> {
        if line.is_empty() || line.starts_with(b"#") {
            return Ok(());
        }
        if is_extent(line) {
            let extent = self.extent(at, line)?;
            if self.extents.len() >= EXTENTS_MAX {
                let feature = format!("a disk of more than {EXTENTS_MAX} extents");
                return Err(unsupported(self.source, feature, FLATTEN));
            }
            self.extents.push(extent);
            return Ok(());
        }
        if let Some((key, value)) = key_and_value(line) {
            return self.setting(at, key, value);
        }
        let mut rest = line;
        let _ = word(&mut rest);
        if number(word(&mut rest)).is_some() {
            return Err(self.wrong(at, "it may be an extent, but its access mode is unknown"));
        }
        Ok(())
    }

    fn setting(&mut self, at: u64, key: &[u8], value: &[u8]) -> Result<(), ImageError> {
        let is = |name: &str| key.eq_ignore_ascii_case(name.as_bytes());
        if is("CID") {
            self.keys.cid = Some(self.cid(at, value)?);
        } else if is("parentCID") {
            self.keys.parent_cid = Some(self.cid(at, value)?);
        } else if is("parentFileNameHint") {
            self.keys.parent_names = self.names(value);
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

    /// Parses `ACCESS SECTORS TYPE ["FILE" [OFFSET]]`. Disks that stand for a device have more
    /// words.
    fn extent(&self, at: u64, line: &[u8]) -> Result<ExtentLine, ImageError> {
        let mut rest = line;
        let access = word(&mut rest);
        let sectors = number(word(&mut rest))
            .filter(|sectors| (1..=DISK_SECTORS_MAX).contains(sectors))
            .ok_or_else(|| self.wrong(at, "its length in sectors is not from 1 to 2^37"))?;
        let kind_name = word(&mut rest);
        if access.eq_ignore_ascii_case(b"NOACCESS") {
            let feature = "an extent that may not be read (NOACCESS)".to_owned();
            return Err(unsupported(self.source, feature, FLATTEN));
        }
        let kind = self.kind(kind_name)?;
        if kind == ExtentKind::Zero {
            return Ok(ExtentLine { sectors, kind, names: Vec::new(), at });
        }
        let name = self.name(at, &mut rest)?;
        if is_device(name) {
            let feature = format!("the device {}", String::from_utf8_lossy(name));
            return Err(unsupported(self.source, feature, DEVICE));
        }
        let kind = match (kind, word(&mut rest)) {
            // More words may follow in disks of partitions.
            (ExtentKind::Flat { .. }, offset) if !offset.is_empty() => {
                let offset = number(offset).and_then(|sectors| sectors.checked_mul(SECTOR_LEN));
                let offset = offset.ok_or_else(|| self.wrong(at, "its offset is not a number"))?;
                ExtentKind::Flat { offset }
            }
            (kind, _) => kind,
        };
        Ok(ExtentLine { sectors, kind, names: self.names(name), at })
    }

    fn kind(&self, name: &[u8]) -> Result<ExtentKind, ImageError> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("ZERO") {
            return Ok(ExtentKind::Zero);
        }
        if is("FLAT") || is("VMFS") {
            return Ok(ExtentKind::Flat { offset: 0 });
        }
        if is("SPARSE") || is("VMFSSPARSE") {
            return Ok(ExtentKind::Sparse);
        }
        let shown = String::from_utf8_lossy(&name[..name.len().min(32)]).into_owned();
        if is("VMFSRDM") || is("VMFSRAW") {
            let feature = format!("a raw device mapping ({shown})");
            return Err(unsupported(self.source, feature, DEVICE));
        }
        let feature = if is("SESPARSE") {
            "a seSparse extent".to_owned()
        } else {
            format!("an extent of type {shown:?}")
        };
        Err(unsupported(self.source, feature, CLONE))
    }

    /// Takes a file name off the line: in double or single quotes, or a single word.
    fn name<'b>(&self, at: u64, rest: &mut &'b [u8]) -> Result<&'b [u8], ImageError> {
        let text = rest.trim_ascii_start();
        let name = match text.first() {
            Some(quote @ (b'"' | b'\'')) => {
                let end = text[1..].iter().position(|byte| byte == quote);
                let end = end.ok_or_else(|| self.wrong(at, "its file name has no second quote"))?;
                *rest = &text[end + 2..];
                &text[1..=end]
            }
            _ => word(rest),
        };
        if name.is_empty() {
            return Err(self.wrong(at, "it names no file"));
        }
        Ok(name)
    }

    /// Returns the possible file names for a text, most likely first.
    fn names(&self, name: &[u8]) -> Vec<PathBuf> {
        let mut names = Vec::new();
        if let Some(encoding) = self.encoding {
            let (decoded, _, is_lossy) = encoding.decode(name);
            if !is_lossy {
                names.push(PathBuf::from(decoded.as_ref()));
            }
        }
        let plain = PathBuf::from(OsStr::from_bytes(name));
        if !names.contains(&plain) {
            names.push(plain);
        }
        names
    }

    fn wrong(&self, at: u64, reason: &str) -> ImageError {
        self.source.damaged("descriptor line", at, reason)
    }
}

const FLATTEN: &str = "make it one file with `qemu-img convert -O qcow2`";
const CLONE: &str = "make a copy of it with `vmkfstools -i IN -d thin OUT` or export it as OVF, \
                     and take that";
const DEVICE: &str = "give the block device itself as a raw disk, or make a copy of the disk with \
                      `vmkfstools -i IN -d thin OUT`";

pub(super) fn unsupported(source: &NamedSource, feature: String, remedy: &str) -> ImageError {
    ImageError::Unsupported { path: source.path.clone(), feature, remedy: remedy.to_owned() }
}

/// Returns whether an extent's name is that of a device of Linux, ESX or Windows.
fn is_device(name: &[u8]) -> bool {
    let begins =
        |with: &[u8]| name.get(..with.len()).is_some_and(|it| it.eq_ignore_ascii_case(with));
    [&b"/dev/"[..], b"/vmfs/devices/", b"\\\\.\\", b"\\\\?\\physicaldrive"]
        .iter()
        .any(|it| begins(it))
}

/// Takes the next word off a line; empty at the end.
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
    let within = |quote: &[u8]| value.strip_prefix(quote)?.strip_suffix(quote);
    within(b"\"").or_else(|| within(b"'")).unwrap_or(value)
}
