//! Whether somebody else uses the disks that are patched.

use std::path::{Path, PathBuf};

use super::PatchError;
use super::journal::{self, Header};
use super::stage::staged_file;
use crate::directory::{Directory, Lockfile};
use crate::host::{self, FileIdentity, ImageLocks};

fn files(directory: &Directory, lock: &Lockfile) -> Vec<PathBuf> {
    lock.disks.iter().map(|disk| directory.root().join(&disk.file)).collect()
}

/// Locks every disk as QEMU would that shares nothing, until this is dropped.
pub(super) fn alone(directory: &Directory, lock: &Lockfile) -> Result<ImageLocks, PatchError> {
    Ok(ImageLocks::take(files(directory, lock))?)
}

/// The disks that somebody has open, for a plan: it takes no lock.
pub(super) fn in_use(directory: &Directory, lock: &Lockfile) -> Vec<PathBuf> {
    host::in_use(files(directory, lock))
}

/// Locks what a journal makes besides the old disks: files that were staged, under whichever of
/// their two names.
pub(super) fn made_alone(
    alone: &mut ImageLocks,
    directory: &Directory,
    header: &Header,
) -> Result<(), PatchError> {
    let folder = journal::folder(directory);
    let is_old = |file: &Path| header.old.disks.iter().any(|disk| disk.file == file);
    for (position, disk) in header.new.disks.iter().enumerate() {
        alone.add(&staged_file(&folder, &header.new, position))?;
        if !is_old(&disk.file) {
            alone.add(&directory.root().join(&disk.file))?;
        }
    }
    Ok(())
}

/// The disks as they were before the survey.
///
/// A write that only lands where the new release writes, or where both releases agree, meets no
/// chunk that is read again before the commit. It changes the file's times, though: but for one
/// in the same tick of the kernel's clock as the write before it, and for one through a mapping
/// whose page was dirty already.
pub(super) struct Watched(Vec<FileIdentity>);

impl Watched {
    pub(super) fn of(directory: &Directory, lock: &Lockfile) -> Self {
        // One that has no identity is missing, which the survey says, or no regular file.
        Self(files(directory, lock).iter().filter_map(|path| FileIdentity::of(path).ok()).collect())
    }

    /// That no disk was written to since.
    pub(super) fn check(&self) -> Result<(), PatchError> {
        let changed =
            self.0.iter().find(|was| FileIdentity::of(was.path()).ok().as_ref() != Some(was));
        match changed {
            Some(was) => Err(PatchError::Written { path: was.path().to_owned() }),
            None => Ok(()),
        }
    }
}
