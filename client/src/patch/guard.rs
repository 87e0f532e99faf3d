//! Checks that nothing else changes the disks: before a patch, and during it.

use std::path::PathBuf;
use std::sync::Arc;

use seawall_store::scan::{self, LeafScan, ScanError};

use super::journal::Header;
use super::stage::staged_file;
use super::{Patch, PatchError, keep_or_discard};
use crate::directory::{Directory, Lockfile};
use crate::error::ErrorKind;
use crate::folder::{Folder, FolderPath};
use crate::host::{self, FileIdentity, ImageLocks};
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

/// Locks every disk exclusively by QEMU's protocol, until the locks are dropped.
pub(super) fn alone(directory: &Directory, lock: &Lockfile) -> Result<ImageLocks, PatchError> {
    let mut locks = ImageLocks::none();
    for disk in &lock.disks {
        add(&mut locks, directory.folder(), &disk.file)?;
    }
    Ok(locks)
}

/// Locks one more disk, unless the disk does not exist.
fn add(locks: &mut ImageLocks, folder: &Folder, file: &FolderPath) -> Result<(), PatchError> {
    match folder.file(file) {
        Ok(opened) => Ok(locks.add(&folder.path_of(file), opened)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Returns the disks in use by another process. Takes no lock, as a plan must not.
pub(super) fn in_use(directory: &Directory, lock: &Lockfile) -> Vec<PathBuf> {
    let folder = directory.folder();
    let files = lock.disks.iter().map(|disk| &disk.file);
    let is_in_use = |file: &&FolderPath| folder.file(file).is_ok_and(|it| host::is_in_use(&it));
    files.filter(is_in_use).map(|file| folder.path_of(file)).collect()
}

/// Locks the disks that the journal creates, under their staged and their final names.
pub(super) fn made_alone(
    alone: &mut ImageLocks,
    directory: &Directory,
    header: &Header,
) -> Result<(), PatchError> {
    let folder = directory.folder();
    let is_old = |file: &FolderPath| header.old.disks.iter().any(|disk| disk.file == *file);
    for (position, disk) in header.new.disks.iter().enumerate() {
        add(alone, folder, &staged_file(&header.new, position))?;
        if !is_old(&disk.file) {
            add(alone, folder, &disk.file)?;
        }
    }
    Ok(())
}

/// The identities of the disks before the survey.
///
/// Some writes meet no chunk that is read again before the commit: those to places that the new
/// release overwrites, or where both releases agree. Such a write changes the file's times, with
/// two exceptions: a write in the same tick of the kernel's clock as the previous write, and a
/// write through a mapping whose page was dirty already.
pub(super) struct DiskGuard {
    folder: Folder,
    disks: Vec<(FolderPath, FileIdentity)>,
}

impl DiskGuard {
    /// Takes the identity of every disk.
    pub(super) fn of(directory: &Directory, lock: &Lockfile) -> Self {
        let folder = directory.folder().clone();
        let files = lock.disks.iter().map(|disk| disk.file.clone());
        // A disk without an identity is missing, as the survey reports, or not a regular file.
        let disks = files.filter_map(|file| Some((file.clone(), identity(&folder, &file)?)));
        let disks = disks.collect();
        Self { folder, disks }
    }

    /// Fails if any disk was modified since [`Self::of`].
    pub(super) fn check(&self) -> Result<(), PatchError> {
        let changed = self
            .disks
            .iter()
            .find(|(file, was)| identity(&self.folder, file).as_ref() != Some(was));
        match changed {
            Some((file, _)) => Err(PatchError::Written { path: self.folder.path_of(file) }),
            None => Ok(()),
        }
    }
}

fn identity(folder: &Folder, file: &FolderPath) -> Option<FileIdentity> {
    let opened = folder.file(file).ok()?;
    FileIdentity::of_open(folder.path_of(file), &opened).ok()
}
