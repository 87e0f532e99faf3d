//! A worker: scans leaves, asks for missing chunks and compresses them.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use seawall_api::digest::LeafDigest;
use seawall_api::index::{ChunkRef, Extent, LEAF_SPAN, Leaf, LeafRef};
use seawall_store::scan::{LeafOf, LeafScan, LeafScanner, ScanError};

use super::early::Early;
use super::packer::Packer;
use super::question::Questions;
use super::queue::{Batch, Plain, Task};
use super::{Disk, Transfer};
use crate::push::PushError;
use crate::push::ledger::PendingLeaf;

/// The plain bytes of a batch: several packs in disk order, but little to wait for at the end.
const BATCH_LEN: u64 = 16 << 20;

/// The maximum number of workers, bounded by memory: each worker fills its own pack.
const WORKERS_MAX: usize = 8;

/// Runs the workers until everything is scanned and packed.
pub(super) fn run(transfer: &Transfer) -> Result<(), PushError> {
    std::thread::scope(|scope| {
        // One more than the number of cores, because one often waits for an answer or for an
        // upload.
        let count = (transfer.push.threads.max(1) + 1).min(WORKERS_MAX);
        let workers: Vec<_> = (0..count)
            .map(|_| {
                scope.spawn(|| {
                    let outcome = Worker::new(transfer).run();
                    if outcome.is_err() {
                        transfer.queue.fail();
                    }
                    outcome
                })
            })
            .collect();
        // All workers are joined, even after a panic. [`FailOnPanic`] has told the others to stop,
        // as the scan of a panicked worker never ends.
        let outcomes: Vec<_> =
            workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        outcomes.into_iter().try_for_each(|outcome| outcome.unwrap_or(Err(PushError::Defect)))
    })
}

struct Worker<'t> {
    transfer: &'t Transfer,
    scanner: LeafScanner,
    packer: Packer<'t>,
}

/// A guard that ends the queue if its worker panics.
struct FailOnPanic<'t>(&'t Transfer);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.queue.fail();
        }
    }
}

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

impl Transfer {
    /// Returns whether the parent release has the leaf, or another worker handles the leaf.
    fn is_seen_to(&self, leaf: LeafDigest) -> bool {
        self.known.contains(&leaf) || !self.ledger.claim_leaf(leaf)
    }

    fn is_present(&self, leaf: LeafDigest) -> Result<bool, PushError> {
        let missing =
            self.handle.block_on(self.push.registry.missing_leaves(&self.lease, &[leaf]))?;
        Ok(missing == [false])
    }

    /// Asks about a scanned leaf. Returns batches of the chunks to send.
    fn ask(&self, disk: usize, start: u64, leaf: Leaf) -> Result<Vec<Batch>, PushError> {
        let digest = leaf.digest();
        let data_bytes: u64 = leaf.chunks().map(|chunk| u64::from(chunk.len)).sum();
        let reused = if self.known.contains(&digest) {
            Some(&self.parent_bytes)
        } else if !self.ledger.claim_leaf(digest) {
            Some(&self.repeated_bytes)
        } else if self.is_present(digest)? {
            Some(&self.registry_bytes)
        } else {
            None
        };
        if let Some(reused) = reused {
            reused.add(data_bytes);
            self.push.progress.reused(data_bytes);
            return Ok(Vec::new());
        }
        let mut questions = Questions::default();
        questions.ask(self, leaf.chunks().map(|chunk| chunk.digest))?;
        let mut offset = start;
        let mut wanted = Vec::new();
        for extent in leaf.extents() {
            if let Extent::Data(chunk) = extent
                && questions.is_to_send(self, *chunk)
            {
                wanted.push((offset, *chunk));
            }
            offset += extent.disk_len();
        }
        let wanted_bytes: u64 = wanted.iter().map(|(_, chunk)| u64::from(chunk.len)).sum();
        self.disks[disk].is_new.store(wanted_bytes * 2 > data_bytes, Ordering::Relaxed);
        let pending = Arc::new(PendingLeaf::default());
        pending.is_whole(leaf, questions.is_deferred());
        let batches = into_batches(disk, &pending, wanted);
        self.let_go(vec![pending])?;
        Ok(batches)
    }

