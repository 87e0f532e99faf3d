//! Push, stages 2 to 4: scan → cut → ask → pack → upload, on every core at once.
//!
//! Each worker takes the next task: a batch of missing chunks to compress if there is one, else
//! the next leaf to scan. A leaf is scanned whole, then asked about in one question, then only
//! what is missing is read again (from the page cache) and compressed: one round trip per 256 MiB
//! of changed disk, none for a leaf of the parent release.
//!
//! To read again what an image has compressed is to inflate it again, which costs more than all
//! that is done with it but to compress it. Where such a leaf is likely to be new, it is asked
//! about in pieces whose bytes are kept ([`early`]).
//!
//! # Invariants
//!
//! 1. Each worker holds one window, one chunk, one pack and, of leaves asked about in pieces, one
//!    piece; at most [`queue::KEPT_MAX`] batches hold bytes, the others name chunks.
//! 2. Batches come before scans, so at most one leaf per worker waits to be compressed.
//! 3. Chunks of one pack come from at most a few runs of disk, in disk order: pulls read them so.
//!
//! # At the same time
//!
//! | | another worker | an upload |
//! |---|---|---|
//! | queue | under its lock, no I/O inside | never |
//! | chunk | claimed by the first ([`Ledger`]) | unclaimed on arrival; a later claim asks the registry |
//! | leaf | one worker scans it | sent by whoever lets go of it last |

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
    /// Whether the leaf that was scanned last was mostly missing; of a disk of no parent, at first.
    is_new: AtomicBool,
}

/// What the workers share.
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

/// Brings the disks at `pending` to the registry: chunks, leaves and indexes.
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
