//! Patch, before stage 4: the space for the journal and the disks.
//!
//! A committed journal that cannot be applied leaves the disks between two releases, so the growth
//! of the disks counts, too. As everywhere ([`crate::room`]), the sum is a lower bound of the bytes
//! to write.

use std::os::unix::fs::MetadataExt;

use super::plan::{OldDisk, Steps};
use super::{PatchError, Sides, in_place, journal};
use crate::directory::{Directory, DiskLayout};
use crate::fetch::Fetch;
use crate::folder::FolderPath;
use crate::host::HostError;
use crate::room::Room;

/// The length in bytes of the blocks counted by stat(2).
const STAT_BLOCK_LEN: u64 = 512;

/// The minimum space for a patch in bytes.
pub(super) struct Demand {
    /// The plain length of the chunks in the journal.
    journal: u64,
    /// The length of the data in complete files staged beside the journal.
    staged: u64,
    /// The length of the journal and staged files left by an interrupted patch.
    there: u64,
    /// The growth of the disks written in place.
    growth: u64,
}

impl Demand {
    pub(super) fn of(sides: &Sides, steps: &Steps) -> Result<Self, PatchError> {
        let in_place = in_place(&sides.old_lock, &sides.new_lock);
        let is_in_place = |disk: usize| in_place.get(disk).is_some_and(Option::is_some);
        let mut staged = 0;
        let mut growth = 0;
        for (layout, file) in sides.new.iter().zip(&in_place) {
            match file {
                Some(file) => growth += grown(&sides.directory, &sides.old, layout, file)?,
                None => staged += data_bytes(layout)?,
            }
        }
        Ok(Self {
            journal: steps.journal_bytes(is_in_place),
            staged,
            there: there(&sides.directory),
            growth: u64::try_from(growth).unwrap_or(0),
        })
    }

    /// Returns the space for a patch whose journal has `journal` bytes.
    fn room(&self, directory: &Directory, journal: u64) -> Room {
        let gathered = (journal + self.staged).saturating_sub(self.there);
        Room::of(directory.root(), gathered + self.growth)
    }

    /// Returns the space for a patch whose journal keeps chunks as stored by the registry.
    pub(super) async fn measured(
        &self,
        fetch: &Fetch,
        sides: &Sides,
        steps: &Steps,
    ) -> Result<Room, PatchError> {
        let in_place = in_place(&sides.old_lock, &sides.new_lock);
        let is_in_place = |disk: usize| in_place.get(disk).is_some_and(Option::is_some);
        let (moved, wanted) = steps.journal_parts(is_in_place);
        let plain: u64 = wanted.iter().map(|want| u64::from(want.chunk.len)).sum();
        let stored = fetch.measure(wanted).await?.fetched_stored_bytes;
        Ok(self.room(&sides.directory, moved + stored.min(plain)))
    }

    /// Fails if the patch does not fit. Asks the registry for stored lengths only if the plain
    /// lengths do not fit.
    pub(super) async fn check(
        &self,
        fetch: &Fetch,
        sides: &Sides,
        steps: &Steps,
    ) -> Result<(), PatchError> {
        if self.room(&sides.directory, self.journal).check().is_ok() {
            return Ok(());
        }
        Ok(self.measured(fetch, sides, steps).await?.check()?)
    }

    /// Fails if the space left beside the journal is too small for the growth of the disks.
    pub(super) fn check_growth(&self, directory: &Directory) -> Result<(), PatchError> {
        Ok(Room::of(directory.root(), self.growth).check()?)
    }
}

/// Returns the number of data bytes on a disk.
fn data_bytes(layout: &DiskLayout) -> Result<u64, HostError> {
    Ok(layout.data_runs()?.iter().map(|run| run.end - run.start).sum())
}

/// Returns the growth in bytes of a file that becomes the disk `new`; negative if the file shrinks.
fn grown(
    directory: &Directory,
    old: &[OldDisk],
    new: &DiskLayout,
    file: &FolderPath,
) -> Result<i128, PatchError> {
    let opened = directory.folder().file(file)?;
    let path = directory.folder().path_of(file);
    let found = opened.metadata().map_err(|source| HostError::new("inspect", &path, source))?;
    let blocks = found.blocks() * STAT_BLOCK_LEN;
    let old = old.iter().find(|disk| disk.file == *file);
    let old_bytes = old.map_or(Ok(0), |disk| data_bytes(&disk.layout))?;
    if blocks == 0 && old_bytes > 0 {
        // The file system does not report the allocated blocks.
        return Ok(0);
    }
    Ok(i128::from(data_bytes(new)?) - i128::from(blocks.max(old_bytes)))
}

/// Returns the number of bytes left by an interrupted patch.
fn there(directory: &Directory) -> u64 {
    let Ok(folder) = directory.folder().folder(&journal::folder()) else { return 0 };
    let names = folder.names(usize::MAX).unwrap_or_default();
    let files = names.into_iter().filter_map(|name| folder.file(&FolderPath::composed(name)).ok());
    let blocks = files.filter_map(|file| Some(file.metadata().ok()?.blocks()));
    blocks.map(|blocks| blocks * STAT_BLOCK_LEN).sum()
}
