//! The log of a VHDX: logged changes of metadata that may not have been applied.
//!
//! A file whose writer died must be read as if its log had been replayed. The log is read into
//! memory and laid over the file, which is not modified.
//!
//! # Invariants
//!
//! 1. Only a complete sequence of entries is replayed: the one that ends with the newest entry.
//! 2. Memory and work are bounded: [`LOG_LEN_MAX`], [`PATCHES_MAX`], [`CHECKED_MAX`].

use std::io;
use std::ops::Range;

use super::super::blocks::parent::Id;
use super::super::fields::{array, le32, le64};
use super::crc32c;
use super::header::{Header, MIB};
use crate::image::ImageError;
use crate::image::source::{NamedSource, Source};

/// The remedy for a log that is not replayed here.
pub(super) const REPLAY: &str =
    "open it once in Hyper-V, or run `qemu-img check -r all` on a copy of it";

/// Maximum length of a log, in bytes. Hyper-V and QEMU write logs of 1 MiB.
const LOG_LEN_MAX: u64 = 16 << 20;
/// Maximum number of changes: each read examines all of them.
const PATCHES_MAX: usize = 8192;
/// Maximum number of checksummed bytes, as a multiple of the log's length. Stale entries, and
/// entries that start within another one, make this more than one.
const CHECKED_MAX: usize = 4;

const SECTOR_LEN: usize = 4096;
const ENTRY_HEADER_LEN: usize = 64;
const DESCRIPTOR_LEN: usize = 32;
/// Maximum length of a file, in bytes: twice that of the longest disk.
const FILE_LEN_MAX: u64 = 128 << 40;

/// Lays the changes of the log over the file.
pub(super) fn replay(source: NamedSource, header: &Header) -> Result<NamedSource, ImageError> {
    if header.log_id == [0; 16] {
        return Ok(source);
    }
    let (offset, len) = (header.log_offset, header.log_len);
    let end = offset.checked_add(len);
    if offset < MIB || !offset.is_multiple_of(MIB) || end.is_none_or(|end| end > source.len) {
        let reason = format!("a log of {len} bytes at {offset} is not in the file");
        return Err(source.damaged("VHDX header", header.at, reason));
    }
    if len == 0 || !len.is_multiple_of(MIB) {
        let reason = format!("a log of {len} bytes is not in MiB");
        return Err(source.damaged("VHDX header", header.at, reason));
    }
    let long = |feature: String| source.unsupported(feature, REPLAY);
    let bytes = usize::try_from(len).ok().filter(|_| len <= LOG_LEN_MAX);
    let mut bytes = vec![0; bytes.ok_or_else(|| long(format!("a dirty log of {len} bytes")))?];
    source.read(offset, &mut bytes)?;
    let log = Log { bytes, id: header.log_id };
    let wrong = |at: usize, reason: String| {
        let at = offset + u64::try_from(at * SECTOR_LEN).unwrap_or(0);
        source.damaged("VHDX log entry", at, reason)
    };
    let entries = log.entries().ok_or_else(|| long("a dirty log with many entries".to_owned()))?;
    let Some(sequence) = log.active(&entries) else { return Ok(source) };
    let (mut patches, mut file_len) = (Vec::new(), source.len);
    for entry in sequence {
        if entry.flushed_len > source.len {
            let reason = format!("the file had {} bytes, has {}", entry.flushed_len, source.len);
            return Err(wrong(entry.start, reason));
        }
        file_len = file_len.max(entry.file_len.min(FILE_LEN_MAX));
        let found = log.patches(entry).map_err(|reason| wrong(entry.start, reason))?;
        patches.extend(found);
        if patches.len() > PATCHES_MAX {
            return Err(long(format!("a dirty log of more than {PATCHES_MAX} changes")));
        }
    }
    Ok(source.with_source(|below| Replayed { below, patches, file_len }))
}

