//! One pass over a leaf of a disk, which finds its chunks, their digests and its subtree value.
//!
//! Cuts, zero blocks and both hashes are computed on a window that stays in the cache. The result
//! depends on the guest's bytes alone, not on the file's allocation: a block of zeros is a hole
//! whether it is allocated or not.

use seawall_api::content::SubtreeValue;
use seawall_api::digest::ChunkDigest;
use seawall_api::index::{ChunkRef, Extent, InvalidIndex, Leaf, leaf_count, leaf_range};
use seawall_api::units::{ChunkLen, DiskLen, OutOfLimits};

use crate::chunker::{CHUNK_LEN_MAX, Cutter};
use crate::content::LeafHasher;
use crate::error::ErrorKind;
use crate::image::{DiskImage, ImageError};

mod disk;
mod grid;

pub use disk::scan_disk;
pub use grid::grid_offset;

/// The result of a pass over a leaf.
#[derive(Clone, Debug)]
pub struct LeafScan {
    /// The leaf's extents.
    pub leaf: Leaf,
    /// The leaf's contribution to the content digest.
    pub value: SubtreeValue,
}

/// An error of scanning a disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The disk is empty or too long.
    #[error(transparent)]
    Limits(#[from] OutOfLimits),
    /// A defect of Seawall: the extents found are not in canonical form.
    #[error("the scan produced a malformed index")]
    Index(#[from] InvalidIndex),
}

impl ScanError {
    /// Returns the class of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Image(error) => error.kind(),
            Self::Limits(_) => ErrorKind::InvalidInput,
            Self::Index(_) => ErrorKind::Internal,
        }
    }

    /// Returns the operator's next step.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Image(error) => error.remedy(),
            Self::Limits(_) | Self::Index(_) => None,
        }
    }
}

/// Length of a read in bytes: small enough for the cache of one core.
const WINDOW_LEN: usize = 1 << 20;

/// A scanner of leaves. Used by one thread; reuses its buffer.
pub struct LeafScanner {
    /// The open chunk from the last window, then the window.
    buffer: Vec<u8>,
}

impl Default for LeafScanner {
    fn default() -> Self {
        Self { buffer: vec![0; CHUNK_LEN_MAX as usize + WINDOW_LEN] }
    }
}

/// A callback for each chunk of a leaf, in disk order.
pub type OnChunk<'a, E> = dyn FnMut(ChunkRef, &[u8]) -> Result<(), E> + 'a;

/// A leaf of a disk, to be scanned.
#[derive(Clone, Copy)]
pub struct LeafOf<'a> {
    /// The disk.
    pub image: &'a dyn DiskImage,
    /// The disk's length.
    pub disk_len: DiskLen,
    /// The offset of the first whole block of the disk's grid, in bytes.
    pub grid_offset: u32,
    /// The position of the leaf, from 0.
    pub position: usize,
}

impl LeafScanner {
    /// Scans one leaf. Reports the number of bytes of data to `advance` as they are read.
    ///
    /// # Errors
    /// Fails if the image cannot be read.
    pub fn scan(&mut self, of: LeafOf<'_>, advance: &dyn Fn(u64)) -> Result<LeafScan, ScanError> {
        self.scan_chunks(of, advance, &mut |_, _| Ok(()))
    }

    /// Scans one leaf, and passes each chunk with its bytes to `on_chunk`.
    ///
    /// # Errors
    /// Fails if the image cannot be read, or the first error of `on_chunk`.
    pub fn scan_chunks<E: From<ScanError>>(
        &mut self,
        of: LeafOf<'_>,
        advance: &dyn Fn(u64),
        on_chunk: &mut OnChunk<'_, E>,
    ) -> Result<LeafScan, E> {
        let span = leaf_range(of.disk_len, of.position);
        let mut pass = Pass {
            cutter: Cutter::default(),
            hasher: LeafHasher::new(span.start, leaf_count(of.disk_len) == 1),
            extents: Vec::new(),
            open_len: 0,
            on_chunk,
        };
        let mut offset = span.start;
        while offset < span.end {
            let data = of.image.next_data(offset).map_err(ScanError::from)?;
            let Some(run) = data.filter(|run| run.start < span.end) else {
                self.hole(&mut pass, span.end - offset)?;
                break;
            };
            // Whole blocks of the grid: bytes of a block outside the run read as zeros.
            let start = grid::floor(run.start, of.grid_offset).max(offset);
            let end = grid::ceil(run.end, of.grid_offset).min(span.end);
            self.hole(&mut pass, start - offset)?;
            offset = start;
            while offset < end {
                let stop = end.min(grid::floor(offset + WINDOW_LEN as u64, of.grid_offset));
                self.window(of, offset..stop, &mut pass)?;
                advance(stop - offset);
                offset = stop;
            }
        }
        pass.end_chunk(&self.buffer[..pass.open_len])?;
        let leaf = Leaf::new(pass.extents, span.end - span.start).map_err(ScanError::from)?;
        Ok(LeafScan { leaf, value: pass.hasher.finish() })
    }

