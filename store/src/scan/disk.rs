//! Scans of whole disks on several threads, leaf by leaf.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use seawall_api::index::{DiskIndex, LeafRef, leaf_count};
use seawall_api::units::DiskLen;

use super::{LeafOf, LeafScan, LeafScanner, ScanError, grid_offset};
use crate::image::DiskImage;

/// Scans every leaf of `image` on `threads` threads, and returns the disk's index.
///
/// `on_leaf` receives each leaf with its position, from several threads and in no particular order.
/// Leaves are not kept here, so memory does not grow with their extents. `advance` receives the
/// number of bytes of data, as they are read.
///
/// # Errors
/// The first error of a read or of `on_leaf`; the other threads stop at their next leaf.
pub fn scan_disk<E: From<ScanError> + Send>(
    image: &dyn DiskImage,
    threads: usize,
    on_leaf: &(dyn Fn(usize, &LeafScan) -> Result<(), E> + Sync),
    advance: &(dyn Fn(u64) + Sync),
) -> Result<DiskIndex, E> {
    let disk_len = DiskLen::new(image.disk_len()).map_err(ScanError::from)?;
    let grid_offset = grid_offset(image).map_err(ScanError::from)?;
    let count = leaf_count(disk_len);
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let leaves = Mutex::new(vec![None; count]);
    let work = || -> Result<(), E> {
        let mut scanner = LeafScanner::default();
        while !failed.load(Ordering::Relaxed) {
            let position = next.fetch_add(1, Ordering::Relaxed);
            if position >= count {
                break;
            }
            let scan = scanner.scan(LeafOf { image, disk_len, grid_offset, position }, advance)?;
            on_leaf(position, &scan)?;
            let leaf = LeafRef { digest: scan.leaf.digest(), value: scan.value };
            leaves.lock().unwrap_or_else(PoisonError::into_inner)[position] = Some(leaf);
        }
        Ok(())
    };
    let outcome: Result<(), E> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.clamp(1, count))
            .map(|_| scope.spawn(|| work().inspect_err(|_| failed.store(true, Ordering::Relaxed))))
            .collect();
        let results: Vec<_> = workers
            .into_iter()
            .map(|w| w.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect();
        results.into_iter().collect()
    });
    outcome?;
    let leaves = leaves.into_inner().unwrap_or_else(PoisonError::into_inner);
    let leaves = leaves.into_iter().map(|leaf| leaf.expect("every leaf was scanned")).collect();
    Ok(DiskIndex::new(disk_len, grid_offset, leaves).map_err(ScanError::from)?)
}
