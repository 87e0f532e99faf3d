//! Patch, stage 4: gathers all bytes to write in the journal, then commits the patch.
//!
//! Disks that cannot be written in place (qcow2) and new disks are staged as complete files, which
//! nobody can open as disks before the commit.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use seawall_api::digest::ChunkDigest;
use seawall_api::index::ChunkRef;
use seawall_api::release::Release;
use seawall_api::units::CHUNK_LEN_MAX;
use seawall_store::codec::Encoding;
use seawall_store::image::DiskImage;
use seawall_store::image::layout::ExportFormat;
use seawall_store::read::Prover;

use super::PatchError;
use super::guard::DiskGuard;
use super::journal::{self, Header, Record};
use super::plan::Steps;
use crate::directory::{Directory, DiskLayout, LockedDisk, Lockfile};
use crate::fetch::{Deliver, Origin, Place, SeedPlace, Want};
use crate::folder::{Folder, FolderPath, mode};
use crate::host::{HostError, WriteBehind};
use crate::pull::sink::Sink;

/// A writer of the journal and of staged files. Takes chunks from several threads.
pub(super) struct Stager {
    folder: Folder,
    part: PathBuf,
    old_disks: Vec<Box<dyn DiskImage>>,
    /// The staged file of each new disk, or `None` for a disk that is written in place.
    sinks: Vec<Option<StagedFile>>,
    writer: Mutex<BufWriter<File>>,
    /// The journal's file, for syncing behind the writer.
    behind: WriteBehind,
    /// The chunks in the journal of an interrupted patch.
    kept: HashSet<ChunkRef>,
}

struct StagedFile {
    sink: Sink,
    /// True if an interrupted patch left the file, possibly with part of its data.
    was_there: bool,
}

impl Stager {
    /// Opens the journal and the old disks, keeping the staged chunks of an interrupted patch.
    pub(super) fn create(
        directory: &Directory,
        old_lock: &Lockfile,
        new_lock: &Lockfile,
        release: &Release,
        new: &[DiskLayout],
    ) -> Result<Self, PatchError> {
        let folder = directory.folder();
        let mut old_disks = Vec::new();
        for disk in &old_lock.disks {
            old_disks.push(directory.image(disk)?);
        }
        let (mut sinks, mut replaced) = (Vec::new(), Vec::new());
        let in_place = super::in_place(old_lock, new_lock);
        for (position, (layout, in_place)) in new.iter().zip(in_place).enumerate() {
            if in_place.is_some() {
                sinks.push(None);
                continue;
            }
            replaced.push(position);
            let file = staged_file(new_lock, position);
            sinks.push(Some(StagedFile::open(folder, &file, &new_lock.disks[position], layout)?));
        }
        let header = Header {
            old: old_lock.clone(),
            new: new_lock.clone(),
            release: String::from_utf8_lossy(release.bytes()).into_owned(),
            disk_lens: new.iter().map(|layout| layout.index().disk_len().get()).collect(),
            replaced,
        };
        let part = folder.path_of(&journal::part());
        let mut kept = HashSet::new();
        let mut prover = Prover::default();
        let file = journal::begin(folder, &journal::part(), &header, |record| {
            let Record::Chunk { digest, plain_len, encoding, stored, .. } = record else {
                return false;
            };
            let chunk = ChunkRef { digest: *digest, len: *plain_len };
            let is_sound = prover.prove(chunk, *encoding, stored).is_ok();
            if is_sound {
                kept.insert(chunk);
            }
            is_sound
        })?;
        let same = file.try_clone().map_err(|e| HostError::new("open", &part, e))?;
        let behind = WriteBehind::new(&part, same);
        let writer = Mutex::new(BufWriter::with_capacity(1 << 20, file));
        let folder = folder.clone();
        Ok(Self { folder, part, old_disks, sinks, writer, behind, kept })
    }

    /// Returns whether an interrupted patch staged a chunk for all its places.
    pub(super) fn is_staged(&self, want: &Want) -> bool {
        let is_in_journal = self.in_place(want).is_empty() || self.kept.contains(&want.chunk);
        let mut plain = Vec::new();
        is_in_journal
            && want.places.iter().all(|place| match &self.sinks[place.disk] {
                Some(file) => file.holds(want.chunk, place.offset, &mut plain),
                None => true,
            })
    }

    fn append(&self, record: &Record) -> Result<(), HostError> {
        let bytes = record.encode();
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(&bytes).map_err(|e| HostError::new("write", &self.part, e))?;
        drop(writer);
        self.behind.wrote(bytes.len())
    }

    /// Copies chunks from unchanged places on the old disks to staged files.
    pub(super) fn stage_fixed(&self, steps: &Steps) -> Result<(), PatchError> {
        let mut plain = vec![0; CHUNK_LEN_MAX as usize];
        for (want, source) in steps.copies() {
            let places = self.staged_places(want);
            if places.is_empty() {
                continue;
            }
            let plain = self.read_fixed(want, source, &mut plain)?;
            self.write_staged(&places, plain)?;
        }
        Ok(())
    }

