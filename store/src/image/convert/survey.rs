//! The pass that reads a disk, to find its runs of data and its digest.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use seawall_api::content::{self, SubtreeValue};
use seawall_api::digest::ContentDigest;
use seawall_api::index::LEAF_SPAN;
use seawall_api::units::BLOCK_LEN;

use super::super::DiskImage;
use super::ConvertError;
use crate::content::{LeafHasher, Pieces};
use crate::scan::is_zero;

/// Length of a read in bytes: small enough for the cache of one core.
const WINDOW_LEN: u64 = 1 << 20;
/// Maximum gap over which two runs are joined, in bytes. Every run costs memory and two system
/// calls, and no format has a finer unit but raw, whose runs are not kept.
pub(super) const GAP_MAX: u64 = 32 << 10;

/// The result of the pass.
pub(super) struct Survey {
    /// Runs of bytes other than zero, sorted, with gaps of more than [`GAP_MAX`].
    pub(super) runs: Vec<Range<u64>>,
    pub(super) content: ContentDigest,
    /// Length of the blocks that are not all zero, in bytes.
    pub(super) data_len: u64,
}

/// Returns the digest of a disk, and the length in bytes of its blocks that are not all zero.
///
/// # Errors
/// Fails if the image cannot be read.
pub fn content_digest(
    image: &dyn DiskImage,
    threads: usize,
    advance: &(dyn Fn(u64) + Sync),
) -> Result<(ContentDigest, u64), ConvertError> {
    let survey = survey(image, threads, advance)?;
    Ok((survey.content, survey.data_len))
}

/// Surveys a disk on several threads.
pub(super) fn survey(
    image: &dyn DiskImage,
    threads: usize,
    advance: &(dyn Fn(u64) + Sync),
) -> Result<Survey, ConvertError> {
    // An empty disk has one empty leaf.
    let count = usize::try_from(image.disk_len().div_ceil(LEAF_SPAN)).unwrap_or(usize::MAX).max(1);
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let leaves = Mutex::new(Vec::new());
    let work = || -> Result<(), ConvertError> {
        let mut buffer = vec![0; usize::try_from(WINDOW_LEN).unwrap_or(0)];
        while !failed.load(Ordering::Relaxed) {
            let position = next.fetch_add(1, Ordering::Relaxed);
            if position >= count {
                break;
            }
            let start = position as u64 * LEAF_SPAN;
            let span = start..(start + LEAF_SPAN).min(image.disk_len());
            let hasher = LeafHasher::new(start, count == 1);
            let mut leaf = Leaf { image, hasher, runs: Vec::new(), data_len: 0 };
            leaf.read(span, &mut buffer, advance)?;
            let found = (position, leaf.hasher.finish(), leaf.runs, leaf.data_len);
            leaves.lock().unwrap_or_else(PoisonError::into_inner).push(found);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let work = || work().inspect_err(|_| failed.store(true, Ordering::Relaxed));
        let workers: Vec<_> = (0..threads.clamp(1, count)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    Ok(joined(leaves.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

fn joined(mut leaves: Vec<(usize, SubtreeValue, Vec<Range<u64>>, u64)>) -> Survey {
    leaves.sort_unstable_by_key(|(position, ..)| *position);
    let values: Vec<_> = leaves.iter().map(|(_, value, ..)| *value).collect();
    let data_len = leaves.iter().map(|(.., data_len)| data_len).sum();
    let mut runs = Vec::new();
    for (_, _, of_leaf, _) in leaves {
        of_leaf.into_iter().for_each(|run| push(&mut runs, run, GAP_MAX));
    }
    Survey { runs, content: content::content_digest(&values), data_len }
}

/// Adds a run. Joins it to the last one if the gap between them is at most `gap_max` bytes.
pub(super) fn push(runs: &mut Vec<Range<u64>>, run: Range<u64>, gap_max: u64) {
    match runs.last_mut() {
        Some(last) if run.start >= last.end && run.start - last.end <= gap_max => {
            last.end = run.end;
        }
        _ => runs.push(run),
    }
}

/// Returns the digest of a disk from the values of its pieces. The rest is zeros, which take time
/// to hash where the table has no value for them.
pub(super) fn digest_of(pieces: &Pieces, disk_len: u64, threads: usize) -> ContentDigest {
    let count = usize::try_from(disk_len.div_ceil(LEAF_SPAN)).unwrap_or(usize::MAX).max(1);
    let next = AtomicUsize::new(0);
    let values = Mutex::new(Vec::with_capacity(count));
    let work = || loop {
        let position = next.fetch_add(1, Ordering::Relaxed);
        if position >= count {
            break;
        }
        let value = pieces.leaf(position as u64 * LEAF_SPAN);
        values.lock().unwrap_or_else(PoisonError::into_inner).push((position, value));
    };
    thread::scope(|scope| {
        (1..threads.clamp(1, count)).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    let mut values = values.into_inner().unwrap_or_else(PoisonError::into_inner);
    values.sort_unstable_by_key(|(position, _)| *position);
    content::content_digest(&values.into_iter().map(|(_, value)| value).collect::<Vec<_>>())
}

struct Leaf<'a> {
    image: &'a dyn DiskImage,
    hasher: LeafHasher,
    runs: Vec<Range<u64>>,
    data_len: u64,
}

impl Leaf<'_> {
    fn read(
        &mut self,
        span: Range<u64>,
        buffer: &mut [u8],
        advance: &(dyn Fn(u64) + Sync),
    ) -> Result<(), ConvertError> {
        let mut at = span.start;
        while at < span.end {
            let data = self.image.next_data(at)?.filter(|run| run.start < span.end);
            let Some(run) = data else { break };
            // Whole blocks: bytes of a block outside the run read as zeros.
            let start = (run.start - run.start % BLOCK_LEN).max(at);
            let end = run.end.next_multiple_of(BLOCK_LEN).min(span.end);
            self.hasher.update_zeros(start - at);
            at = start;
            while at < end {
                let stop = end.min((at / WINDOW_LEN + 1) * WINDOW_LEN);
                let window = &mut buffer[..usize::try_from(stop - at).unwrap_or(0)];
                self.image.read_at(at, window)?;
                self.window(at, window);
                advance(stop - at);
                at = stop;
            }
        }
        self.hasher.update_zeros(span.end - at);
        Ok(())
    }

    fn window(&mut self, start: u64, window: &[u8]) {
        if is_zero(window) {
            self.hasher.update_zeros(window.len() as u64);
            return;
        }
        self.hasher.update(window);
        let block_len = usize::try_from(BLOCK_LEN).unwrap_or(usize::MAX);
        let mut run_start = None;
        let blocks = window.chunks(block_len).map(|block| !is_zero(block));
        for (index, is_data) in blocks.chain([false]).enumerate() {
            let at = (index * block_len).min(window.len());
            match (run_start, is_data) {
                (None, true) => run_start = Some(at),
                (Some(from), false) => {
                    self.data_len += (at - from) as u64;
                    push(&mut self.runs, start + from as u64..start + at as u64, GAP_MAX);
                    run_start = None;
                }
                _ => {}
            }
        }
    }
}