    /// Drops references to leaves, and sends the ready leaves.
    pub(super) fn let_go(&self, leaves: Vec<Arc<PendingLeaf>>) -> Result<(), PushError> {
        for leaf in self.ledger.let_go(leaves) {
            self.handle.block_on(self.push.registry.put_leaf(&self.lease, &leaf))?;
        }
        Ok(())
    }
}

impl<'t> Worker<'t> {
    fn new(transfer: &'t Transfer) -> Self {
        Self { transfer, scanner: LeafScanner::default(), packer: Packer::new(transfer) }
    }

    fn run(&mut self) -> Result<(), PushError> {
        let _guard = FailOnPanic(self.transfer);
        while let Some(task) = self.transfer.queue.next() {
            match task {
                Task::Scan { disk, leaf } => self.scan(disk, leaf)?,
                Task::Pack(batch) => {
                    self.packer.pack(batch)?;
                    // Only scans need the spare memory.
                    self.packer.spare = Vec::new();
                }
            }
        }
        self.packer.ship()
    }

    fn scan(&mut self, disk_position: usize, position: usize) -> Result<(), PushError> {
        let Self { transfer, scanner, packer } = self;
        let disk = &transfer.disks[disk_position];
        let start = position as u64 * LEAF_SPAN;
        let mut early = is_early(disk, start)?.then(|| Early::new(transfer));
        let read = Cell::new(0);
        let scan = scanner.scan_chunks(
            LeafOf {
                image: disk.image.as_ref(),
                disk_len: disk.disk_len,
                grid_offset: disk.grid_offset,
                position,
            },
            &|bytes| read.set(read.get() + bytes),
            &mut |chunk, bytes| match &mut early {
                Some(early) => early.take(packer, chunk, bytes).map_err(Stop::Push),
                None => Ok(()),
            },
        );
        let LeafScan { leaf, value } = scan.map_err(|stop| match stop {
            Stop::Scan(source) => PushError::Scan { path: disk.path.clone(), source },
            Stop::Push(error) => error,
        })?;
        let data_bytes: u64 = leaf.chunks().map(|chunk| u64::from(chunk.len)).sum();
        // Blocks of zeros in the file are read but need no further work.
        transfer.push.progress.advance(read.get().saturating_sub(data_bytes));
        let digest = leaf.digest();
        let batches = match early {
            Some(early) => {
                let is_ours = |all_present| {
                    // The registry cannot have a leaf without all of its chunks.
                    let may_be_there =
                        || if all_present { transfer.is_present(digest) } else { Ok(false) };
                    Ok(!transfer.is_seen_to(digest) && !may_be_there()?)
                };
                let is_new = early.finish(packer, leaf, is_ours)?;
                disk.is_new.store(is_new, Ordering::Relaxed);
                Vec::new()
            }
            None => transfer.ask(disk_position, start, leaf)?,
        };
        transfer.queue.scanned((disk_position, position), LeafRef { digest, value }, batches);
        Ok(())
    }
}

/// Returns whether to ask about a leaf during its scan: if the leaf is likely to be sent, and
/// reading its bytes again costs more than keeping them.
fn is_early(disk: &Disk, start: u64) -> Result<bool, PushError> {
    if !disk.is_new.load(Ordering::Relaxed) {
        return Ok(false);
    }
    match disk.image.next_data(start)? {
        Some(run) if run.start < start + LEAF_SPAN => Ok(disk.image.is_packed(run.start)?),
        _ => Ok(false),
    }
}

fn into_batches(disk: usize, leaf: &Arc<PendingLeaf>, chunks: Vec<(u64, ChunkRef)>) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut room = 0;
    for (offset, chunk) in chunks {
        if room == 0 {
            let plain = Plain::Disk(disk);
            batches.push(Batch { leaf: Arc::clone(leaf), plain, chunks: Vec::new() });
            room = BATCH_LEN;
        }
        room = room.saturating_sub(chunk.len.into());
        if let Some(batch) = batches.last_mut() {
            batch.chunks.push((offset, chunk));
        }
    }
    batches
}
