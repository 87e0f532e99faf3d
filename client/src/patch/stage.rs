//! Patch, stage 3: all that will be written is gathered in the journal, then committed.
//!
//! What cannot be written in place (qcow2) and what is not there yet (a disk that only the new
//! release has) is staged as whole files, which nobody can open as disks before they are.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use seawall_api::digest::ChunkDigest;
use seawall_api::index::ChunkRef;
use seawall_api::release::Release;
use seawall_api::units::CHUNK_LEN_MAX;
use seawall_store::codec::{Decoder, Encoding};
use seawall_store::image::layout::ExportFormat;
use seawall_store::image::{self, DiskImage, OpenOptions};

use super::PatchError;
use super::journal::{self, Header, Record};
use super::plan::Steps;
use super::watch::Watched;
use crate::directory::{Directory, DiskLayout, LockedDisk, Lockfile, sync_folder};
use crate::fetch::{Deliver, Origin, Place, SeedPlace, Want};
use crate::host::{HostError, WriteBehind};
use crate::pull::sink::Sink;

/// Writes the journal; takes chunks from several threads.
pub(super) struct Stager {
    root: PathBuf,
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
        let folder = journal::folder(directory);
        let mut old_disks = Vec::new();
        for disk in &old_lock.disks {
            let options = OpenOptions {
                format: disk.container(),
                allow_backing: false,
                ..OpenOptions::default()
            };
            old_disks.push(image::open(&directory.root().join(&disk.file), &options)?);
        }
        let (mut sinks, mut replaced) = (Vec::new(), Vec::new());
        let in_place = super::in_place(old_lock, new_lock);
        for (position, (layout, in_place)) in new.iter().zip(in_place).enumerate() {
            if in_place.is_some() {
                sinks.push(None);
                continue;
            }
            replaced.push(position);
            let path = staged_file(&folder, new_lock, position);
            sinks.push(Some(StagedFile::open(&path, &new_lock.disks[position], layout)?));
        }
        let header = Header {
            old: old_lock.clone(),
            new: new_lock.clone(),
            release: String::from_utf8_lossy(release.bytes()).into_owned(),
            disk_lens: new.iter().map(|layout| layout.index().disk_len().get()).collect(),
            replaced,
        };
        let part = folder.join("journal.part");
        let mut kept = HashSet::new();
        let mut decoder = Decoder::default();
        let mut plain = vec![0; CHUNK_LEN_MAX as usize];
        let file = journal::begin(&part, &header, |record| {
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
        let root = directory.root().to_owned();
        Ok(Self { root, part, old_disks, sinks, writer, behind, kept })
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
            return Err(PatchError::Changing { directory: self.root.clone(), chunk });
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
    pub(super) fn commit(&self, steps: &Steps, watched: &Watched) -> Result<PathBuf, PatchError> {
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
        let folder = self.part.parent().unwrap_or(Path::new("."));
        sync_folder(folder)?;
        if let Some(above) = folder.parent() {
            sync_folder(above)?;
            sync_folder(&self.root)?;
        }
        watched.check()?;
        let journal = self.part.with_file_name("journal");
        fs::rename(&self.part, &journal).map_err(failed)?;
        sync_folder(folder)?;
        Ok(journal)
    }

    fn in_place(&self, want: &Want) -> Vec<Place> {
        want.places.iter().copied().filter(|place| self.sinks[place.disk].is_none()).collect()
    }
}

/// The file that becomes a disk's, beside the journal.
///
/// Named by what it will hold: what a patch to another release left is never taken for it. And by
/// which disk it is: two may be alike.
pub(super) fn staged_file(folder: &Path, new: &Lockfile, position: usize) -> PathBuf {
    let disk = &new.disks[position];
    folder.join(format!("{}-{position}.{}", disk.index.to_hex(), disk.format))
}

impl StagedFile {
    fn open(path: &Path, disk: &LockedDisk, layout: &DiskLayout) -> Result<Self, HostError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| HostError::new("create", folder, e))?;
        }
        let was_there = path.exists();
        let format = disk.format.parse().unwrap_or(ExportFormat::Raw);
        let sink = Sink::create(path, format, layout.index(), layout.data_runs()?.into_iter())?;
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
