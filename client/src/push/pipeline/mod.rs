//! Push, stages 2 to 4: scan → cut → ask → pack → upload, on every core at once.
//!
//! Each worker takes the next task: a batch of missing chunks to compress if there is one, else the
//! next leaf to scan. A leaf is scanned as a whole and asked about in one request. Then only the
//! missing chunks are read again (from the page cache) and compressed. This costs one round trip
//! per 256 MiB of changed disk, and none for a leaf of the parent release.
//!
//! Reading a compressed image again means inflating it again, which costs more than any other step
//! except compression. If such a leaf is likely to be new, it is asked about in pieces whose bytes
//! are kept ([`early`]).
//!
//! # Invariants
//!
//! 1. Each worker holds one window, one chunk, one pack and, for leaves asked about in pieces, one
//!    piece. At most [`queue::KEPT_MAX`] batches hold bytes. The others only name chunks.
//! 2. Batches come before scans, so at most one leaf per worker waits to be compressed.
//! 3. The chunks of a pack come from a few runs of disk at most, in disk order, as pulls read them.
//!
//! # Concurrency
//!
//! | | another worker | an upload |
//! |---|---|---|
//! | queue | under its lock, no I/O inside | never |
//! | chunk | claimed by the first ([`Ledger`]) | unclaimed on arrival; later claims ask the registry |
//! | leaf | one worker scans it | sent by the holder of the last reference |

mod early;
mod packer;
mod question;
mod queue;
mod worker;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use seawall_api::digest::LeafDigest;
use seawall_api::index::{DiskIndex, LeafRef, leaf_count};
use seawall_api::units::DiskLen;
use seawall_api::v1::Lease;
use seawall_store::image::DiskImage;
use seawall_store::scan::grid_offset;
use tokio::runtime::Handle;

use super::ledger::Ledger;
use super::sources::{Counter, Source, blocking};
use super::uploads::Uploads;
use super::{Push, PushError, Reuse};
use crate::progress::Stage;
use queue::Queue;

/// A disk as the workers see it.
struct Disk {
    path: std::path::PathBuf,
    image: Arc<dyn DiskImage>,
    disk_len: DiskLen,
    grid_offset: u32,
    /// True if the last scanned leaf was mostly missing. Initially true without a parent.
    is_new: AtomicBool,
}

/// The state shared by the workers.
struct Transfer {
    push: Arc<Push>,
    lease: Lease,
    disks: Vec<Disk>,
    known: HashSet<LeafDigest>,
    ledger: Arc<Ledger>,
    uploads: Arc<Uploads>,
    queue: Queue,
    handle: Handle,
    parent_bytes: Counter,
    registry_bytes: Counter,
    repeated_bytes: Counter,
}

/// Uploads the disks at `pending`: chunks, leaves and indexes.
///
/// # Errors
/// The first failure of any worker or upload.
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
            is_new: AtomicBool::new(parent.is_empty()),
        });
    }
    push.progress.begin(Stage::Upload, Some(total));
    let ledger = Arc::new(Ledger::default());
    let handle = Handle::current();
    let way = (Arc::clone(&push.registry), Arc::clone(&push.progress));
    let uploads = Uploads::new(way, lease.clone(), Arc::clone(&ledger), handle.clone());
    let uploads = Arc::new(uploads);
    let transfer = Arc::new(Transfer {
        push: Arc::clone(push),
        lease: lease.clone(),
        queue: Queue::new(disks.iter().map(|disk| leaf_count(disk.disk_len))),
        disks,
        known: parent.iter().flat_map(|index| index.leaves()).map(|leaf| leaf.digest).collect(),
        ledger,
        uploads: Arc::clone(&uploads),
        handle,
        parent_bytes: Counter::default(),
        registry_bytes: Counter::default(),
        repeated_bytes: Counter::default(),
    });
    let workers = Arc::clone(&transfer);
    blocking(move || worker::run(&workers)).await?;
    let mut reuse = uploads.finish().await?;
    reuse.parent_bytes = transfer.parent_bytes.get();
    reuse.registry_bytes = transfer.registry_bytes.get();
    reuse.repeated_bytes = transfer.repeated_bytes.get();
    for ((position, disk), leaves) in
        pending.into_iter().zip(&transfer.disks).zip(transfer.queue.take_leaves())
    {
        let leaves: Option<Vec<LeafRef>> = leaves.into_iter().collect();
        let index =
            DiskIndex::new(disk.disk_len, disk.grid_offset, leaves.ok_or(PushError::Defect)?)
                .map_err(|e| PushError::Scan { path: disk.path.clone(), source: e.into() })?;
        push.registry.put_index(lease, &index).await?;
        sources[position].set_index(index);
    }
    Ok(reuse)
}
