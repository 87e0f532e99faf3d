//! A disk of a release, read from a source without a local copy.
//!
//! A read fetches the chunks that hold its bytes, and no more. Sequential reads are detected, and
//! the data that follows is read ahead. Offsets are counted in bytes of data for this purpose, so
//! that holes do not interrupt a stream.
//!
//! # At the same time
//!
//! Readers on many threads share the chunks in memory. A read blocks, so it must not be called on a
//! thread that runs the runtime's tasks.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use seawall_api::index::{ChunkRef, Extent, LEAF_SPAN, Leaf};
use tokio::runtime::Handle;

use super::ahead::Ahead;
use super::{ReadError, Reader, Urgency};
use crate::image::{DiskImage, Format, ImageError, RUN_LEN_MAX, Variant};

/// The number of leaves kept in memory: those of the streams that [`Ahead`] follows.
const LEAVES_MAX: usize = 4;
/// The maximum number of bytes that one read takes from the reader at once.
const PIECE_LEN_MAX: usize = 4 << 20;

/// Returns the leaf at a position, or `None` if it was lost.
type Leaves = Box<dyn Fn(usize) -> Option<Leaf> + Send + Sync>;
/// The chunks of a leaf with their offsets on the disk, in order.
type Chunks = Arc<Vec<(u64, ChunkRef)>>;

/// A disk of a release, read from a source.
pub struct StoredDisk {
    name: PathBuf,
    disk_len: u64,
    /// The ranges with data, each with the number of data bytes before it.
    runs: Vec<(u64, Range<u64>)>,
    leaves: Leaves,
    reader: Arc<Reader>,
    runtime: Handle,
    /// Leaves by position, the least recently used first.
    kept: Mutex<VecDeque<(usize, Chunks)>>,
    ahead: Mutex<Ahead>,
    failure: Mutex<Option<Arc<ReadError>>>,
}

impl StoredDisk {
    /// Makes the image of a disk whose data lies in `runs`, sorted and merged. Errors refer to the
    /// disk as `name`. Must be called within a runtime.
    #[must_use]
    pub fn new(
        name: PathBuf,
        disk_len: u64,
        runs: Vec<Range<u64>>,
        leaves: Leaves,
        reader: Arc<Reader>,
    ) -> Self {
        let mut before = 0;
        let runs = runs.into_iter().map(|run| {
            let start = before;
            before += run.end - run.start;
            (start, run)
        });
        Self {
            name,
            disk_len,
            runs: runs.collect(),
            leaves,
            reader,
            runtime: Handle::current(),
            kept: Mutex::default(),
            ahead: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// Returns the ranges of the disk with data, sorted and merged.
    pub fn data_runs(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.runs.iter().map(|(_, run)| run.clone())
    }

    /// Returns the cause of a failed read, which is more precise than its [`ImageError`].
    #[must_use]
    pub fn failure(&self) -> Option<Arc<ReadError>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the number of data bytes before an offset.
    fn data_before(&self, offset: u64) -> u64 {
        let next = self.runs.partition_point(|(_, run)| run.start < offset);
        let Some((before, run)) = next.checked_sub(1).map(|at| &self.runs[at]) else { return 0 };
        before + (offset.min(run.end) - run.start)
    }

    /// Returns the chunks that overlap a range, with their offsets.
    fn chunks(&self, range: &Range<u64>) -> Result<Vec<(u64, ChunkRef)>, ReadError> {
        let mut found = Vec::new();
        for position in range.start / LEAF_SPAN..range.end.div_ceil(LEAF_SPAN) {
            let leaf = self.leaf(usize::try_from(position).unwrap_or(usize::MAX))?;
            let first =
                leaf.partition_point(|(at, chunk)| at + u64::from(chunk.len) <= range.start);
            found.extend(leaf[first..].iter().take_while(|(at, _)| *at < range.end));
        }
        Ok(found)
    }

    fn leaf(&self, position: usize) -> Result<Chunks, ReadError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|(at, _)| *at == position);
        let entry = match found.and_then(|at| kept.remove(at)) {
            Some(entry) => entry,
            None => {
                let leaf = (self.leaves)(position).ok_or(ReadError::Leaf { position })?;
                (position, Arc::new(chunks_of(&leaf, position as u64 * LEAF_SPAN)))
            }
        };
        let chunks = Arc::clone(&entry.1);
        kept.push_back(entry);
        if kept.len() > LEAVES_MAX {
            kept.pop_front();
        }
        Ok(chunks)
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> Result<(), Arc<ReadError>> {
        let range = offset..offset + buf.len() as u64;
        let chunks = self.chunks(&range)?;
        let pending = self.reader.want(chunks.iter().map(|(_, chunk)| *chunk), Urgency::Now);
        self.read_ahead(&range)?;
        let mut rest = offset..range.end;
        for ((at, _), pending) in chunks.into_iter().zip(pending) {
            let bytes = self.runtime.block_on(pending.bytes())?;
            // The chunk may begin before the range and end after it.
            let start = at.max(rest.start);
            let end = (at + bytes.len() as u64).min(range.end);
            buf[within(offset, rest.start..start)].fill(0);
            buf[within(offset, start..end)].copy_from_slice(&bytes[within(at, start..end)]);
            rest.start = end;
        }
        buf[within(offset, rest)].fill(0);
        Ok(())
    }

    /// Reads ahead if `range` continues a stream.
    fn read_ahead(&self, range: &Range<u64>) -> Result<(), ReadError> {
        let data = self.data_before(range.start)..self.data_before(range.end);
        if data.is_empty() {
            return Ok(());
        }
        let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).record(&data);
        let Some(ahead) = ahead else { return Ok(()) };
        let first = self
            .runs
            .partition_point(|(before, run)| before + (run.end - run.start) <= ahead.start);
        let mut chunks = Vec::new();
        for (before, run) in self.runs[first..].iter().take_while(|(before, _)| *before < ahead.end)
        {
            let start = run.start + ahead.start.saturating_sub(*before);
            let end = run.end.min(run.start + (ahead.end - before));
            chunks.extend(self.chunks(&(start..end))?.into_iter().map(|(_, chunk)| chunk));
        }
        drop(self.reader.want(chunks, Urgency::Ahead));
        Ok(())
    }

