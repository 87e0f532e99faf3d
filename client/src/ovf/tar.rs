//! The tar archive that an OVA is: read as a list of members, written as a stream.
//!
//! Nothing is extracted: a member is a name and the range of the file that holds it.

use std::io;
use std::ops::Range;
use std::path::Path;

use seawall_store::image::Source;

use super::OvfError;
use super::parse::{FILES_MAX, HREF_LEN_MAX, contained};

const BLOCK_LEN: usize = 512;
pub(crate) const BLOCK: u64 = BLOCK_LEN as u64;
/// The longest name in a plain header, in bytes.
pub(crate) const NAME_LEN_MAX: usize = 100;
/// Members that are looked at, those included that only describe the next one.
const MEMBERS_MAX: usize = 4 * FILES_MAX;
/// The longest extended header (pax, or a long name of GNU tar), in bytes.
const EXTENDED_LEN_MAX: u64 = 64 << 10;
/// The longest file whose length 11 octal digits hold.
const OCTAL_LEN_MAX: u64 = (1 << 33) - 1;

/// A file in an archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Member {
    /// Its name; proven not to lead out of the package.
    pub(super) name: String,
    /// Where its bytes are.
    pub(super) range: Range<u64>,
}

/// What an extended header says of the next member.
#[derive(Default)]
struct Extended {
    name: Option<String>,
    len: Option<u64>,
}

/// Lists the files of an archive.
pub(super) fn members(path: &Path, file: &dyn Source) -> Result<Vec<Member>, OvfError> {
    let io = |source| OvfError::Io { verb: "read", path: path.to_owned(), source };
    let file_len = file.source_len();
    let mut offset = 0;
    let mut members: Vec<Member> = Vec::new();
    let mut extended = Extended::default();
    for _ in 0..MEMBERS_MAX {
        let bad =
            |why: &str| OvfError::Archive { path: path.to_owned(), offset, why: why.to_owned() };
        if file_len - offset < BLOCK {
            // Some writers leave the two empty blocks at the end out.
            return if offset == 0 { Err(bad("it is too short")) } else { Ok(members) };
        }
        let mut block = [0; BLOCK_LEN];
        file.read_exact_at(offset, &mut block).map_err(io)?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(members);
        }
        let header = Header::parse(&block).map_err(bad)?;
        let len = extended.len.take().unwrap_or(header.len);
        let start = offset + BLOCK;
        let end = start.checked_add(len).filter(|end| *end <= file_len);
        let end = end.ok_or_else(|| bad("a member ends past the end of the file"))?;
        let next = end.checked_next_multiple_of(BLOCK).map_or(file_len, |next| next.min(file_len));
        let text = || {
            if len > EXTENDED_LEN_MAX {
                return Err(bad("an extended header is too long"));
            }
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
            file.read_exact_at(start, &mut bytes).map_err(io)?;
            String::from_utf8(bytes).map_err(|_| bad("an extended header is not in UTF-8"))
        };
        match header.kind {
            b'0' | 0 | b'7' => {
                let name = extended.name.take().unwrap_or(header.name);
                let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
                contained(&name)?;
                if members.iter().any(|member| member.name == name) {
                    return Err(bad("two members have the same name"));
                }
                if members.len() >= FILES_MAX {
                    return Err(bad("it has too many members"));
                }
                members.push(Member { name, range: start..end });
            }
            b'x' => pax(&text()?, &mut extended).map_err(bad)?,
            b'L' => extended.name = Some(text()?.trim_end_matches('\0').to_owned()),
            // Defaults for all members: nothing in them that matters here.
            b'g' => {}
            // A directory holds nothing; OVF asks for none and some tools write them.
            b'5' => extended = Extended::default(),
            b'1' | b'2' | b'K' => return Err(bad("a member is a link, not a file")),
            _ => return Err(bad("a member is neither a file nor a directory")),
        }
        offset = next;
    }
    Err(OvfError::Archive {
        path: path.to_owned(),
        offset,
        why: "it has too many members".to_owned(),
    })
}

struct Header {
    name: String,
    len: u64,
    kind: u8,
}

impl Header {
    fn parse(block: &[u8; BLOCK_LEN]) -> Result<Self, &'static str> {
        // The checksum field counts as spaces. Old writers summed signed bytes.
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
        let len = number(&block[124..136]).ok_or("a member's length is no number")?;
        let name = text(&block[..100])?;
        let prefix =
            if block[257..].starts_with(b"ustar\0") { text(&block[345..500])? } else { "" };
        let name = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        Ok(Self { name, len, kind: block[156] })
    }
}

fn text(field: &[u8]) -> Result<&str, &'static str> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    std::str::from_utf8(&field[..end]).map_err(|_| "a name is not in UTF-8")
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let text = text.trim_matches(|c: char| c == ' ' || c == '\0');
    u64::from_str_radix(text, 8).ok()
}

/// A length: octal digits, or GNU's big-endian number that begins with 0x80.
fn number(field: &[u8]) -> Option<u64> {
    if field.first()? & 0x80 == 0 {
        return octal(field);
    }
    let (high, low) = field.split_at(field.len() - 8);
    let is_small = high[0] == 0x80 && high[1..].iter().all(|byte| *byte == 0);
    is_small.then(|| u64::from_be_bytes(low.try_into().unwrap_or([0xff; 8])))
}

/// Records `LEN KEY=VALUE\n`.
fn pax(mut text: &str, extended: &mut Extended) -> Result<(), &'static str> {
    const BAD: &str = "a pax header is broken";
    while !text.is_empty() {
        let (len, _) = text.split_once(' ').ok_or(BAD)?;
        let record_len = len.parse::<usize>().ok().filter(|it| *it > len.len() + 1).ok_or(BAD)?;
        let record = text.get(len.len() + 1..record_len).and_then(|it| it.strip_suffix('\n'));
        let (key, value) = record.ok_or(BAD)?.split_once('=').ok_or(BAD)?;
        match key {
            "path" => extended.name = Some(value.to_owned()),
            "size" => extended.len = Some(value.parse().map_err(|_| BAD)?),
            _ if key.starts_with("GNU.sparse.") => return Err("a member is stored sparse"),
            _ => {}
        }
        text = text.get(record_len..).ok_or(BAD)?;
    }
    Ok(())
}

/// The header of a file: ustar, with GNU's form for lengths past 8 GiB, as other tools write.
///
/// It has no owner and no time, so that the same package is the same archive.
///
/// # Errors
/// When the name does not fit.
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

/// How many zeros follow a file of that length.
pub(crate) fn padding(len: u64) -> u64 {
    len.wrapping_neg() % BLOCK
}

#[cfg(test)]
mod tests;
