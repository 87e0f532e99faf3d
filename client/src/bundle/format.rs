//! The bytes of a part. The input of the parser is hostile: every length is checked against the
//! length of the file, and memory is bounded by the number of records.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use seawall_api::index::FORMAT_EPOCH;

use super::BundleError;

pub(super) const MAGIC: &[u8; 8] = b"SWBUNDLE";
/// The length of a header in bytes.
pub(super) const HEADER_LEN: usize = 8 + 4 + 4 + 16;
/// The length of the head of a record in bytes: the lengths of its path and of its bytes.
pub(super) const HEAD_LEN: usize = 4 + 8;
/// The length of a digest in bytes.
pub(super) const DIGEST_LEN: usize = 32;
/// The length of a trailer in bytes.
pub(super) const TRAILER_LEN: usize = 4 + 4 + 8 + DIGEST_LEN;
/// The mark of a trailer, where a record would have the length of its path.
pub(super) const END: u32 = u32::MAX;
/// The maximum length of a path in bytes.
const PATH_LEN_MAX: u32 = 1024;
/// The maximum length of a record's bytes: the longest map.
pub(super) const RECORD_LEN_MAX: u64 = crate::depot::map::MAP_PART_LEN_MAX;
/// The maximum number of records in a part: a PiB of packs.
const RECORDS_MAX: u64 = 1 << 26;

/// Bytes that are read by position.
pub trait ReadAt {
    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    /// Fails if the bytes are not there, or cannot be read.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(bytes.len());
        let found = end.and_then(|end| self.get(start..end));
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// The place of a record's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record {
    /// The offset of the bytes in the part.
    pub(super) offset: u64,
    /// Their length.
    pub(super) len: u64,
    /// The digest of the record: its head, path and bytes.
    pub(super) digest: [u8; DIGEST_LEN],
}

/// The table of a part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// The bundle that the part belongs to.
    pub(super) bundle: [u8; 16],
    /// The position of the part, from 0.
    pub(super) position: u32,
    /// True if no part follows.
    pub(super) is_last: bool,
    /// The last record of each path.
    pub(super) records: HashMap<String, Record>,
    /// Earlier records of the same paths.
    pub(super) replaced: Vec<(String, Record)>,
}

/// Returns the header of a part.
pub(super) fn header(bundle: [u8; 16], position: u32) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FORMAT_EPOCH.to_le_bytes());
    header[12..16].copy_from_slice(&position.to_le_bytes());
    header[16..].copy_from_slice(&bundle);
    header
}

/// Returns the head of a record and its path.
pub(super) fn head(path: &str, len: u64) -> Vec<u8> {
    let path_len = u32::try_from(path.len()).unwrap_or(END);
    [&path_len.to_le_bytes()[..], &len.to_le_bytes(), path.as_bytes()].concat()
}

/// Returns the trailer of a part, given the hash of its header and of the digests of its records.
pub(super) fn trailer(table: &blake3::Hasher, is_last: bool, count: u64) -> [u8; TRAILER_LEN] {
    let mut trailer = [0; TRAILER_LEN];
    trailer[..4].copy_from_slice(&END.to_le_bytes());
    trailer[4..8].copy_from_slice(&u32::from(is_last).to_le_bytes());
    trailer[8..16].copy_from_slice(&count.to_le_bytes());
    let digest = table.clone().update(&trailer[..16]).finalize();
    trailer[16..].copy_from_slice(digest.as_bytes());
    trailer
}

impl Part {
    /// Reads the table of a part of `len` bytes, and proves that the part is complete. The bytes of
    /// records are not read.
    ///
    /// # Errors
    /// Fails if the bytes are no complete part in a known epoch.
    pub fn read<R: ReadAt + ?Sized>(file: &R, len: u64, path: &Path) -> Result<Self, BundleError> {
        let at = |within| At { file, path, len, within };
        let mut start = [0; HEADER_LEN];
        let known = HEADER_LEN.min(usize::try_from(len).unwrap_or(HEADER_LEN));
        at("its header").read(&mut start[..known], 0)?;
        if !start[..known].starts_with(&MAGIC[..known.min(8)]) || known == 0 {
            return Err(BundleError::Magic { path: path.to_owned() });
        }
        at("its header").read(&mut start, 0)?;
        let word = |bytes: &[u8], at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        match word(&start, 8) {
            FORMAT_EPOCH => {}
            epoch => return Err(BundleError::Epoch { path: path.to_owned(), epoch }),
        }
        let mut part = Self {
            bundle: *start.last_chunk().expect("a header ends with the bundle's id"),
            position: word(&start, 12),
            is_last: false,
            records: HashMap::new(),
            replaced: Vec::new(),
        };
        let mut table = blake3::Hasher::new();
        table.update(&start);
        let (mut offset, mut count) = (HEADER_LEN as u64, 0);
        loop {
            let mut mark = [0; 4];
            at("its records").read(&mut mark, offset)?;
            if u32::from_le_bytes(mark) == END {
                break;
            }
            let (name, record) = at("a record").record(offset)?;
            table.update(&record.digest);
            offset = record.offset + record.len + DIGEST_LEN as u64;
            count += 1;
            if count > RECORDS_MAX {
                return Err(at("").damaged("it has too many records"));
            }
            if let Some(earlier) = part.records.insert(name.clone(), record) {
                part.replaced.push((name, earlier));
            }
        }
        let mut found = [0; TRAILER_LEN];
        at("its trailer").read(&mut found, offset)?;
        part.is_last = word(&found, 4) == 1;
        if found != trailer(&table, part.is_last, count) {
            return Err(at("").damaged("its table of records does not match the digest at its end"));
        }
        if offset + TRAILER_LEN as u64 != len {
            return Err(at("").damaged("bytes follow its end"));
        }
        Ok(part)
    }
}

/// A reader that names the file in errors.
struct At<'a, R: ?Sized> {
    file: &'a R,
    path: &'a Path,
    len: u64,
    within: &'static str,
}

impl<R: ReadAt + ?Sized> At<'_, R> {
    fn read(&self, bytes: &mut [u8], offset: u64) -> Result<(), BundleError> {
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > self.len) {
            return Err(BundleError::Cut { path: self.path.to_owned(), within: self.within });
        }
        let read = self.file.read_at(bytes, offset);
        read.map_err(|source| BundleError::io("read", self.path, source))
    }

    fn damaged(&self, why: &str) -> BundleError {
        BundleError::Damaged { path: self.path.to_owned(), why: why.to_owned() }
    }

    /// Reads the head, the path and the digest of a record.
    fn record(&self, offset: u64) -> Result<(String, Record), BundleError> {
        let mut head = [0; HEAD_LEN];
        self.read(&mut head, offset)?;
        let (path_len, len) = head.split_first_chunk::<4>().expect("a head begins with a word");
        let path_len = u32::from_le_bytes(*path_len);
        let len = u64::from_le_bytes(len.try_into().unwrap_or([0xff; 8]));
        if path_len == 0 || path_len > PATH_LEN_MAX || len > RECORD_LEN_MAX {
            return Err(self.damaged("a record is longer than any can be"));
        }
        let mut name = vec![0; path_len as usize];
        self.read(&mut name, offset + HEAD_LEN as u64)?;
        let name = String::from_utf8(name).map_err(|_| self.damaged("a path is not text"))?;
        let offset = offset + HEAD_LEN as u64 + u64::from(path_len);
        let mut digest = [0; DIGEST_LEN];
        self.read(&mut digest, offset + len)?;
        Ok((name, Record { offset, len, digest }))
    }
}
