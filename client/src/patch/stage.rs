//! Patch, stage 3: all that will be written is gathered in the journal, then committed.
//!
//! What cannot be written in place (qcow2) and what is not there yet (a disk that only the new
//! release has) is staged as whole files, which nobody can open as disks before they are.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use seawall_api::digest::ChunkDigest;
use seawall_api::index::ChunkRef;
use seawall_api::release::Release;
use seawall_api::units::CHUNK_LEN_MAX;
use seawall_store::codec::{Decoder, Encoding};
use seawall_store::image::DiskImage;
use seawall_store::image::layout::ExportFormat;

use super::PatchError;
use super::journal::{self, Header, Record};
use super::plan::Steps;
use super::watch::Watched;
use crate::directory::{Directory, DiskLayout, LockedDisk, Lockfile};
use crate::fetch::{Deliver, Origin, Place, SeedPlace, Want};
use crate::folder::{Folder, FolderPath, mode};
use crate::host::{HostError, WriteBehind};
use crate::pull::sink::Sink;

/// Writes the journal; takes chunks from several threads.
pub(super) struct Stager {
    folder: Folder,
    part: PathBuf,
    old_disks: Vec<Box<dyn DiskImage>>,
    /// For each new disk that is made anew, its staged file.
    sinks: Vec<Option<StagedFile>>,
    writer: Mutex<BufWriter<File>>,
    /// The same file, on its way to the disk.
    behind: WriteBehind,
    /// Chunks that an interrupted patch left in the journal.
    kept: HashSet<ChunkRef>,
}

struct StagedFile {
    sink: Sink,
    /// An interrupted patch left it: some of it may be there.
    was_there: bool,
}

impl Stager {
    /// Opens the journal and the old disks; keeps what an interrupted patch has staged.
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
        let mut decoder = Decoder::default();
        let mut plain = vec![0; CHUNK_LEN_MAX as usize];
        let file = journal::begin(folder, &journal::part(), &header, |record| {
            if let Record::Chunk { digest, plain_len, encoding, stored, .. } = record
                && let Ok(plain) = decoder.decode(*encoding, stored, *plain_len, &mut plain)
                && ChunkDigest::of(plain) == *digest
            {
                kept.insert(ChunkRef { digest: *digest, len: *plain_len });
                true
            } else {
                false
            }
        })?;
        let same = file.try_clone().map_err(|e| HostError::new("open", &part, e))?;
        let behind = WriteBehind::new(&part, same);
        let writer = Mutex::new(BufWriter::with_capacity(1 << 20, file));
        let folder = folder.clone();
        Ok(Self { folder, part, old_disks, sinks, writer, behind, kept })
    }

    /// Whether an interrupted patch staged a chunk for all places that want it.
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

    /// Copies onto staged files what they share with the old disks at places that stay.
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

    /// What the old disks hold at a place that stays, if it is still what was surveyed.
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

    /// Ends the journal, makes it durable, and commits it.
    pub(super) fn commit(&self, steps: &Steps, watched: &Watched) -> Result<(), PatchError> {
        let mut plain = vec![0; CHUNK_LEN_MAX as usize];
        for (want, source) in steps.copies() {
            let places: Vec<_> = self.in_place(want);
            if !places.is_empty() {
                // The survey is minutes old after a long fetch. A machine that writes to a disk
                // must be noticed now: after the commit there is no way back.
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
        // The folder may be new: a journal in a folder that power loss takes away is none, and one
        // without the files beside it is worse.
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

/// The file that becomes a disk's, beside the journal.
///
/// Named by what it will hold: what a patch to another release left is never taken for it. And by
/// which disk it is: two may be alike.
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
            Origin::Pack(frame) if frame.bytes.len() < plain.len() => (frame.encoding, frame.bytes),
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