/// The whole log, a ring buffer.
struct Log {
    bytes: Vec<u8>,
    id: Id,
}

/// An entry with a valid checksum. Places and lengths are in sectors of the log.
#[derive(Clone, Copy)]
struct Entry {
    start: usize,
    sectors: usize,
    /// The place of the oldest entry not yet applied when this one was written.
    tail: usize,
    sequence: u64,
    descriptors: usize,
    flushed_len: u64,
    file_len: u64,
}

/// The change of one descriptor.
struct Patch {
    range: Range<u64>,
    /// The new bytes; `None` for zeros.
    bytes: Option<Box<[u8]>>,
}

impl Log {
    fn sectors(&self) -> usize {
        self.bytes.len() / SECTOR_LEN
    }

    /// Reads `sectors` sectors from `start`, across the end of the ring.
    fn read(&self, start: usize, sectors: usize) -> Vec<u8> {
        let ring = self.bytes.chunks_exact(SECTOR_LEN).cycle();
        ring.skip(start).take(sectors).flatten().copied().collect()
    }

    /// Returns the entry at each sector, if there is one; `None` if the search exceeds
    /// [`CHECKED_MAX`].
    fn entries(&self) -> Option<Vec<Option<Entry>>> {
        let mut left = self.bytes.len() * CHECKED_MAX;
        (0..self.sectors())
            .map(|start| {
                let Some(entry) = self.head(start) else { return Some(None) };
                left = left.checked_sub(entry.sectors * SECTOR_LEN)?;
                let bytes = self.read(start, entry.sectors);
                Some((crc32c::of_structure(&bytes) == le32(&bytes, 4)).then_some(entry))
            })
            .collect()
    }

    /// Parses a possible entry at a sector, without a check of its checksum.
    fn head(&self, start: usize) -> Option<Entry> {
        let bytes = self.bytes.get(start * SECTOR_LEN..(start + 1) * SECTOR_LEN)?;
        let (len, tail) = (le32(bytes, 8) as usize, le32(bytes, 12) as usize);
        let descriptors = le32(bytes, 24) as usize;
        let (sequence, id): (u64, Id) = (le64(bytes, 16), array(bytes, 32));
        let room = len.checked_sub(ENTRY_HEADER_LEN)? / DESCRIPTOR_LEN;
        let sound = bytes[..4] == *b"loge"
            && id == self.id
            && sequence > 0
            && len.is_multiple_of(SECTOR_LEN)
            && len <= self.bytes.len()
            && tail.is_multiple_of(SECTOR_LEN)
            && tail < self.bytes.len()
            && descriptors <= room;
        sound.then(|| Entry {
            start,
            sectors: len / SECTOR_LEN,
            tail: tail / SECTOR_LEN,
            sequence,
            descriptors,
            flushed_len: le64(bytes, 48),
            file_len: le64(bytes, 56),
        })
    }

    /// Returns the sequence to replay: from the tail named by the newest entry to the newest entry.
    fn active(&self, entries: &[Option<Entry>]) -> Option<Vec<Entry>> {
        let whole = entries.iter().flatten().filter_map(|newest| {
            let mut sequence = vec![*entries.get(newest.tail)?.as_ref()?];
            let mut sectors = 0;
            loop {
                let last = sequence.last()?;
                sectors += last.sectors;
                if sectors > self.sectors() {
                    return None;
                }
                if last.start == newest.start {
                    return Some(sequence);
                }
                let next = (last.start + last.sectors) % self.sectors();
                let next = entries.get(next)?.as_ref()?;
                if next.sequence != last.sequence.checked_add(1)? {
                    return None;
                }
                sequence.push(*next);
            }
        });
        whole.max_by_key(|sequence| sequence.last().map_or(0, |newest| newest.sequence))
    }

