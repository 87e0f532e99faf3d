//! Patch, stage 5: writes the journal to the disks.
//!
//! Needs only the directory and no registry, so that it can be repeated after any crash.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FallocateFlags, Gid, Mode, Uid, fallocate, fchmod, fchown};
use seawall_api::digest::ChunkDigest;
use seawall_api::index::ChunkRef;
use seawall_api::release::Release;
use seawall_api::units::CHUNK_LEN_MAX;
use seawall_store::read::Prover;

use super::journal::{self, Header, Reader, Record};
use super::stage::staged_file;
use super::{PatchError, guard};
use crate::directory::{Directory, DiskTimes, remove_stale, set_aside};
use crate::error::ErrorKind;
use crate::fetch::Place;
use crate::folder::{Folder, FolderPath, mode, part_of};
use crate::host::{HostError, ImageLocks, WriteBehind};
use crate::progress::Progress;

/// The number of bytes copied at once.
const COPY_LEN: usize = 1 << 20;

/// Applies the committed journal, describes the directory again, and removes the journal. `alone`
/// holds the locks of the old disks. The disks created by the journal are locked in addition.
///
/// Returns the errors of removing leftovers, which do not affect the new release.
///
/// # Errors
/// Fails if a disk cannot be written or was modified, or the journal is damaged. The journal stays.
pub(super) fn roll_forward(
    directory: &Directory,
    mut alone: ImageLocks,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Vec<HostError>, PatchError> {
    let folder = directory.folder();
    let reader = Reader::open(folder, &journal::journal())?;
    let header = reader.header().clone();
    guard::made_alone(&mut alone, directory, &header)?;
    let release = Release::parse(header.release.as_bytes()).map_err(|_| reader.damaged())?;
    // Before a disk is written: an overlay on a changed disk would be a damaged disk to its guest.
    set_aside(folder, header.old.release)?;
    let disks = Disks::open(folder, &header)?;
    let reader = Mutex::new(reader);
    let apply = || Applier::new(&reader, &disks).run(progress);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(apply)).collect();
        let outcomes: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        outcomes.into_iter().try_for_each(|outcome| outcome.unwrap_or(Err(PatchError::Defect)))
    })?;
    disks.sync()?;
    replace(folder, &header)?;
    let mut left = Vec::new();
    left.extend(remove_stale(directory, &header.old, &release, &header.new).err());
    DiskTimes::note(folder, &header.new)?;
    directory.describe(directory.root(), &release, &header.new)?;
    // Closed before removal: on FUSE and NFS, an open file keeps a name in its folder.
    drop((reader, disks));
    left.extend(remove_dropped(folder, &header));
    // The journal first: a folder without a journal is garbage, but a journal needs its files.
    folder.remove(&journal::journal())?;
    // Otherwise a power loss could restore the journal, and a machine's later writes would be lost.
    folder.sync_folder_of(&journal::journal())?;
    // Not earlier: a machine that starts now may write.
    drop(alone);
    left.extend(journal::remove_folder(directory).err());
    Ok(left)
}

/// A worker that takes records one by one. The order of records does not matter.
struct Applier<'a> {
    reader: &'a Mutex<Reader>,
    disks: &'a Disks,
    prover: Prover,
    plain: Vec<u8>,
}

impl<'a> Applier<'a> {
    fn new(reader: &'a Mutex<Reader>, disks: &'a Disks) -> Self {
        let (prover, plain) = (Prover::default(), vec![0; CHUNK_LEN_MAX as usize]);
        Self { reader, disks, prover, plain }
    }

