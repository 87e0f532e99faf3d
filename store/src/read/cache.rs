//! Chunks in memory and in flight, each read once for everyone who wants it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use seawall_api::index::ChunkRef;
use tokio::sync::watch;

use super::{ReadError, Wanted};

/// The maximum number of plain bytes kept for later reads: 128 MiB.
const KEPT_BYTES_MAX: u64 = 128 << 20;

type Outcome = Result<Bytes, Arc<ReadError>>;

/// The urgency of a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Urgency {
    /// A caller waits for the bytes.
    Now,
    /// The bytes may be wanted soon.
    Ahead,
}

/// A chunk that is being read.
#[derive(Clone)]
pub struct Pending(watch::Receiver<Option<Outcome>>);

impl Pending {
    /// Waits for the chunk's bytes.
    ///
    /// # Errors
    /// The error of the read, shared by everyone who waits for the chunk.
    pub async fn bytes(mut self) -> Result<Bytes, Arc<ReadError>> {
        match self.0.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(Arc::new(ReadError::Defect))),
            Err(_) => Err(Arc::new(ReadError::Defect)),
        }
    }

    /// Returns whether the read failed, so that another one has to be made.
    fn has_failed(&self) -> bool {
        let is_err = self.0.borrow().as_ref().is_some_and(Result::is_err);
        is_err || (self.0.has_changed().is_err() && self.0.borrow().is_none())
    }
}

/// The other end of a [`Pending`]: the obligation to read a chunk.
pub(super) struct Promise {
    chunk: ChunkRef,
    sender: watch::Sender<Option<Outcome>>,
}

impl Promise {
    pub(super) fn keep(&self, outcome: Outcome) {
        self.sender.send_replace(Some(outcome));
    }
}

impl Wanted for Promise {
    fn chunk(&self) -> ChunkRef {
        self.chunk
    }
}

struct Slot {
    pending: Pending,
    hurry: Arc<watch::Sender<bool>>,
    used: u64,
}

/// The chunks in memory and in flight, the least recently used first out.
#[derive(Default)]
pub(super) struct Cache {
    slots: HashMap<ChunkRef, Slot>,
    by_use: BTreeMap<u64, ChunkRef>,
    uses: u64,
    bytes: u64,
}

impl Cache {
    /// Returns a known chunk. A chunk in flight is hurried if a caller waits for it now.
    pub(super) fn find(&mut self, chunk: ChunkRef, urgency: Urgency) -> Option<Pending> {
        if self.slots.get(&chunk)?.pending.has_failed() {
            self.remove(chunk);
            return None;
        }
        let slot = self.slots.get_mut(&chunk)?;
        if urgency == Urgency::Now {
            slot.hurry.send_replace(true);
        }
        self.by_use.remove(&slot.used);
        self.uses += 1;
        slot.used = self.uses;
        self.by_use.insert(slot.used, chunk);
        Some(slot.pending.clone())
    }

    /// Adds a chunk to be read, and removes the least recently used ones. Their readers keep them.
    pub(super) fn add(
        &mut self,
        chunk: ChunkRef,
        hurry: &Arc<watch::Sender<bool>>,
    ) -> (Promise, Pending) {
        let (sender, receiver) = watch::channel(None);
        let pending = Pending(receiver);
        self.uses += 1;
        self.bytes += u64::from(chunk.len);
        self.by_use.insert(self.uses, chunk);
        let slot = Slot { pending: pending.clone(), hurry: Arc::clone(hurry), used: self.uses };
        self.slots.insert(chunk, slot);
        while self.bytes > KEPT_BYTES_MAX
            && let Some((_, &oldest)) = self.by_use.first_key_value()
        {
            self.remove(oldest);
        }
        (Promise { chunk, sender }, pending)
    }

    fn remove(&mut self, chunk: ChunkRef) {
        if let Some(slot) = self.slots.remove(&chunk) {
            self.by_use.remove(&slot.used);
            self.bytes -= u64::from(chunk.len);
        }
    }
}
