//! Push, uploads: a bounded number of packs in flight, then the leaves that they complete.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use seawall_api::digest::ChunkDigest;
use seawall_api::v1::Lease;
use seawall_store::pack::FinishedPack;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::ledger::{Ledger, PendingLeaf};
use super::sources::Counter;
use super::{PushError, Reuse};
use crate::progress::Progress;
use crate::registry::{Registry, RegistryError};

/// The maximum number of packs in flight. Each pack stays in memory until it has arrived.
const IN_FLIGHT_MAX: usize = 3;

/// A pack with its chunks and the leaves waiting for them.
pub(super) struct Cargo {
    pub(super) pack: FinishedPack,
    pub(super) chunks: Vec<ChunkDigest>,
    pub(super) leaves: Vec<Arc<PendingLeaf>>,
}

/// Background uploads of packs and leaves.
pub(super) struct Uploads {
    registry: Arc<dyn Registry>,
    progress: Arc<dyn Progress>,
    lease: Lease,
    ledger: Arc<Ledger>,
    handle: Handle,
    room: Arc<Semaphore>,
    tasks: Mutex<JoinSet<Result<Bytes, RegistryError>>>,
    spare: Mutex<Vec<Bytes>>,
    sent: Sent,
}

#[derive(Default)]
struct Sent {
    plain_bytes: Counter,
    stored_bytes: Counter,
    chunks: Counter,
    packs: Counter,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Uploads {
    pub(super) fn new(
        (registry, progress): (Arc<dyn Registry>, Arc<dyn Progress>),
        lease: Lease,
        ledger: Arc<Ledger>,
        handle: Handle,
    ) -> Self {
        let room = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        let (tasks, spare) = (Mutex::new(JoinSet::new()), Mutex::new(Vec::new()));
        Self {
            registry,
            progress,
            lease,
            ledger,
            handle,
            room,
            tasks,
            spare,
            sent: Sent::default(),
        }
    }

    /// Sends a pack in the background. Waits if too many are in flight. For worker threads only.
    ///
    /// # Errors
    /// Fails if an earlier pack could not be sent.
    pub(super) fn send(&self, cargo: Cargo) -> Result<(), PushError> {
        let room = Arc::clone(&self.room);
        let permit = self.handle.block_on(room.acquire_owned()).map_err(|_| PushError::Defect)?;
        self.reap()?;
        self.sent.plain_bytes.add(cargo.pack.plain_bytes);
        self.sent.stored_bytes.add(cargo.pack.bytes.len() as u64);
        self.sent.chunks.add(cargo.pack.chunk_count as u64);
        self.sent.packs.add(1);
        let (registry, lease) = (Arc::clone(&self.registry), self.lease.clone());
        let (ledger, progress) = (Arc::clone(&self.ledger), Arc::clone(&self.progress));
        let task = async move {
            let Cargo { pack, chunks, leaves } = cargo;
            registry.put_pack(&lease, pack.digest, pack.bytes.clone()).await?;
            progress.transferred(pack.bytes.len() as u64);
            ledger.arrived(&chunks);
            for leaf in ledger.let_go(leaves) {
                registry.put_leaf(&lease, &leaf).await?;
            }
            drop(permit);
            Ok(pack.bytes)
        };
        lock(&self.tasks).spawn_on(task, &self.handle);
        Ok(())
    }

    /// Collects ended uploads without waiting.
    fn reap(&self) -> Result<(), PushError> {
        let mut tasks = lock(&self.tasks);
        while let Some(ended) = tasks.try_join_next() {
            let bytes = ended.map_err(|_| PushError::Defect)??;
            lock(&self.spare).push(bytes);
        }
        Ok(())
    }

    /// Returns the memory of an arrived pack, for reuse.
    pub(super) fn spare(&self) -> Option<Bytes> {
        lock(&self.spare).pop()
    }

    /// Waits for all uploads, then sends the deferred leaves.
    pub(super) async fn finish(self: Arc<Self>) -> Result<Reuse, PushError> {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|_| PushError::Defect)??;
        }
        for leaf in self.ledger.take_deferred() {
            self.registry.put_leaf(&self.lease, &leaf).await?;
        }
        Ok(Reuse {
            sent_bytes: self.sent.plain_bytes.get(),
            sent_stored_bytes: self.sent.stored_bytes.get(),
            sent_chunks: self.sent.chunks.get(),
            sent_packs: self.sent.packs.get(),
            ..Reuse::default()
        })
    }
}
