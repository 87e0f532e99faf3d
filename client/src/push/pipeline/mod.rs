//! Push, the stages between the sources and the release: scan and cut → ask → pack → upload → name.
//!
//! One task, the [`Conductor`], owns the state of the transfer and decides each next step. Worker
//! threads scan, cut and pack. Requests in the background ask and upload. Both report to the
//! conductor by [`Event`]s, and a worker waits for the reply that its event carries.
//!
//! | stage | does | reports |
//! |---|---|---|
//! | scan and cut ([`scan`]) | cuts a leaf | [`Event::Piece`], [`Event::Scanned`] |
//! | ask ([`ask`]) | asks which chunks of the leaf are missing | [`Event::Answered`] |
//! | pack ([`pack`]) | compresses missing chunks | [`Event::Full`], [`Event::Sealed`] |
//! | upload ([`upload`]) | sends packs | [`Event::Uploaded`] |
//! | | sends leaves whose chunks have arrived | [`Event::Stored`] |
//! | name ([`name`]) | sends the lists, after all leaves | |
//!
//! A leaf is asked about as a whole, which costs one round trip per 256 MiB of changed disk, and
//! none for a leaf of the parent release. The missing chunks are then read again, from the page
//! cache. A compressed image would have to be inflated again, which costs more than any other step
//! except compression. If such a leaf is likely to be new, it is asked about in pieces, and their
//! bytes are kept until the answer.
//!
//! # State
//!
//! | state | from | to |
//! |---|---|---|
//! | a leaf is being scanned | its order | recognised, or the answer about it |
//! | a question is open | a piece or a leaf was cut | its answer |
//! | a chunk is claimed ([`ledger`]) | the first answer that it is missing | its pack arrived |
//! | a leaf waits ([`ledger`]) | it claims a chunk, or needs a claimed one | all of them arrived |
//! | a batch waits | the answer about its leaf | an idle worker |
//! | a connection is taken ([`upload`]) | granted to a full pack or a leaf | the object is stored |
//!
//! # Invariants
//!
//! 1. Each worker holds one window, one chunk, one pack and one piece. At most [`KEPT_MAX`] waiting
//!    batches hold bytes, the others only name chunks. At most [`upload::IN_FLIGHT_MAX`] packs are
//!    in flight; a worker with a full pack waits for a connection.
//! 2. Batches come before scans, so at most one leaf per worker waits to be compressed.
//! 3. The chunks of a pack come from a few runs of disk at most, in disk order, as pulls read them.
//! 4. A chunk is packed once, even if several leaves are found to lack it at the same time.
//! 5. The transfer ends once every worker, told so by [`Order::End`], has reported
//!    [`Event::Ended`] and every request is answered.
//! 6. The first failure ends the transfer. The conductor aborts the requests in flight and closes
//!    the channel, so that each worker stops at its next event.

mod ask;
mod conductor;
mod ledger;
mod name;
mod pack;
mod scan;
mod upload;
mod worker;

use std::sync::Arc;

use bytes::Bytes;
use seawall_api::digest::ChunkDigest;
use seawall_api::index::{ChunkRef, DiskIndex, Leaf, LeafRef};
use seawall_api::units::DiskLen;
use seawall_api::v1::Lease;
use seawall_store::image::DiskImage;
use seawall_store::pack::FinishedPack;
use seawall_store::scan::grid_offset;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::sources::Source;
use super::{Push, PushError, Reuse};
use crate::progress::Stage;
use ask::{Answer, Question};
use conductor::Conductor;
use worker::Line;

/// The maximum number of waiting batches with bytes: enough for workers without a leaf to scan.
const KEPT_MAX: usize = 4;
/// The maximum number of workers, bounded by memory: each worker fills its own pack.
const WORKERS_MAX: usize = 8;

/// The constant inputs of a transfer.
struct Inputs {
    push: Arc<Push>,
    lease: Lease,
    disks: Vec<Disk>,
}

/// A disk to read.
struct Disk {
    path: std::path::PathBuf,
    image: Arc<dyn DiskImage>,
    disk_len: DiskLen,
    grid_offset: u32,
}

/// The place of a leaf.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Place {
    disk: usize,
    leaf: usize,
}

