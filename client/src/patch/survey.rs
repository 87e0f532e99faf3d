//! Patch, stage 2: checks that the disks match their lockfile.

use std::sync::Arc;

use seawall_store::scan::{self, LeafScan, ScanError};

use super::{Patch, PatchError, keep_or_discard};
use crate::directory::{Directory, Lockfile};
use crate::error::ErrorKind;
use crate::progress::Stage;

/// Scans every disk. Fails if a disk was modified.
pub(super) async fn survey(
    patch: &Patch,
    directory: &Directory,
    lock: &Lockfile,
) -> Result<(), PatchError> {
    patch.progress.begin(Stage::Scan, None);
    for disk in &lock.disks {
        let path = directory.folder().path_of(&disk.file);
        // Before hours of fetching: the disk is written in place or replaced. A missing disk is
        // reported below.
        match directory.folder().file_to_write(&disk.file) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let image = directory.image(disk)?;
        let (threads, progress) = (patch.threads, Arc::clone(&patch.progress));
        let scan = move || {
            let ignore = |_: usize, _: &LeafScan| Ok::<_, ScanError>(());
            let advance = |bytes| progress.advance(bytes);
            scan::scan_disk(image.as_ref(), threads, &ignore, &advance)
        };
        let scanned = tokio::task::spawn_blocking(scan).await.map_err(|_| PatchError::Defect)?;
        let index = scanned.map_err(|source| PatchError::Scan { path: path.clone(), source })?;
        if index.digest() != disk.index {
            return Err(PatchError::Changed {
                path,
                remedy: keep_or_discard(&patch.directory, &lock.application, lock.release).into(),
                expected: disk.content,
                actual: index.content(),
            });
        }
    }
    Ok(())
}
