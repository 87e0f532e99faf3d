//! The tasks of a transfer.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use seawall_api::index::{ChunkRef, LeafRef};

use crate::push::ledger::PendingLeaf;

/// Batches that hold bytes and wait: enough for workers that run out of leaves.
pub(super) const KEPT_MAX: usize = 4;

/// Missing chunks of one leaf, in disk order.
pub(super) struct Batch {
    pub(super) leaf: Arc<PendingLeaf>,
    pub(super) plain: Plain,
    /// Each with its offset in `plain`, in bytes.
    pub(super) chunks: Vec<(u64, ChunkRef)>,
}

/// Where the bytes of a batch's chunks are.
pub(super) enum Plain {
    /// On the disk of this number.
    Disk(usize),
    /// Here.
    Kept(Vec<u8>),
}

/// What a worker does next.
pub(super) enum Task {
    Scan { disk: usize, leaf: usize },
    Pack(Batch),
}

/// Hands out tasks. No I/O happens under its lock.
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
    /// A queue of every leaf of disks with so many leaves each.
    pub(super) fn new(leaf_counts: impl Iterator<Item = usize>) -> Self {
        let leaves = leaf_counts.map(|count| vec![None; count]).collect();
        let state =
            State { batches: VecDeque::new(), next: (0, 0), scanning: 0, failed: false, leaves };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next task; waits while a scan may still bring one; `None` when all is done or lost.
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

    /// Takes a batch that holds bytes, unless as many wait as may; gives it back then.
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

    /// A scan has ended with this leaf and these batches.
    pub(super) fn scanned(&self, at: (usize, usize), leaf: LeafRef, batches: Vec<Batch>) {
        let mut state = self.lock();
        state.leaves[at.0][at.1] = Some(leaf);
        state.batches.extend(batches);
        state.scanning -= 1;
        self.changed.notify_all();
    }

    /// A worker failed: the others stop at their next task.
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
