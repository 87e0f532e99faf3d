//! The tar archive of an OVA: read as a list of members, written as a stream.
//!
//! Nothing is extracted: a member is a name and a range of the archive.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::path::Path;

use seawall_store::image::Source;

use crate::ovf::OvfError;
use crate::ovf::names::{HREF_LEN_MAX, base, canonical};
use crate::ovf::read::FILES_MAX;

const BLOCK_LEN: usize = 512;
pub(crate) const BLOCK: u64 = BLOCK_LEN as u64;
/// The maximum length of a name in a plain header, in bytes.
pub(crate) const NAME_LEN_MAX: usize = 100;
/// The maximum number of headers, including extended ones.
const MEMBERS_MAX: usize = 4 * FILES_MAX;
/// The maximum length of an extended header (pax, or GNU's long names), in bytes. macOS and SELinux
/// store file attributes there.
const EXTENDED_LEN_MAX: u64 = 1 << 20;
/// The prefix of a file with another file's attributes (AppleDouble).
const APPLE_DOUBLE: &str = "._";
/// The maximum length of a file in 11 octal digits, in bytes.
const OCTAL_LEN_MAX: u64 = (1 << 33) - 1;

/// A file in an archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Member {
    /// The file's canonical name.
    pub(super) name: String,
    /// The range of the file's bytes.
    pub(super) range: Range<u64>,
}

/// The properties of the next member from an extended header.
#[derive(Default)]
struct Extended {
    name: Option<String>,
    len: Option<u64>,
}

/// Lists the files of an archive.
pub(super) fn members(path: &Path, file: &dyn Source) -> Result<Vec<Member>, OvfError> {
    let mut listing = Listing::default();
    let mut offset = 0;
    for _ in 0..MEMBERS_MAX {
        let bad =
            |why: String| OvfError::Archive { path: path.to_owned(), offset, why: why.to_owned() };
        let mut block = [0; BLOCK_LEN];
        match read_header(file, offset, &mut block) {
            Ok(true) => {}
            // Some writers omit the two empty blocks at the end.
            Ok(false) if offset > 0 => return Ok(listing.members),
            Ok(false) => return Err(bad("it is too short".to_owned())),
            Err(source) => {
                return Err(OvfError::Io { verb: "read", path: path.to_owned(), source });
            }
        }
        if block.iter().all(|byte| *byte == 0) {
            return Ok(listing.members);
        }
        let header = Header::parse(&block).map_err(|why| bad(why.to_owned()))?;
        let len = listing.extended.len.take().unwrap_or(header.len);
        let start = offset + BLOCK;
        let end = start.checked_add(len).filter(|end| *end <= file.source_len());
        let end = end.ok_or_else(|| bad("a member ends past the end of the file".to_owned()))?;
        listing.add(file, header, start..end).map_err(|error| match error {
            Refused::Rule(why) => bad(why),
            Refused::Name(error) => error,
            Refused::Io(source) => OvfError::Io { verb: "read", path: path.to_owned(), source },
        })?;
        offset = end.checked_next_multiple_of(BLOCK).unwrap_or(end);
    }
    let why = "it has too many members".to_owned();
    Err(OvfError::Archive { path: path.to_owned(), offset, why })
}