    fn hole<E>(&mut self, pass: &mut Pass<'_, '_, E>, len: u64) -> Result<(), E> {
        if len > 0 {
            pass.end_chunk(&self.buffer[..pass.open_len])?;
            pass.hole(len);
            pass.hasher.update_zeros(len);
        }
        Ok(())
    }

    /// Reads one window into the buffer, after the open chunk, and cuts it.
    fn window<E: From<ScanError>>(
        &mut self,
        of: LeafOf<'_>,
        range: std::ops::Range<u64>,
        pass: &mut Pass<'_, '_, E>,
    ) -> Result<(), E> {
        // At most WINDOW_LEN, so it fits.
        let len = usize::try_from(range.end - range.start).unwrap_or(WINDOW_LEN);
        let open = pass.open_len;
        let read = of.image.read_at(range.start, &mut self.buffer[open..open + len]);
        read.map_err(ScanError::from)?;
        let (carried, window) = self.buffer[..open + len].split_at(open);
        if is_zero(window) {
            pass.end_chunk(carried)?;
            pass.hole(len as u64);
            pass.hasher.update_zeros(len as u64);
            return Ok(());
        }
        pass.hasher.update(window);
        let mut chunk_start = 0;
        let mut at = open;
        let mut block_start = range.start;
        while block_start < range.end {
            let block_end = grid::ceil(block_start + 1, of.grid_offset).min(range.end);
            let next = at + usize::try_from(block_end - block_start).unwrap_or(0);
            let block = &self.buffer[at..next];
            if is_zero(block) {
                pass.end_chunk(&self.buffer[chunk_start..at])?;
                pass.hole(block_end - block_start);
                chunk_start = next;
            } else if pass.cutter.begins_chunk(block) {
                pass.chunk(&self.buffer[chunk_start..at])?;
                chunk_start = at;
            }
            at = next;
            block_start = block_end;
        }
        self.buffer.copy_within(chunk_start..at, 0);
        pass.open_len = at - chunk_start;
        Ok(())
    }
}

/// The state of a pass over a leaf.
struct Pass<'f, 'g, E> {
    cutter: Cutter,
    hasher: LeafHasher,
    extents: Vec<Extent>,
    /// Length of the open chunk from the last window, in bytes. The chunk lies at the buffer's
    /// front.
    open_len: usize,
    on_chunk: &'f mut OnChunk<'g, E>,
}

impl<E> Pass<'_, '_, E> {
    /// Adds a chunk. Empty bytes are ignored.
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), E> {
        if let Ok(len) = ChunkLen::new(bytes.len() as u64) {
            let chunk = ChunkRef { digest: ChunkDigest::of(bytes), len };
            self.extents.push(Extent::Data(chunk));
            (self.on_chunk)(chunk, bytes)?;
        }
        Ok(())
    }

    /// Ends the open chunk, before a hole or the end of the leaf.
    fn end_chunk(&mut self, bytes: &[u8]) -> Result<(), E> {
        self.chunk(bytes)?;
        self.cutter.end();
        self.open_len = 0;
        Ok(())
    }

    fn hole(&mut self, len: u64) {
        // A leaf has at most 2^28 bytes.
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        if let Some(Extent::Hole(before)) = self.extents.last_mut() {
            *before += len;
        } else {
            self.extents.push(Extent::Hole(len));
        }
    }
}

/// Returns whether all bytes are zero. Stops at the first other byte.
#[must_use]
pub fn is_zero(bytes: &[u8]) -> bool {
    static ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|part| *part == ZEROS[..part.len()])
}

#[cfg(test)]
mod tests;