    fn io(&self, source: io::Error) -> ImageError {
        ImageError::Io { verb: "read", path: self.name.clone(), source }
    }
}

fn chunks_of(leaf: &Leaf, mut offset: u64) -> Vec<(u64, ChunkRef)> {
    let mut chunks = Vec::with_capacity(leaf.extents().len());
    for extent in leaf.extents() {
        if let Extent::Data(chunk) = extent {
            chunks.push((offset, *chunk));
        }
        offset += extent.disk_len();
    }
    chunks
}

/// Returns a range of the disk as a range of a buffer that begins at `base`.
fn within(base: u64, range: Range<u64>) -> Range<usize> {
    let at = |offset: u64| usize::try_from(offset - base).unwrap_or(usize::MAX);
    at(range.start)..at(range.end)
}

impl DiskImage for StoredDisk {
    fn disk_len(&self) -> u64 {
        self.disk_len
    }

    fn next_data(&self, from: u64) -> Result<Option<Range<u64>>, ImageError> {
        let next = self.runs.partition_point(|(_, run)| run.end <= from);
        Ok(self.runs.get(next).map(|(_, run)| {
            let start = run.start.max(from);
            start..run.end.min(start.saturating_add(RUN_LEN_MAX))
        }))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ImageError> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.disk_len);
        if end.is_none() {
            let (path, len, disk_len) = (self.name.clone(), buf.len(), self.disk_len);
            return Err(ImageError::OutOfRange { path, offset, len, disk_len });
        }
        let mut at = offset;
        for piece in buf.chunks_mut(PIECE_LEN_MAX) {
            self.read(at, piece).map_err(|error| {
                let source = io::Error::other(error.to_string());
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                self.io(source)
            })?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn is_packed(&self, _offset: u64) -> Result<bool, ImageError> {
        Ok(false)
    }

    fn variant(&self) -> Variant {
        Variant { format: Format::Raw, detail: "in a registry".to_owned(), sector_len: None }
    }

    fn files(&self) -> &[PathBuf] {
        &[]
    }
}
