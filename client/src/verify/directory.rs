//! Verifies a pulled directory.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use seawall_api::index::LEAF_SPAN;
use seawall_store::image::{DiskImage, ImageError};
use seawall_store::scan::{self, LeafScan, ScanError};

use super::{Damage, DiskState, VerifiedDisk, VerifyError, VerifyReport};
use crate::directory::{Directory, DiskLayout, DiskTimes, LockedDisk, Lockfile};
use crate::error::ErrorKind;
use crate::patch;
use crate::progress::{Progress, Stage};

/// Hashes every disk of a pulled directory. Needs no registry.
///
/// # Errors
/// Fails if the directory has no valid lockfile. Damage is not an error but an entry in the report.
pub async fn verify_dir(
    root: &Path,
    threads: usize,
    progress: Arc<dyn Progress>,
) -> Result<VerifyReport, VerifyError> {
    let root = root.to_owned();
    let verify = move || {
        let directory = Directory::open(&root)?;
        if patch::is_interrupted(&directory) {
            return Err(VerifyError::InProgress { directory: root });
        }
        let (lock, release) = Lockfile::of_folder(directory.folder())?;
        let mut report = VerifyReport::new(&release);
        let times = DiskTimes::of_folder(directory.folder());
        progress.begin(Stage::Verify, None);
        for disk in &lock.disks {
            let found = verify_disk(&directory, disk, threads, &progress, &mut report)?;
            let state = match found {
                Found::Intact => DiskState::Intact,
                // Without a record of the file's times, a guest's write is the likelier cause.
                Found::Differs(what)
                    if times.is_written(directory.folder(), &disk.file) != Some(false) =>
                {
                    report.modified.push(what);
                    DiskState::Modified
                }
                Found::Differs(what) | Found::Unreadable(what) => {
                    report.damage.push(what);
                    DiskState::Damaged
                }
            };
            report.disks.push(VerifiedDisk {
                machine: disk.machine.clone(),
                disk: disk.disk.clone(),
                content: disk.content,
                state,
                file: Some(directory.root().join(&disk.file)),
            });
        }
        progress.finish();
        Ok(report)
    };
    tokio::task::spawn_blocking(verify).await.map_err(|_| VerifyError::Defect)?
}

/// The state found on a disk.
enum Found {
    Intact,
    /// The disk is readable, but its bytes differ from the release.
    Differs(Damage),
    Unreadable(Damage),
}

fn verify_disk(
    directory: &Directory,
    disk: &LockedDisk,
    threads: usize,
    progress: &Arc<dyn Progress>,
    report: &mut VerifyReport,
) -> Result<Found, VerifyError> {
    let path = directory.folder().path_of(&disk.file);
    let image = match open(directory, disk) {
        Ok(image) => image,
        Err(error) if error.kind() == ErrorKind::Denied => {
            return Err(ScanError::from(error).into());
        }
        Err(error) => return Ok(Found::Unreadable(Damage::from_error(path.display(), &error))),
    };
    let layout = directory.indexes().layout(disk.index);
    let hashed = AtomicU64::new(0);
    let differs = Mutex::new(Vec::new());
    let compare = |position: usize, scan: &LeafScan| -> Result<(), ScanError> {
        let expected = layout.as_ref().and_then(|layout| layout.index().leaves().get(position));
        if expected.is_some_and(|leaf| leaf.digest != scan.leaf.digest()) {
            let offset =
                layout.as_ref().and_then(|layout| first_difference(layout, position, scan));
            differs.lock().unwrap_or_else(PoisonError::into_inner).extend(offset);
        }
        Ok(())
    };
    let advance = |bytes| {
        hashed.fetch_add(bytes, Ordering::Relaxed);
        progress.advance(bytes);
    };
    let outcome = scan::scan_disk(image.as_ref(), threads, &compare, &advance);
    report.hashed_bytes += hashed.into_inner();
    Ok(match outcome {
        // A disk that this user may not read is not known to be damaged.
        Err(error) if error.kind() == ErrorKind::Denied => return Err(error.into()),
        Err(ScanError::Image(error)) => {
            Found::Unreadable(Damage::from_error(path.display(), &error))
        }
        Err(error) => return Err(error.into()),
        Ok(index) if index.digest() == disk.index => Found::Intact,
        // A guest cannot change the length of its disk.
        Ok(index)
            if layout.as_ref().is_some_and(|of| of.index().disk_len() != index.disk_len()) =>
        {
            let what =
                format!("its disk has {} bytes, not those of the release", index.disk_len().get());
            Found::Unreadable(Damage::new(path.display(), what))
        }
        Ok(index) => {
            let first = differs.into_inner().unwrap_or_else(PoisonError::into_inner);
            let place = first.into_iter().min();
            let place = place.map(|at| format!(", first near byte {at}")).unwrap_or_default();
            let what = format!("it holds {}, not {}{place}", index.content(), disk.content);
            Found::Differs(Damage::new(path.display(), what))
        }
    })
}

fn open(directory: &Directory, disk: &LockedDisk) -> Result<Box<dyn DiskImage>, ImageError> {
    directory.image(disk)
}

/// Returns the offset on the disk of the first extent that differs.
fn first_difference(layout: &DiskLayout, position: usize, scan: &LeafScan) -> Option<u64> {
    let expected = layout.leaf(position)?;
    let mut offset = position as u64 * LEAF_SPAN;
    for (want, got) in expected.extents().iter().zip(scan.leaf.extents()) {
        if want != got {
            break;
        }
        offset += want.disk_len();
    }
    Some(offset)
}