/// Reads a block. Returns `false` if the archive ends before or within the block.
fn read_header(file: &dyn Source, offset: u64, block: &mut [u8]) -> io::Result<bool> {
    if file.source_len().checked_sub(offset).is_none_or(|rest| rest < BLOCK) {
        return Ok(false);
    }
    match file.read_exact_at(offset, block) {
        Ok(()) => Ok(true),
        // A stream reports its end only here.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The reason a member is not listed.
enum Refused {
    Rule(String),
    Name(OvfError),
    Io(io::Error),
}

impl From<&str> for Refused {
    fn from(why: &str) -> Self {
        Self::Rule(why.to_owned())
    }
}

/// The members so far, and the known properties of the next one.
#[derive(Default)]
struct Listing {
    members: Vec<Member>,
    names: HashSet<String>,
    extended: Extended,
}

impl Listing {
    fn add(&mut self, file: &dyn Source, header: Header, range: Range<u64>) -> Result<(), Refused> {
        match header.kind {
            // Before ustar, a directory was a file whose name ends with a slash.
            0 if header.name.ends_with('/') => self.extended = Extended::default(),
            b'0' | 0 | b'7' => return self.add_file(header.name, range),
            b'x' | b'X' => pax(&extended(file, &range)?, &mut self.extended)?,
            b'L' => {
                let bytes = extended(file, &range)?;
                let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
                self.extended.name = Some(decoded(&bytes[..end]));
            }
            // Defaults for all members, or a volume's label: not needed.
            b'g' | b'V' => {}
            // Directories are redundant, but some tools write them.
            b'5' => self.extended = Extended::default(),
            b'1' | b'2' | b'K' => return Err("a member is a link, not a file".into()),
            b'S' => return Err("a member is stored sparse".into()),
            _ => return Err("a member is neither a file nor a directory".into()),
        }
        Ok(())
    }

    fn add_file(&mut self, name: String, range: Range<u64>) -> Result<(), Refused> {
        let name = self.extended.name.take().unwrap_or(name);
        if is_apple_double(&name) {
            return Ok(());
        }
        let canonical = canonical(&name).map_err(|why| Refused::Name(why.of(&name)))?;
        if !self.names.insert(canonical.clone()) {
            let name = canonical.escape_debug();
            return Err(Refused::Rule(format!("a second member has the same name, `{name}`")));
        }
        if self.members.len() >= FILES_MAX {
            return Err("it has too many members".into());
        }
        self.members.push(Member { name: canonical, range });
        Ok(())
    }
}

/// Returns true if a file has only another file's attributes, as macOS adds to archives.
pub(super) fn is_apple_double(name: &str) -> bool {
    base(name).starts_with(APPLE_DOUBLE) || name.starts_with("__MACOSX/")
}

/// Reads the contents of an extended header.
fn extended(file: &dyn Source, range: &Range<u64>) -> Result<Vec<u8>, Refused> {
    let len = range.end - range.start;
    if len > EXTENDED_LEN_MAX {
        return Err("an extended header is too long".into());
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_exact_at(range.start, &mut bytes).map_err(Refused::Io)?;
    Ok(bytes)
}

/// Decodes a name. Invalid UTF-8 is read as Latin-1, so that different names stay different.
fn decoded(bytes: &[u8]) -> String {
    let text = std::str::from_utf8(bytes).map(str::to_owned);
    text.unwrap_or_else(|_| bytes.iter().map(|byte| char::from(*byte)).collect())
}

/// Returns true if a name is the canonical name of a file at the root of an archive.
pub(crate) fn is_plain(name: &str) -> bool {
    canonical(name).is_ok_and(|canonical| canonical == name && base(name) == name)
}

/// Returns true if bytes begin with a valid tar header.
pub(super) fn is_tar(head: &[u8]) -> bool {
    head.first_chunk::<BLOCK_LEN>().is_some_and(|block| Header::parse(block).is_ok())
}

struct Header {
    name: String,
    len: u64,
    kind: u8,
}

impl Header {
    fn parse(block: &[u8; BLOCK_LEN]) -> Result<Self, &'static str> {
        // The checksum field counts as spaces. Old writers add signed bytes.
        let sum = |of: fn(u8) -> i64| {
            let counted = |(at, byte): (usize, &u8)| {
                if (148..156).contains(&at) { i64::from(b' ') } else { of(*byte) }
            };
            block.iter().enumerate().map(counted).sum::<i64>()
        };
        let expected = octal(&block[148..156]).ok_or("a header has no checksum")?;
        let is_sum = |sum: i64| u64::try_from(sum) == Ok(expected);
        if !is_sum(sum(i64::from)) && !is_sum(sum(|byte| i64::from(byte.cast_signed()))) {
            return Err("a header's checksum is wrong");
        }
        let len = number(&block[124..136]).ok_or("a member's length is not a number")?;
        let name = text(&block[..100]);
        let prefix = if block[257..].starts_with(b"ustar\0") {
            text(&block[345..500])
        } else {
            String::new()
        };
        let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        Ok(Self { name, len, kind: block[156] })
    }
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    decoded(&field[..end])
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let text = text.trim_matches(|c: char| c == ' ' || c == '\0');
    u64::from_str_radix(text, 8).ok()
}

/// Parses a length: octal digits, or GNU's big-endian number with a leading 0x80.
fn number(field: &[u8]) -> Option<u64> {
    if field.first()? & 0x80 == 0 {
        return octal(field);
    }
    let (high, low) = field.split_at(field.len() - 8);
    let is_small = high[0] == 0x80 && high[1..].iter().all(|byte| *byte == 0);
    is_small.then(|| u64::from_be_bytes(low.try_into().unwrap_or([0xff; 8])))
}

/// Parses records `LEN KEY=VALUE\n`. Only the values of known keys are decoded, because tools write
/// arbitrary bytes into others.
fn pax(mut bytes: &[u8], extended: &mut Extended) -> Result<(), &'static str> {
    const BAD: &str = "a pax header is broken";
    while !bytes.is_empty() {
        let digits = bytes.iter().position(|byte| *byte == b' ').ok_or(BAD)?;
        let len = std::str::from_utf8(&bytes[..digits]).ok().and_then(|it| it.parse().ok());
        let len: usize = len.filter(|len| *len > digits + 1).ok_or(BAD)?;
        let record = bytes.get(digits + 1..len).and_then(|it| it.strip_suffix(b"\n"));
        let record = record.ok_or(BAD)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or(BAD)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" => extended.name = Some(decoded(value)),
            b"size" => {
                let size = std::str::from_utf8(value).ok().and_then(|it| it.parse().ok());
                extended.len = Some(size.ok_or(BAD)?);
            }
            _ if key.starts_with(b"GNU.sparse.") => return Err("a member is stored sparse"),
            _ => {}
        }
        bytes = &bytes[len..];
    }
    Ok(())
}

/// Returns the header of a file: ustar, with GNU's form for lengths above 8 GiB.
///
/// The header has no owner and no time, so that the same package gives the same archive.
///
/// # Errors
/// Fails if the name does not fit.
pub(crate) fn header(name: &str, len: u64) -> io::Result<[u8; BLOCK_LEN]> {
    debug_assert!(name.len() <= HREF_LEN_MAX, "names are proven");
    let mut block = [0; BLOCK_LEN];
    if name.len() > NAME_LEN_MAX {
        let why =
            format!("`{name}` is longer than {NAME_LEN_MAX} bytes, the most that an OVA takes");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    block[..name.len()].copy_from_slice(name.as_bytes());
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    if len <= OCTAL_LEN_MAX {
        put(124, format!("{len:011o}\0").as_bytes());
    } else {
        put(124, &[0x80, 0, 0, 0]);
        put(128, &len.to_be_bytes());
    }
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

/// Returns the number of zeros after a file of length `len`.
pub(crate) fn padding(len: u64) -> u64 {
    len.wrapping_neg() % BLOCK
}

#[cfg(test)]
mod tests;