    fn damaged(&self) -> PatchError {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).damaged()
    }

    fn run(mut self, progress: &dyn Progress) -> Result<(), PatchError> {
        loop {
            let record = self.reader.lock().unwrap_or_else(PoisonError::into_inner).next();
            match record.ok_or_else(|| self.damaged())? {
                Record::End => return Ok(()),
                Record::Hole { place, len } => self.disks.punch(place, len)?,
                Record::Copy { digest, plain_len, source, places } => {
                    let plain = &mut self.plain[..usize::from(plain_len)];
                    let path = self.disks.read_old(source, plain)?;
                    // The bytes were verified before the commit, and no record writes to their
                    // place.
                    if ChunkDigest::of(plain) != digest {
                        return Err(PatchError::WrittenBetween { path: path.to_owned() });
                    }
                    self.disks.write(&places, plain)?;
                    progress.advance(written(&places, plain));
                }
                Record::Chunk { digest, plain_len, encoding, stored, places } => {
                    let chunk = ChunkRef { digest, len: plain_len };
                    let Ok(proven) = self.prover.prove(chunk, encoding, &stored) else {
                        return Err(self.damaged());
                    };
                    self.disks.write(&places, proven.plain)?;
                    progress.advance(written(&places, proven.plain));
                }
            }
        }
    }
}

/// Returns the number of bytes that a record writes.
fn written(places: &[Place], plain: &[u8]) -> u64 {
    places.len() as u64 * plain.len() as u64
}

/// The files written in place, and the old files as sources of copies.
struct Disks {
    new: Vec<Option<WriteBehind>>,
    old: Vec<(PathBuf, File)>,
}

/// Opens a disk for writing, creating it if necessary.
fn open(folder: &Folder, file: &FolderPath) -> Result<File, HostError> {
    folder.make_folder_of(file, mode::FOLDER)?;
    match folder.file_to_write(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => folder.create(file, mode::FILE),
        opened => opened,
    }
}

impl Disks {
    fn open(folder: &Folder, header: &Header) -> Result<Self, HostError> {
        let mut new = Vec::new();
        for (position, disk) in header.new.disks.iter().enumerate() {
            if header.replaced.contains(&position) {
                new.push(None);
                continue;
            }
            let path = folder.path_of(&disk.file);
            let file = open(folder, &disk.file)?;
            // Grown now, but shortened at the end: a copy's source may lie past the new length.
            let len = file.metadata().map_err(|e| HostError::new("inspect", &path, e))?.len();
            let wanted = header.disk_lens.get(position).copied().unwrap_or(len);
            if len < wanted {
                file.set_len(wanted).map_err(|e| HostError::new("grow", &path, e))?;
            }
            new.push(Some(WriteBehind::new(&path, file)));
        }
        let mut old = Vec::new();
        for disk in &header.old.disks {
            // Created empty if a crash came after the removal of a dropped disk.
            old.push((folder.path_of(&disk.file), open(folder, &disk.file)?));
        }
        Ok(Self { new, old })
    }

    fn target(&self, place: Place) -> Result<&WriteBehind, HostError> {
        self.new.get(place.disk).and_then(Option::as_ref).ok_or_else(|| {
            let path = PathBuf::from(format!("disk {}", place.disk));
            HostError::new(
                "find",
                &path,
                std::io::Error::other(
                    "the journal does not name this \
                disk",
                ),
            )
        })
    }

    /// Reads an old disk at a place that stays. Returns the path of its file.
    fn read_old(&self, source: Place, plain: &mut [u8]) -> Result<&Path, HostError> {
        let (path, file) = self.old.get(source.disk).ok_or_else(|| {
            let path = PathBuf::from(format!("disk {}", source.disk));
            HostError::new(
                "find",
                &path,
                std::io::Error::other(
                    "the journal does not name this \
                disk",
                ),
            )
        })?;
        file.read_exact_at(plain, source.offset).map_err(|e| HostError::new("read", path, e))?;
        Ok(path)
    }

    fn write(&self, places: &[Place], plain: &[u8]) -> Result<(), HostError> {
        for place in places {
            self.target(*place)?.write_at(place.offset, plain)?;
        }
        Ok(())
    }

