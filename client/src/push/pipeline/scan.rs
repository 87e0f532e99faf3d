//! Scan and cut: reads one leaf and cuts it into chunks, and keeps the bytes of some leaves.

use std::cell::Cell;

use seawall_api::index::{LEAF_SPAN, LeafRef};
use seawall_store::scan::{LeafOf, LeafScan, LeafScanner, ScanError};

use super::pack::Packer;
use super::worker::Line;
use super::{Disk, Event, Inputs, Piece, PieceFate, Place, PushError, Scanned};

/// The plain bytes of a piece: some hundred chunks.
const PIECE_LEN: usize = 4 << 20;

/// The reason for an aborted scan.
enum Stop {
    Scan(ScanError),
    Push(PushError),
}

impl From<ScanError> for Stop {
    fn from(error: ScanError) -> Self {
        Self::Scan(error)
    }
}

/// A scanner of leaves. Used by one worker.
pub(super) struct Scanner<'w> {
    inputs: &'w Inputs,
    line: &'w Line,
    scanner: LeafScanner,
}

impl<'w> Scanner<'w> {
    pub(super) fn new(inputs: &'w Inputs, line: &'w Line) -> Self {
        Self { inputs, line, scanner: LeafScanner::default() }
    }

    /// Scans a leaf. A leaf that `is_new` is reported in pieces if reading its bytes again costs
    /// more than keeping them; `packer` packs the pieces that no other worker takes.
    pub(super) fn scan(
        &mut self,
        at: Place,
        is_new: bool,
        packer: &mut Packer<'_>,
    ) -> Result<(), PushError> {
        let disk = &self.inputs.disks[at.disk];
        let in_pieces = is_new && is_compressed(disk, at)?;
        let of = LeafOf {
            image: disk.image.as_ref(),
            disk_len: disk.disk_len,
            grid_offset: disk.grid_offset,
            position: at.leaf,
        };
        let read = Cell::new(0);
        let mut piece = Piece::default();
        let mut report = |piece: &mut Piece| -> Result<(), PushError> {
            let cut = std::mem::take(piece);
            piece.plain = match self.line.ask(|reply| Event::Piece(at, cut, reply))? {
                PieceFate::Present(memory) => memory,
                PieceFate::Queued => Vec::new(),
                PieceFate::Pack(batch) => packer.pack(batch)?,
            };
            piece.plain.clear();
            Ok(())
        };
        let scan = self.scanner.scan_chunks(
            of,
            &|bytes| read.set(read.get() + bytes),
            &mut |chunk, bytes| {
                if !in_pieces {
                    return Ok(());
                }
                if piece.plain.capacity() == 0 {
                    piece.plain.reserve(PIECE_LEN + bytes.len());
                }
                piece.plain.extend_from_slice(bytes);
                piece.chunks.push(chunk);
                if piece.plain.len() < PIECE_LEN {
                    Ok(())
                } else {
                    report(&mut piece).map_err(Stop::Push)
                }
            },
        );
        let LeafScan { leaf, value } = scan.map_err(|stop| match stop {
            Stop::Scan(source) => PushError::Scan { path: disk.path.clone(), source },
            Stop::Push(error) => error,
        })?;
        if !piece.chunks.is_empty() {
            report(&mut piece)?;
        }
        // Blocks of zeros in the file are read but need no further work.
        let data_bytes: u64 = leaf.chunks().map(|chunk| u64::from(chunk.len)).sum();
        self.inputs.push.progress.advance(read.get().saturating_sub(data_bytes));
        let entry = LeafRef { digest: leaf.digest(), value };
        self.line.tell(Event::Scanned(at, Scanned { leaf, entry, data_bytes, in_pieces }))
    }
}

/// Returns whether a leaf begins with compressed data, which is costly to read again.
fn is_compressed(disk: &Disk, at: Place) -> Result<bool, PushError> {
    let start = at.leaf as u64 * LEAF_SPAN;
    match disk.image.next_data(start)? {
        Some(run) if run.start < start + LEAF_SPAN => Ok(disk.image.is_packed(run.start)?),
        _ => Ok(false),
    }
}
