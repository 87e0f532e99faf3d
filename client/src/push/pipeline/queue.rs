//! The tasks of a transfer.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use seawall_api::index::{ChunkRef, LeafRef};

use crate::push::ledger::PendingLeaf;

/// The maximum number of waiting batches with bytes: enough for workers without a leaf to scan.
pub(super) const KEPT_MAX: usize = 4;

/// Missing chunks of one leaf, in disk order.
pub(super) struct Batch {
    pub(super) leaf: Arc<PendingLeaf>,
    pub(super) plain: Plain,
    /// The chunks, each with its offset in `plain` in bytes.
    pub(super) chunks: Vec<(u64, ChunkRef)>,
}

/// The source of the bytes of a batch's chunks.
pub(super) enum Plain {
    /// The position of the disk to read from.
    Disk(usize),
    /// The bytes themselves.
    Kept(Vec<u8>),
}

/// A worker's next step.
pub(super) enum Task {
    Scan { disk: usize, leaf: usize },
    Pack(Batch),
}

/// The queue of tasks. No I/O happens under its lock.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    batches: VecDeque<Batch>,
    next: (usize, usize),
    scanning: usize,
    failed: bool,
    leaves: Vec<Vec<Option<LeafRef>>>,
}

impl Queue {
    /// Returns a queue of all leaves, given the number of leaves of each disk.
    pub(super) fn new(leaf_counts: impl Iterator<Item = usize>) -> Self {
        let leaves = leaf_counts.map(|count| vec![None; count]).collect();
        let state =
            State { batches: VecDeque::new(), next: (0, 0), scanning: 0, failed: false, leaves };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the next task. Waits while a scan may still add one. Returns `None` at the end or
    /// after a failure.
    pub(super) fn next(&self) -> Option<Task> {
        let mut state = self.lock();
        loop {
            if state.failed {
                return None;
            }
            if let Some(batch) = state.batches.pop_front() {
                return Some(Task::Pack(batch));
            }
            if let Some((disk, leaf)) = state.next_leaf() {
                state.scanning += 1;
                return Some(Task::Scan { disk, leaf });
            }
            if state.scanning == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Queues a batch with bytes. Returns the batch if too many are waiting.
    pub(super) fn offer(&self, batch: Batch) -> Option<Batch> {
        let mut state = self.lock();
        let is_kept = |batch: &&Batch| matches!(batch.plain, Plain::Kept(_));
        if state.batches.iter().filter(is_kept).count() >= KEPT_MAX {
            return Some(batch);
        }
        state.batches.push_back(batch);
        self.changed.notify_one();
        None
    }

    /// Ends a scan with its leaf and batches.
    pub(super) fn scanned(&self, at: (usize, usize), leaf: LeafRef, batches: Vec<Batch>) {
        let mut state = self.lock();
        state.leaves[at.0][at.1] = Some(leaf);
        state.batches.extend(batches);
        state.scanning -= 1;
        self.changed.notify_all();
    }

    /// Ends the queue after a worker failed. The others stop at their next task.
    pub(super) fn fail(&self) {
        self.lock().failed = true;
        self.changed.notify_all();
    }

    pub(super) fn take_leaves(&self) -> Vec<Vec<Option<LeafRef>>> {
        std::mem::take(&mut self.lock().leaves)
    }
}

impl State {
    fn next_leaf(&mut self) -> Option<(usize, usize)> {
        while let Some(leaves) = self.leaves.get(self.next.0) {
            if self.next.1 < leaves.len() {
                let at = self.next;
                self.next.1 += 1;
                return Some(at);
            }
            self.next = (self.next.0 + 1, 0);
        }
        None
    }
}