    fn punch(&self, place: Place, len: u64) -> Result<(), HostError> {
        let disk = self.target(place)?;
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if fallocate(disk.file(), flags, place.offset, len).is_ok() {
            return Ok(());
        }
        // A file system without holes gets zeros, which read the same.
        let zeros = vec![0; 1 << 20];
        let mut done = 0;
        while done < len {
            let step = usize::try_from(len - done).unwrap_or(usize::MAX).min(zeros.len());
            disk.write_at(place.offset + done, &zeros[..step])?;
            done += step as u64;
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), HostError> {
        self.new.iter().flatten().try_for_each(WriteBehind::sync)
    }
}

/// Shortens disks, and renames staged files to their places.
fn replace(folder: &Folder, header: &Header) -> Result<(), HostError> {
    for (position, disk) in header.new.disks.iter().enumerate() {
        let path = folder.path_of(&disk.file);
        let staged = staged_file(&header.new, position);
        if header.replaced.contains(&position) {
            folder.make_folder_of(&disk.file, mode::FOLDER)?;
            // Absent if a crash came after the rename.
            if folder.look(&staged)?.is_some() {
                move_file(folder, &staged, &disk.file)?;
            }
        } else if let Some(&len) = header.disk_lens.get(position) {
            let file = open(folder, &disk.file)?;
            let cut = || -> std::io::Result<()> {
                file.set_len(len)?;
                file.sync_all()
            };
            cut().map_err(|source| HostError::new("cut", &path, source))?;
        }
    }
    Ok(())
}

/// Renames a file. On another file system, copies it beside its new place first.
fn move_file(folder: &Folder, from: &FolderPath, to: &FolderPath) -> Result<(), HostError> {
    let path = folder.path_of(to);
    // Fails on a link, which would become the disk.
    let source = folder.file(from)?;
    let access = match folder.file(to) {
        Ok(old) => Access::of(&old).map_err(|error| HostError::new("inspect", &path, error))?,
        Err(error) if error.kind() == ErrorKind::NotFound => Access::default(),
        Err(error) => return Err(error),
    };
    access.give(&source);
    match folder.rename_raw(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
        done => return done.map_err(|error| HostError::new("replace", &path, error)),
    }
    let part = part_of(to);
    let copy = folder.create(&part, mode::FILE)?;
    access.give(&copy);
    copy_file(&source, &copy).map_err(|error| HostError::new("replace", &path, error))?;
    folder.rename(&part, to)?;
    folder.remove(from)
}

/// The owner and mode of a replaced disk. A hypervisor with a user of its own was given the old
/// file, and must be able to open the new one.
#[derive(Default)]
struct Access {
    old: Option<(u32, u32, u32)>,
}

impl Access {
    fn of(file: &File) -> io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self { old: Some((found.uid(), found.gid(), found.mode() & 0o777)) })
    }

    /// Gives a file the same owner and mode, as far as permitted: only root can change owners.
    fn give(&self, file: &File) {
        let Some((owner, group, mode)) = self.old else { return };
        let (owner, group) = (Uid::from_raw(owner), Gid::from_raw(group));
        if fchown(file, Some(owner), Some(group)).is_ok() {
            let _ = fchmod(file, Mode::from_raw_mode(mode));
        }
    }
}

fn copy_file(source: &File, copy: &File) -> io::Result<()> {
    let len = source.metadata()?.len();
    let mut bytes = vec![0; COPY_LEN];
    let mut at = 0;
    while at < len {
        let step = usize::try_from(len - at).unwrap_or(usize::MAX).min(COPY_LEN);
        source.read_exact_at(&mut bytes[..step], at)?;
        // Skipped zeros become a hole.
        if bytes[..step].iter().any(|byte| *byte != 0) {
            copy.write_all_at(&bytes[..step], at)?;
        }
        at += step as u64;
    }
    copy.set_len(len)?;
    copy.sync_all()
}

/// Removes the files of disks that the new release drops. Returns the errors.
fn remove_dropped(folder: &Folder, header: &Header) -> Vec<HostError> {
    let is_dropped = |file: &FolderPath| header.new.disks.iter().all(|new| new.file != *file);
    let dropped = header.old.disks.iter().filter(|disk| is_dropped(&disk.file));
    dropped.filter_map(|disk| folder.remove(&disk.file).err()).collect()
}