    /// Returns the changes of an entry, in order.
    fn patches(&self, entry: Entry) -> Result<Vec<Patch>, String> {
        let bytes = self.read(entry.start, entry.sectors);
        let first_data =
            (ENTRY_HEADER_LEN + entry.descriptors * DESCRIPTOR_LEN).div_ceil(SECTOR_LEN);
        let mut data = bytes[first_data * SECTOR_LEN..].chunks_exact(SECTOR_LEN);
        let descriptors = bytes[ENTRY_HEADER_LEN..].chunks_exact(DESCRIPTOR_LEN);
        let sector_len = SECTOR_LEN as u64;
        descriptors
            .take(entry.descriptors)
            .map(|descriptor| {
                let start = le64(descriptor, 16);
                if le64(descriptor, 24) != entry.sequence {
                    return Err("a descriptor belongs to another entry".to_owned());
                }
                let (len, bytes) = match &descriptor[..4] {
                    b"zero" => (le64(descriptor, 8), None),
                    b"desc" => {
                        let data = data.next().ok_or("it has fewer sectors than descriptors")?;
                        let bytes = whole(descriptor, data, entry.sequence)?;
                        (sector_len, Some(bytes))
                    }
                    other => return Err(format!("it has a descriptor of the kind {other:?}")),
                };
                let end = start.checked_add(len).filter(|end| *end <= FILE_LEN_MAX);
                match end {
                    Some(end)
                        if start.is_multiple_of(sector_len) && len.is_multiple_of(sector_len) =>
                    {
                        Ok(Patch { range: start..end, bytes })
                    }
                    _ => Err(format!("it changes {len} bytes at {start}, which is out of place")),
                }
            })
            .collect()
    }
}

/// Assembles a changed sector. Its first 8 and last 4 bytes are in the descriptor.
fn whole(descriptor: &[u8], data: &[u8], sequence: u64) -> Result<Box<[u8]>, String> {
    let found = u64::from(le32(data, 4)) << 32 | u64::from(le32(data, SECTOR_LEN - 4));
    if data[..4] != *b"data" || found != sequence {
        return Err("a sector of data belongs to another entry".to_owned());
    }
    Ok([&descriptor[8..16], &data[8..SECTOR_LEN - 4], &descriptor[4..8]].concat().into())
}

/// A file with the changes of its log applied.
struct Replayed {
    below: Box<dyn Source>,
    /// The changes, in the order of application.
    patches: Vec<Patch>,
    file_len: u64,
}

impl Source for Replayed {
    fn source_len(&self) -> u64 {
        self.file_len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let len = u64::try_from(buf.len()).unwrap_or(u64::MAX);
        let end = offset.checked_add(len).filter(|end| *end <= self.file_len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let below = self.below.source_len().saturating_sub(offset).min(len);
        let (in_file, past) = buf.split_at_mut(usize::try_from(below).unwrap_or(usize::MAX));
        past.fill(0);
        if !in_file.is_empty() {
            self.below.read_exact_at(offset, in_file)?;
        }
        for patch in &self.patches {
            let (from, to) = (patch.range.start.max(offset), patch.range.end.min(end));
            if from >= to {
                continue;
            }
            let index = |at: u64, start: u64| usize::try_from(at - start).unwrap_or(usize::MAX);
            let place = &mut buf[index(from, offset)..index(to, offset)];
            match &patch.bytes {
                None => place.fill(0),
                Some(bytes) => {
                    let start = patch.range.start;
                    place.copy_from_slice(&bytes[index(from, start)..index(to, start)]);
                }
            }
        }
        Ok(())
    }

    fn next_run(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        let below = match from < self.below.source_len() {
            true => self.below.next_run(from)?,
            false => None,
        };
        let data = self.patches.iter().filter(|patch| patch.bytes.is_some());
        let ahead = data.filter(|patch| from < patch.range.end);
        let patched = ahead.map(|patch| patch.range.start.max(from)..patch.range.end);
        Ok(patched.chain(below).min_by_key(|run| run.start))
    }
}
