//! One worker: scans leaves, asks what is missing, compresses it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use seawall_api::digest::ChunkDigest;
use seawall_api::index::{ChunkRef, Extent, LEAF_SPAN, Leaf, LeafRef};
use seawall_store::pack::PackWriter;
use seawall_store::scan::{LeafOf, LeafScan, LeafScanner};

use super::queue::{Batch, Task};
use super::{Disk, Transfer};
use crate::push::PushError;
use crate::push::ledger::PendingLeaf;
use crate::push::uploads::Cargo;

/// Plain bytes of one batch: some packs' worth of order, yet little to wait for at the end.
const BATCH_LEN: u64 = 16 << 20;

/// Each worker fills a pack of its own, so memory bounds their number.
const WORKERS_MAX: usize = 8;

/// Runs the workers until all is scanned and packed.
pub(super) fn run(transfer: &Transfer) -> Result<(), PushError> {
    std::thread::scope(|scope| {
        // One more than there are cores: one often waits for an answer or for room to send.
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
        // A panic is resumed only after every worker has ended; `fail` cannot have been called
        // for it, but its scan never ends either, so the others must be told.
        let outcomes: Vec<_> =
            workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        outcomes.into_iter().try_for_each(|outcome| outcome.unwrap_or(Err(PushError::Defect)))
    })
}

struct Worker<'t> {
    transfer: &'t Transfer,
    scanner: LeafScanner,
    pack: PackWriter,
    /// What the open pack holds, and which leaves wait for it.
    chunks: Vec<ChunkDigest>,
    leaves: Vec<Arc<PendingLeaf>>,
    plain: Vec<u8>,
}

/// Tells the queue when a worker ends by a panic.
struct FailOnPanic<'t>(&'t Transfer);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.queue.fail();
        }
    }
}

