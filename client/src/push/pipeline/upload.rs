//! Upload: a bounded number of packs and leaves in flight.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use seawall_api::index::Leaf;
use tokio::task::JoinSet;

use super::{Event, Inputs, PushError, Reply, Sealed};

/// The maximum number of packs and leaves in flight. Each pack stays in memory until it arrives.
pub(super) const IN_FLIGHT_MAX: usize = 3;
/// The number of leaves that may wait for a connection before scans pause, at most 300 KiB each.
const LEAVES_WAITING_MAX: usize = 32;

/// The requests in flight, each of which ends with an event.
pub(super) struct Requests {
    pub(super) inputs: Arc<Inputs>,
    pub(super) tasks: JoinSet<Result<Event, PushError>>,
}

impl Requests {
    /// Starts a request.
    pub(super) fn start<F>(&mut self, request: impl FnOnce(Arc<Inputs>) -> F)
    where
        F: Future<Output = Result<Event, PushError>> + Send + 'static,
    {
        self.tasks.spawn(request(Arc::clone(&self.inputs)));
    }
}

/// The connections for uploads, and what waits for them.
#[derive(Default)]
pub(super) struct Uploads {
    in_flight: usize,
    leaves: VecDeque<Leaf>,
    /// The workers with a full pack.
    full: VecDeque<Reply<Option<Bytes>>>,
    /// The memory of arrived packs, for reuse.
    spare: Vec<Bytes>,
}

impl Uploads {
    /// Queues leaves without missing chunks.
    pub(super) fn queue_leaves(&mut self, leaves: impl IntoIterator<Item = Leaf>) {
        self.leaves.extend(leaves);
    }

    /// Queues a full pack.
    pub(super) fn full(&mut self, reply: Reply<Option<Bytes>>) {
        self.full.push_back(reply);
    }

    /// Sends a sealed pack over the connection that was granted to it.
    pub(super) fn send(&self, sealed: Sealed, requests: &mut Requests) {
        requests.start(|inputs| async move {
            let pack = &sealed.pack;
            let registry = &inputs.push.registry;
            registry.put_pack(&inputs.lease, pack.digest, pack.bytes.clone()).await?;
            inputs.push.progress.transferred(pack.bytes.len() as u64);
            Ok(Event::Uploaded(sealed))
        });
    }

    /// Frees the connection of an object that arrived, and takes the memory of a pack.
    pub(super) fn arrived(&mut self, memory: Option<Bytes>) {
        self.in_flight -= 1;
        self.spare.extend(memory);
    }

    /// Grants free connections, to leaves first.
    pub(super) fn grant(&mut self, requests: &mut Requests) {
        while self.in_flight < IN_FLIGHT_MAX {
            if let Some(leaf) = self.leaves.pop_front() {
                requests.start(|inputs| async move {
                    inputs.push.registry.put_leaf(&inputs.lease, &leaf).await?;
                    Ok(Event::Stored)
                });
            } else if let Some(reply) = self.full.pop_front() {
                let _ = reply.send(self.spare.pop());
            } else {
                break;
            }
            self.in_flight += 1;
        }
    }

    /// Returns whether too many leaves wait.
    pub(super) fn is_behind(&self) -> bool {
        self.leaves.len() >= LEAVES_WAITING_MAX
    }
}
