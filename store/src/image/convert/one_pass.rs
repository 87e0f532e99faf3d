//! The single pass over a disk: reads and hashes the disk, finds runs of zeros, and writes the rest
//! to its place in the file.
//!
//! The place of a piece of data depends only on the amount of data before it. Pieces are read in
//! parallel, take their places in disk order, and are written in any order.
//!
//! # Invariants
//!
//! 1. Each worker holds one piece.
//! 2. Places are those of the final layout, if its placement is the one given.
//! 3. A worker that ends early, by an error or a panic, wakes the workers that wait for their turn.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use seawall_api::content::SubtreeValue;
use seawall_api::units::BLOCK_LEN;

use super::super::layout::Placement;
use super::survey::{self, GAP_MAX, Survey};
use super::{Convert, ConvertError};
use crate::content::{PIECE_LEN, Pieces, piece_value};
use crate::new_file::write_behind::WriteBehind;
use crate::scan::is_zero;

const WORKERS_MAX: usize = 64;

/// Copies the disk's data into an empty file, and returns the survey of the disk.
pub(super) fn run(
    order: &Convert<'_>,
    placement: Placement,
    file: &File,
) -> Result<Survey, ConvertError> {
    let pass = Pass {
        order,
        file: WriteBehind::new(file.try_clone().map_err(ConvertError::Write)?),
        next: Mutex::new(Next { number: 0, run: 0..0 }),
        turn: Mutex::new(Turn::new(placement)),
        turned: Condvar::new(),
        writing: Mutex::new(()),
        failed: AtomicBool::new(false),
        found: Mutex::new(Found::new(order.image.disk_len())),
    };
    thread::scope(|scope| {
        // One per core: one more would pass the file on more often, which costs more than the idle
        // time of the core (docs/bench/2026-11-22-formats.md).
        let count = order.threads.clamp(1, WORKERS_MAX);
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(|| pass.work())).collect();
        let ended: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        ended.into_iter().try_for_each(|outcome| {
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    // The kernel reports a failed write only once, to the next caller that syncs.
    pass.file.settle().map_err(ConvertError::Write)?;
    let Found { mut runs, pieces, data_len } =
        pass.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    runs.sort_unstable_by_key(|run| run.start);
    let mut joined = Vec::new();
    runs.into_iter().for_each(|run| survey::push(&mut joined, run, GAP_MAX));
    let content = survey::digest_of(&pieces, order.image.disk_len(), order.threads);
    Ok(Survey { runs: joined, content, data_len })
}

struct Pass<'a> {
    order: &'a Convert<'a>,
    file: WriteBehind,
    next: Mutex<Next>,
    turn: Mutex<Turn>,
    turned: Condvar,
    /// File systems admit one writer per file. Waiting here avoids spinning in the kernel.
    writing: Mutex<()>,
    failed: AtomicBool,
    found: Mutex<Found>,
}

/// The number of the next piece, and the rest of the run in which the piece begins.
struct Next {
    number: u64,
    run: Range<u64>,
}

/// A piece of the disk with data.
struct Piece {
    number: u64,
    range: Range<u64>,
    /// The data in the piece, by the image's map.
    data: Vec<Range<u64>>,
}

struct Found {
    runs: Vec<Range<u64>>,
    pieces: Pieces,
    data_len: u64,
}

impl Found {
    fn new(disk_len: u64) -> Self {
        Self { runs: Vec::new(), pieces: Pieces::new(disk_len), data_len: 0 }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A guard that ends the pass for all workers when one fails or panics.
struct FailOnDrop<'p, 'a>(&'p Pass<'a>);

impl Drop for FailOnDrop<'_, '_> {
    fn drop(&mut self) {
        // Under the lock, or a worker about to wait would miss the signal.
        let _turn = lock(&self.0.turn);
        self.0.failed.store(true, Ordering::Relaxed);
        self.0.turned.notify_all();
    }
}

impl Pass<'_> {
    fn work(&self) -> Result<(), ConvertError> {
        let guard = FailOnDrop(self);
        let mut buffer = vec![0; usize::try_from(PIECE_LEN).unwrap_or(0)];
        while let Some(Piece { number, range: piece, data }) = self.next_piece()? {
            let bytes = &mut buffer[..usize::try_from(piece.end - piece.start).unwrap_or(0)];
            self.read(&piece, &data, bytes)?;
            let (runs, data_len) = runs_of(bytes, self.gap_max());
            let Some(places) = self.place(number, piece.start, &runs) else { break };
            if runs.is_empty() {
                continue;
            }
            let value = self.value(piece.start, bytes);
            self.write(bytes, &places)?;
            let mut found = lock(&self.found);
            found.pieces.put(piece.start, value);
            found.data_len += data_len;
            for run in runs {
                let run = piece.start + run.start as u64..piece.start + run.end as u64;
                survey::push(&mut found.runs, run, 0);
            }
        }
        std::mem::forget(guard);
        Ok(())
    }

    /// Returns the next piece with data, by the image's map. The map is queried once for each run,
    /// as an answer about a long run takes long.
    fn next_piece(&self) -> Result<Option<Piece>, ConvertError> {
        if self.failed.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let image = self.order.image;
        let mut next = lock(&self.next);
        if next.run.is_empty() {
            let Some(run) = image.next_data(next.run.end)? else { return Ok(None) };
            next.run = run;
        }
        let start = next.run.start - next.run.start % PIECE_LEN;
        let end = (start + PIECE_LEN).min(image.disk_len());
        let mut data = Vec::new();
        loop {
            let stop = next.run.end.min(end);
            if next.run.start < stop {
                data.push(next.run.start..stop);
                next.run.start = stop;
            }
            if next.run.start >= end || !next.run.is_empty() {
                break;
            }
            let Some(run) = image.next_data(next.run.end)? else { break };
            next.run = run;
        }
        let number = next.number;
        next.number += 1;
        Ok(Some(Piece { number, range: start..end, data }))
    }

    fn read(
        &self,
        piece: &Range<u64>,
        data: &[Range<u64>],
        bytes: &mut [u8],
    ) -> Result<(), ConvertError> {
        let index = |at: u64| usize::try_from(at - piece.start).unwrap_or(usize::MAX);
        let mut at = piece.start;
        for run in data {
            bytes[index(at)..index(run.start)].fill(0);
            self.order.image.read_at(run.start, &mut bytes[index(run.start)..index(run.end)])?;
            (self.order.advance)(run.end - run.start);
            at = run.end;
        }
        bytes[index(at)..].fill(0);
        Ok(())
    }

    /// Returns the maximum gap over which runs are joined, in bytes. A raw file has a hole for
    /// every block of zeros; formats with units gain nothing from short holes.
    fn gap_max(&self) -> u64 {
        if lock(&self.turn).placement.units.is_some() { GAP_MAX } else { 0 }
    }

    /// Waits for the piece's turn, and returns the places of its runs; `None` if the pass failed.
    fn place(&self, number: u64, start: u64, runs: &[Range<usize>]) -> Option<Vec<Placed>> {
        let mut turn = lock(&self.turn);
        while turn.number != number {
            if self.failed.load(Ordering::Relaxed) {
                return None;
            }
            turn = self.turned.wait(turn).unwrap_or_else(PoisonError::into_inner);
        }
        let mut places = Vec::with_capacity(runs.len());
        runs.iter().for_each(|run| turn.place(start, run.clone(), &mut places));
        turn.number += 1;
        self.turned.notify_all();
        Some(places)
    }

    fn value(&self, start: u64, bytes: &[u8]) -> SubtreeValue {
        piece_value(start, bytes, self.order.image.disk_len() <= PIECE_LEN)
    }

    fn write(&self, bytes: &[u8], places: &[Placed]) -> Result<(), ConvertError> {
        let _writing = lock(&self.writing);
        for place in places {
            let bytes = &bytes[place.range.clone()];
            self.file.file().write_all_at(bytes, place.host).map_err(ConvertError::Write)?;
            self.file.wrote(bytes.len()).map_err(ConvertError::Write)?;
        }
        Ok(())
    }
}

/// A range of a piece, and its offset in the file.
struct Placed {
    range: Range<usize>,
    host: u64,
}

/// The allocator of places, in disk order.
struct Turn {
    placement: Placement,
    /// The number of the piece whose turn it is.
    number: u64,
    /// The last unit placed.
    unit: Option<u64>,
    /// The number of units placed.
    units: u64,
}

impl Turn {
    fn new(placement: Placement) -> Self {
        Self { placement, number: 0, unit: None, units: 0 }
    }

    /// Adds the places of a run of the piece at `start`.
    fn place(&mut self, start: u64, run: Range<usize>, places: &mut Vec<Placed>) {
        let mut at = run.start;
        while at < run.end {
            let guest = start + at as u64;
            let (host, len) = match self.placement.units {
                None => (self.placement.start + guest, run.end - at),
                Some(units) => {
                    let unit = guest >> units.bits;
                    if self.unit != Some(unit) {
                        self.unit = Some(unit);
                        self.units += 1;
                    }
                    let in_unit = guest - (unit << units.bits);
                    let host = self.placement.start + (self.units - 1) * units.stride + in_unit;
                    let left = usize::try_from((1 << units.bits) - in_unit).unwrap_or(usize::MAX);
                    (host, left.min(run.end - at))
                }
            };
            let range = at..at + len;
            at = range.end;
            match places.last_mut() {
                Some(last)
                    if last.range.end == range.start
                        && last.host + last.range.len() as u64 == host =>
                {
                    last.range.end = range.end;
                }
                _ => places.push(Placed { range, host }),
            }
        }
    }
}

/// Returns the runs of a piece that are not zero, and the length in bytes of its blocks that are
/// not all zero.
fn runs_of(bytes: &[u8], gap_max: u64) -> (Vec<Range<usize>>, u64) {
    let block_len = usize::try_from(BLOCK_LEN).unwrap_or(usize::MAX);
    let gap_max = usize::try_from(gap_max).unwrap_or(0);
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut data_len = 0;
    for (index, block) in bytes.chunks(block_len).enumerate() {
        if is_zero(block) {
            continue;
        }
        data_len += block.len() as u64;
        let start = index * block_len;
        match runs.last_mut() {
            Some(last) if start - last.end <= gap_max => last.end = start + block.len(),
            _ => runs.push(start..start + block.len()),
        }
    }
    (runs, data_len)
}