impl<'t> Worker<'t> {
    fn new(transfer: &'t Transfer) -> Self {
        Self {
            transfer,
            scanner: LeafScanner::default(),
            pack: PackWriter::default(),
            chunks: Vec::new(),
            leaves: Vec::new(),
            plain: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<(), PushError> {
        let _guard = FailOnPanic(self.transfer);
        while let Some(task) = self.transfer.queue.next() {
            match task {
                Task::Scan { disk, leaf } => self.scan(disk, leaf)?,
                Task::Pack(batch) => self.pack(batch)?,
            }
        }
        self.ship()
    }

    fn scan(&mut self, disk_position: usize, position: usize) -> Result<(), PushError> {
        let transfer = self.transfer;
        let disk = &transfer.disks[disk_position];
        let Disk { image, disk_len, grid_offset, .. } = disk;
        let of = LeafOf {
            image: image.as_ref(),
            disk_len: *disk_len,
            grid_offset: *grid_offset,
            position,
        };
        let read = std::cell::Cell::new(0);
        let LeafScan { leaf, value } = self
            .scanner
            .scan(of, &|bytes| read.set(read.get() + bytes))
            .map_err(|source| PushError::Scan { path: disk.path.clone(), source })?;
        let data_bytes: u64 = leaf.chunks().map(|chunk| u64::from(chunk.len)).sum();
        // Blocks of zeros that the file has: read, and nothing else to do for them.
        transfer.push.progress.advance(read.get().saturating_sub(data_bytes));
        let digest = leaf.digest();
        let batches = if transfer.known.contains(&digest) {
            transfer.parent_bytes.add(data_bytes);
            transfer.push.progress.reused(data_bytes);
            Vec::new()
        } else if !transfer.ledger.claim_leaf(digest) {
            transfer.repeated_bytes.add(data_bytes);
            transfer.push.progress.reused(data_bytes);
            Vec::new()
        } else if self.is_present(digest)? {
            transfer.registry_bytes.add(data_bytes);
            transfer.push.progress.reused(data_bytes);
            Vec::new()
        } else {
            self.ask(disk_position, position as u64 * LEAF_SPAN, leaf)?
        };
        transfer.queue.scanned((disk_position, position), LeafRef { digest, value }, batches);
        Ok(())
    }

    fn is_present(&self, leaf: seawall_api::digest::LeafDigest) -> Result<bool, PushError> {
        let Transfer { handle, push, lease, .. } = self.transfer;
        let missing = handle.block_on(push.registry.missing_leaves(lease, &[leaf]))?;
        Ok(missing == [false])
    }

    /// One question about a leaf; batches of what has to be sent for it.
    fn ask(&mut self, disk: usize, start: u64, leaf: Leaf) -> Result<Vec<Batch>, PushError> {
        let Transfer { handle, push, lease, ledger, .. } = self.transfer;
        let mut seen = HashSet::new();
        let distinct: Vec<_> =
            leaf.chunks().map(|chunk| chunk.digest).filter(|digest| seen.insert(*digest)).collect();
        let missing = handle.block_on(push.registry.missing_chunks(lease, &distinct))?;
        let missing: Vec<_> =
            distinct.iter().zip(missing).filter(|(_, missing)| *missing).map(|(d, _)| *d).collect();
        let claimed = ledger.claim(missing.iter().copied());
        let is_deferred = claimed.contains(&false);
        let mut fates: HashMap<_, _> = missing.into_iter().zip(claimed).collect();
        let mut offset = start;
        let mut wanted = Vec::new();
        for extent in leaf.extents() {
            if let Extent::Data(chunk) = extent {
                // The first place of a claimed chunk is sent; its other places repeat it.
                match fates.get_mut(&chunk.digest) {
                    Some(fate) if *fate => {
                        *fate = false;
                        wanted.push((offset, *chunk));
                    }
                    Some(_) => self.reuse(&self.transfer.repeated_bytes, *chunk),
                    None => self.reuse(&self.transfer.registry_bytes, *chunk),
                }
            }
            offset += extent.disk_len();
        }
        let leaf = Arc::new(PendingLeaf { leaf, is_deferred });
        let batches = into_batches(disk, &leaf, wanted);
        for leaf in ledger.let_go(vec![leaf]) {
            handle.block_on(push.registry.put_leaf(lease, &leaf))?;
        }
        Ok(batches)
    }

    fn reuse(&self, counter: &crate::push::sources::Counter, chunk: ChunkRef) {
        counter.add(chunk.len.into());
        self.transfer.push.progress.reused(chunk.len.into());
    }

    /// Compresses a batch into packs.
    fn pack(&mut self, batch: Batch) -> Result<(), PushError> {
        let disk = &self.transfer.disks[batch.disk];
        for (offset, chunk) in batch.chunks {
            let len = usize::from(chunk.len);
            self.plain.resize(self.plain.len().max(len), 0);
            disk.image.read_at(offset, &mut self.plain[..len])?;
            self.pack.push(chunk.digest, chunk.len, &self.plain[..len]);
            self.chunks.push(chunk.digest);
            self.transfer.push.progress.advance(chunk.len.into());
            if self.pack.is_full() {
                self.leaves.push(Arc::clone(&batch.leaf));
                self.ship()?;
            }
        }
        self.leaves.push(batch.leaf);
        Ok(())
    }

    /// Sends the open pack, if it holds anything.
    fn ship(&mut self) -> Result<(), PushError> {
        let leaves = std::mem::take(&mut self.leaves);
        if self.pack.is_empty() {
            // Every chunk of these leaves is in packs that went before.
            let Transfer { handle, push, lease, ledger, .. } = self.transfer;
            for leaf in ledger.let_go(leaves) {
                handle.block_on(push.registry.put_leaf(lease, &leaf))?;
            }
            return Ok(());
        }
        let pack = self.pack.finish(self.transfer.uploads.spare());
        let chunks = std::mem::take(&mut self.chunks);
        self.transfer.uploads.send(Cargo { pack, chunks, leaves })
    }
}

fn into_batches(disk: usize, leaf: &Arc<PendingLeaf>, chunks: Vec<(u64, ChunkRef)>) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut room = 0;
    for (offset, chunk) in chunks {
        if room == 0 {
            batches.push(Batch { disk, leaf: Arc::clone(leaf), chunks: Vec::new() });
            room = BATCH_LEN;
        }
        room = room.saturating_sub(chunk.len.into());
        if let Some(batch) = batches.last_mut() {
            batch.chunks.push((offset, chunk));
        }
    }
    batches
}
