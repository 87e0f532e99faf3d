//! Patch, before stage 3: the room that the journal and the disks take.
//!
//! A journal that is committed and cannot be applied leaves disks between two releases, so what the
//! disks grow by counts, too. As everywhere ([`crate::room`]) the sum is never more than what will
//! be written.

use std::os::unix::fs::MetadataExt;

use super::plan::{OldDisk, Steps};
use super::{Patch, PatchError, Sides, in_place, journal};
use crate::directory::{Directory, DiskLayout};
use crate::folder::FolderPath;
use crate::host::HostError;
use crate::room::Room;

/// Length in bytes of the blocks that stat(2) counts.
const STAT_BLOCK_LEN: u64 = 512;

/// The least room that a patch takes of the file system, in bytes.
pub(super) struct Demand {
    /// Length of the chunks in the journal, decoded.
    journal: u64,
    /// Files that are staged whole beside it.
    staged: u64,
    /// Length of both that an interrupted patch left.
    there: u64,
    /// Growth of the disks that are written in place.
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

    /// Returns the room that is needed by a journal of `journal` bytes.
    fn room(&self, directory: &Directory, journal: u64) -> Room {
        let gathered = (journal + self.staged).saturating_sub(self.there);
        Room::of(directory.root(), gathered + self.growth)
    }

    /// Measures the room that is needed; the journal keeps chunks as the registry stores them.
    pub(super) async fn measured(
        &self,
        patch: &Patch,
        sides: &Sides,
        steps: &Steps,
    ) -> Result<Room, PatchError> {
        let in_place = in_place(&sides.old_lock, &sides.new_lock);
        let is_in_place = |disk: usize| in_place.get(disk).is_some_and(Option::is_some);
        let (moved, wanted) = steps.journal_parts(is_in_place);
        let plain: u64 = wanted.iter().map(|want| u64::from(want.chunk.len)).sum();
        let stored = patch.fetch().measure(wanted).await?.fetched_stored_bytes;
        Ok(self.room(&sides.directory, moved + stored.min(plain)))
    }

    /// Fails if the patch does not fit. The registry is asked for stored lengths only if the
    /// decoded ones do not fit.
    pub(super) async fn check(
        &self,
        patch: &Patch,
        sides: &Sides,
        steps: &Steps,
    ) -> Result<(), PatchError> {
        if self.room(&sides.directory, self.journal).check().is_ok() {
            return Ok(());
        }
        Ok(self.measured(patch, sides, steps).await?.check()?)
    }

    /// Fails if the disks cannot grow beside the journal.
    pub(super) fn check_growth(&self, directory: &Directory) -> Result<(), PatchError> {
        Ok(Room::of(directory.root(), self.growth).check()?)
    }
}

/// Returns the bytes of data on a disk.
fn data_bytes(layout: &DiskLayout) -> Result<u64, HostError> {
    Ok(layout.data_runs()?.iter().map(|run| run.end - run.start).sum())
}

/// Returns the growth in bytes of a file that becomes the disk `new`; negative if it shrinks.
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
        // A file system that does not say what a file takes.
        return Ok(0);
    }
    Ok(i128::from(data_bytes(new)?) - i128::from(blocks.max(old_bytes)))
}

/// Returns the bytes that an interrupted patch left for the next one.
fn there(directory: &Directory) -> u64 {
    let Ok(folder) = directory.folder().folder(&journal::folder()) else { return 0 };
    let names = folder.names(usize::MAX).unwrap_or_default();
    let files = names.into_iter().filter_map(|name| folder.file(&FolderPath::composed(name)).ok());
    let blocks = files.filter_map(|file| Some(file.metadata().ok()?.blocks()));
    blocks.map(|blocks| blocks * STAT_BLOCK_LEN).sum()
}
