//! A package in a zip archive, as some vendors ship: lists its members in place.
//!
//! Not a general reader: members are stored or deflated, and unencrypted.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use seawall_store::image::Source;
use zip::CompressionMethod;
use zip::read::Config;
use zip::unstable::read::ZipIterable;

use super::tar::is_apple_double;
use crate::ovf::OvfError;
use crate::ovf::names::canonical;
use crate::ovf::read::FILES_MAX;
use crate::spec::Unpack;

/// The length of a local header before the name, in bytes.
const LOCAL_LEN: usize = 30;

/// A file in an archive.
pub(super) struct Member {
    /// The file's canonical name.
    pub(super) name: String,
    /// The range of the stored bytes.
    pub(super) range: Range<u64>,
    /// The steps that extract the file.
    pub(super) steps: Vec<Unpack>,
    /// The file's length in bytes after extraction.
    pub(super) len: u64,
}

/// Lists the files of an archive.
pub(super) fn members(path: &Path, file: &dyn Source) -> Result<Vec<Member>, OvfError> {
    let bad = |offset, why: String| OvfError::Archive { path: path.to_owned(), offset, why };
    let broken = |error: zip::result::ZipError| bad(0, error.to_string());
    let mut archive =
        ZipIterable::try_new(Cursor { file, at: 0 }, Config::default()).map_err(broken)?;
    let mut names = std::collections::HashSet::new();
    let mut members = Vec::new();
    for entry in archive.files().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let metadata = &entry;
        let start = metadata.header_start();
        let name = metadata.name().map_err(broken)?.into_owned();
        if metadata.is_dir() || is_apple_double(&name) {
            continue;
        }
        let why = if metadata.is_symlink() {
            Some("a member is a link, not a file")
        } else if metadata.encrypted() {
            Some("a member is encrypted")
        } else if members.len() >= FILES_MAX {
            Some("it has too many members")
        } else {
            None
        };
        if let Some(why) = why {
            return Err(bad(start, why.to_owned()));
        }
        let name = canonical(&name).map_err(|why| why.of(&name))?;
        if !names.insert(name.clone()) {
            let why = format!("a second member has the same name, `{}`", name.escape_debug());
            return Err(bad(start, why));
        }
        let steps = match metadata.compression() {
            CompressionMethod::Stored => Vec::new(),
            CompressionMethod::Deflated => vec![Unpack::Deflate],
            other => return Err(bad(start, format!("a member is compressed by {other}"))),
        };
        let range = data_range(file, start, metadata.compressed_size());
        let range = range.ok_or_else(|| bad(start, "a member's header is broken".to_owned()))?;
        members.push(Member { name, range, steps, len: metadata.size() });
    }
    Ok(members)
}

/// Returns the range of a member's bytes. `start` is the offset of its local header.
fn data_range(file: &dyn Source, start: u64, len: u64) -> Option<Range<u64>> {
    let mut header = [0; LOCAL_LEN];
    file.read_exact_at(start, &mut header).ok()?;
    if !header.starts_with(b"PK\x03\x04") {
        return None;
    }
    let word = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let data = start.checked_add(LOCAL_LEN as u64 + word(26) + word(28))?;
    let end = data.checked_add(len).filter(|end| *end <= file.source_len())?;
    Some(data..end)
}

/// A source with a position, as the archive reader requires.
struct Cursor<'a> {
    file: &'a dyn Source,
    at: u64,
}

impl Read for Cursor<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.file.source_len().saturating_sub(self.at);
        let len = usize::try_from(rest).unwrap_or(usize::MAX).min(buf.len());
        self.file.read_exact_at(self.at, &mut buf[..len])?;
        self.at += len as u64;
        Ok(len)
    }
}

impl Seek for Cursor<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.file.source_len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