    /// Reads an old disk at a place that stays. Fails if the bytes changed since the survey.
    fn read_fixed<'a>(
        &self,
        want: &Want,
        source: SeedPlace,
        buffer: &'a mut [u8],
    ) -> Result<&'a [u8], PatchError> {
        let (plain, chunk) = (&mut buffer[..usize::from(want.chunk.len)], want.chunk.digest);
        self.old_disks[source.seed].read_at(source.offset, plain)?;
        if ChunkDigest::of(plain) != chunk {
            return Err(PatchError::Changing { directory: self.folder.path().to_owned(), chunk });
        }
        Ok(plain)
    }

    fn staged_places(&self, want: &Want) -> Vec<Place> {
        want.places.iter().copied().filter(|place| self.sinks[place.disk].is_some()).collect()
    }

    fn write_staged(&self, places: &[Place], plain: &[u8]) -> Result<(), HostError> {
        for place in places {
            if let Some(file) = &self.sinks[place.disk] {
                file.sink.write_at(place.offset, plain)?;
            }
        }
        Ok(())
    }

    /// Completes the journal, makes it durable, and commits the patch.
    pub(super) fn commit(&self, steps: &Steps, watched: &DiskGuard) -> Result<(), PatchError> {
        let mut plain = vec![0; CHUNK_LEN_MAX as usize];
        for (want, source) in steps.copies() {
            let places: Vec<_> = self.in_place(want);
            if !places.is_empty() {
                // After a long fetch, the survey is old. A machine that writes to a disk must be
                // detected now: the commit cannot be undone.
                self.read_fixed(want, source, &mut plain)?;
                let source = Place { disk: source.seed, offset: source.offset };
                let (digest, plain_len) = (want.chunk.digest, want.chunk.len);
                self.append(&Record::Copy { digest, plain_len, source, places })?;
            }
        }
        for &(place, len) in steps.holes() {
            if self.sinks[place.disk].is_none() {
                self.append(&Record::Hole { place, len })?;
            }
        }
        self.append(&Record::End)?;
        self.sinks.iter().flatten().try_for_each(|file| file.sink.sync())?;
        let failed = |source| HostError::new("commit", &self.part, source);
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.flush().map_err(failed)?;
        self.behind.sync()?;
        // The folder may be new. A power loss must remove neither the journal's folder nor the
        // files beside a committed journal.
        let journal = journal::journal();
        self.folder.sync_folder_of(&journal)?;
        self.folder.sync_folder_of(&journal::folder())?;
        self.folder.sync()?;
        watched.check()?;
        self.folder.rename(&journal::part(), &journal)?;
        self.folder.sync_folder_of(&journal)?;
        Ok(())
    }

    fn in_place(&self, want: &Want) -> Vec<Place> {
        want.places.iter().copied().filter(|place| self.sinks[place.disk].is_none()).collect()
    }
}

/// Returns the path of a disk's staged file, beside the journal.
///
/// The name contains the index, so that leftovers of a patch to another release are never reused,
/// and the position, because two disks may be identical.
pub(super) fn staged_file(new: &Lockfile, position: usize) -> FolderPath {
    let disk = &new.disks[position];
    let name = format!("{}-{position}.{}", disk.index.to_hex(), disk.format);
    journal::folder().join(&FolderPath::composed(name))
}

impl StagedFile {
    fn open(
        folder: &Folder,
        file: &FolderPath,
        disk: &LockedDisk,
        layout: &DiskLayout,
    ) -> Result<Self, HostError> {
        folder.make_folder_of(file, mode::OWN_FOLDER)?;
        let was_there = folder.has(file);
        let format = disk.format.parse().unwrap_or(ExportFormat::Raw);
        let runs = layout.data_runs()?.into_iter();
        let sink = Sink::create((folder, file), format, layout.index(), runs)?;
        Ok(Self { sink, was_there })
    }

    fn holds(&self, chunk: ChunkRef, offset: u64, plain: &mut Vec<u8>) -> bool {
        plain.resize(usize::from(chunk.len), 0);
        self.was_there && self.sink.read_at(offset, plain) && ChunkDigest::of(plain) == chunk.digest
    }
}

impl Deliver for Stager {
    fn deliver(&self, want: &Want, plain: &[u8], origin: Origin<'_>) -> Result<(), HostError> {
        self.write_staged(&self.staged_places(want), plain)?;
        let places = self.in_place(want);
        if places.is_empty() || self.kept.contains(&want.chunk) {
            return Ok(());
        }
        let (encoding, stored) = match origin {
            Origin::Pack(frame) if frame.stored.len() < plain.len() => {
                (frame.encoding, frame.stored)
            }
            Origin::Pack(_) | Origin::Seed(_) => (Encoding::Raw, plain),
        };
        self.append(&Record::Chunk {
            digest: want.chunk.digest,
            plain_len: want.chunk.len,
            encoding,
            stored: stored.to_vec(),
            places,
        })
    }

    fn read_seed(&self, place: SeedPlace, plain: &mut [u8]) -> bool {
        self.old_disks[place.seed].read_at(place.offset, plain).is_ok()
    }
}

#[cfg(test)]
mod tests;