/// The way back to the worker that waits for a `T`.
type Reply<T> = oneshot::Sender<T>;

/// A report of a stage to the conductor.
enum Event {
    /// A worker is idle.
    Idle(Reply<Order>),
    /// A piece of a leaf was cut, and its bytes are kept.
    Piece(Place, Piece, Reply<PieceFate>),
    /// A leaf was cut to its end.
    Scanned(Place, Scanned),
    /// A question was answered.
    Answered(Question, Answer),
    /// A worker's pack is full. The reply grants a connection, and memory for the next pack if
    /// there is some to reuse.
    Full(Reply<Option<Bytes>>),
    /// A pack is ready to be sent over the granted connection.
    Sealed(Sealed),
    /// A pack arrived.
    Uploaded(Sealed),
    /// A leaf arrived.
    Stored,
    /// A worker ended.
    Ended(Result<(), PushError>),
}

/// The next step of a worker.
enum Order {
    /// Scan a leaf. `is_new` says whether the leaf is likely to be missing.
    Scan { at: Place, is_new: bool },
    /// Pack a batch.
    Pack(Batch),
    /// Seal the open pack and end.
    End,
}

/// A run of chunks of one leaf, and their bytes.
#[derive(Default)]
struct Piece {
    chunks: Vec<ChunkRef>,
    plain: Vec<u8>,
}

/// The decision about a piece.
enum PieceFate {
    /// No chunk is to be sent. Returns the memory.
    Present(Vec<u8>),
    /// Another worker will pack the missing chunks.
    Queued,
    /// Too many pieces wait: the worker packs its piece itself.
    Pack(Batch),
}

/// A leaf that was cut.
struct Scanned {
    leaf: Leaf,
    entry: LeafRef,
    data_bytes: u64,
    /// True if the leaf's chunks were reported as pieces.
    in_pieces: bool,
}

/// Chunks to pack, in disk order.
struct Batch {
    plain: Plain,
    /// The chunks, each with its offset in `plain` in bytes.
    chunks: Vec<(u64, ChunkRef)>,
}

/// The source of the bytes of a batch's chunks.
enum Plain {
    /// The position of the disk to read from.
    Disk(usize),
    /// The bytes themselves.
    Kept(Vec<u8>),
}

/// A pack and its chunks.
struct Sealed {
    pack: FinishedPack,
    chunks: Vec<ChunkDigest>,
}

/// Uploads the disks at `pending`: chunks, leaves and lists.
///
/// # Errors
/// The first failure of any worker or request.
pub(super) async fn transfer(
    push: &Arc<Push>,
    lease: &Lease,
    sources: &mut [Source],
    pending: Vec<usize>,
    parent: Vec<DiskIndex>,
) -> Result<Reuse, PushError> {
    let mut disks = Vec::with_capacity(pending.len());
    let mut total = 0;
    for &position in &pending {
        let source = &sources[position];
        total += source.allocated_bytes()?;
        disks.push(Disk {
            path: source.path().clone(),
            image: Arc::clone(source.image()),
            disk_len: source.disk_len()?,
            grid_offset: grid_offset(source.image().as_ref())?,
        });
    }
    push.progress.begin(Stage::Upload, Some(total));
    let inputs = Arc::new(Inputs { push: Arc::clone(push), lease: lease.clone(), disks });
    // One more than the number of cores, because one often waits for an answer or a connection.
    let count = (push.threads.max(1) + 1).min(WORKERS_MAX);
    let (sender, events) = mpsc::channel(count);
    let mut workers = JoinSet::new();
    for _ in 0..count {
        let (inputs, line) = (Arc::clone(&inputs), Line(sender.clone()));
        workers.spawn_blocking(move || worker::run(&inputs, &line));
    }
    let conductor = Conductor::new(Arc::clone(&inputs), &parent, count);
    let outcome = conductor.conduct(events, &mut workers).await;
    // After a failure, some workers may still be on their way to their next event.
    while workers.join_next().await.is_some() {}
    let (names, reuse) = outcome?;
    for (position, index) in pending.into_iter().zip(names.store(&inputs).await?) {
        sources[position].set_index(index);
    }
    Ok(reuse)
}
