//! Patch, stage 4: what the journal says is written to the disks.
//!
//! Needs no registry and nothing but the directory, so that it can be done again after any crash.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FallocateFlags, fallocate};
use seawall_api::digest::ChunkDigest;
use seawall_api::release::Release;
use seawall_api::units::CHUNK_LEN_MAX;
use seawall_store::codec::Decoder;

use super::journal::{self, Header, Reader, Record};
use super::stage::staged_file;
use super::{PatchError, watch};
use crate::directory::{Directory, DiskTimes, remove_stale, set_aside, sync_folder};
use crate::fetch::Place;
use crate::host::{HostError, ImageLocks, WriteBehind};

/// How much of a file is copied at once.
const COPY_LEN: usize = 1 << 20;

/// Applies a committed journal, describes the directory anew, and removes the journal. `alone` has
/// the old disks; those that the journal makes are locked besides.
///
/// # Errors
/// When a disk cannot be written or was written to, or the journal is damaged; the journal stays.
pub(super) fn roll_forward(
    directory: &Directory,
    path: &Path,
    alone: &mut ImageLocks,
    threads: usize,
) -> Result<(), PatchError> {
    let reader = Reader::open(path)?;
    let header = reader.header().clone();
    watch::made_alone(alone, directory, &header)?;
    let release = Release::parse(header.release.as_bytes()).map_err(|_| reader.damaged())?;
    // Before a disk is written: an overlay above other bytes would be a damaged disk to its guest.
    set_aside(directory.root(), header.old.release)?;
    let disks = Disks::open(directory, &header)?;
    let reader = Mutex::new(reader);
    let apply = || Applier::new(&reader, &disks).run();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(apply)).collect();
        let outcomes: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        outcomes.into_iter().try_for_each(|outcome| outcome.unwrap_or(Err(PatchError::Defect)))
    })?;
    disks.sync()?;
    replace(directory, &header)?;
    let root = directory.root();
    remove_stale(root, &header.old, &release, &header.new)?;
    DiskTimes::note(root, &header.new)?;
    directory.describe(root, &release, &header.new)?;
    remove_dropped(directory, &header)?;
    let folder = journal::folder(directory);
    // The journal first: a folder without it is garbage, a journal without its files is not.
    fs::remove_file(path).map_err(|e| HostError::new("remove", path, e))?;
    // Or it would be back after power loss, and be applied over what a machine wrote since.
    sync_folder(&folder)?;
    Ok(journal::remove_folder(directory)?)
}

/// One worker: takes records one by one; their order does not matter.
struct Applier<'a> {
    reader: &'a Mutex<Reader>,
    disks: &'a Disks,
    decoder: Decoder,
    plain: Vec<u8>,
}

impl<'a> Applier<'a> {
    fn new(reader: &'a Mutex<Reader>, disks: &'a Disks) -> Self {
        let (decoder, plain) = (Decoder::default(), vec![0; CHUNK_LEN_MAX as usize]);
        Self { reader, disks, decoder, plain }
    }

    fn damaged(&self) -> PatchError {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).damaged()
    }

    fn run(mut self) -> Result<(), PatchError> {
        loop {
            let record = self.reader.lock().unwrap_or_else(PoisonError::into_inner).next();
            match record.ok_or_else(|| self.damaged())? {
                Record::End => return Ok(()),
                Record::Hole { place, len } => self.disks.punch(place, len)?,
                Record::Copy { digest, plain_len, source, places } => {
                    let plain = &mut self.plain[..usize::from(plain_len)];
                    let path = self.disks.read_old(source, plain)?;
                    // It was proven before the commit, and no record writes it.
                    if ChunkDigest::of(plain) != digest {
                        return Err(PatchError::WrittenBetween { path: path.to_owned() });
                    }
                    self.disks.write(&places, plain)?;
                }
                Record::Chunk { digest, plain_len, encoding, stored, places } => {
                    let decoded =
                        self.decoder.decode(encoding, &stored, plain_len, &mut self.plain);
                    match decoded {
                        Ok(plain) if ChunkDigest::of(plain) == digest => {
                            self.disks.write(&places, plain)?;
                        }
                        _ => return Err(self.damaged()),
                    }
                }
            }
        }
    }
}

/// The files that are written in place, and the old ones that copies come from.
struct Disks {
    new: Vec<Option<WriteBehind>>,
    old: Vec<(PathBuf, File)>,
}

fn open(path: &Path) -> Result<File, HostError> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|source| HostError::new("open", path, source))
}

impl Disks {
    fn open(directory: &Directory, header: &Header) -> Result<Self, HostError> {
        let mut new = Vec::new();
        for (position, disk) in header.new.disks.iter().enumerate() {
            if header.replaced.contains(&position) {
                new.push(None);
                continue;
            }
            let path = directory.place(&disk.file)?;
            let file = open(&path)?;
            // Grown now, cut at the end: a copy's source may lie behind the new length.
            let len = file.metadata().map_err(|e| HostError::new("inspect", &path, e))?.len();
            let wanted = header.disk_lens.get(position).copied().unwrap_or(len);
            if len < wanted {
                file.set_len(wanted).map_err(|e| HostError::new("grow", &path, e))?;
            }
            new.push(Some(WriteBehind::new(&path, file)));
        }
        let mut old = Vec::new();
        for disk in &header.old.disks {
            let path = directory.place(&disk.file)?;
            // A disk that the new release drops was removed if a crash came after that.
            let file = open(&path)?;
            old.push((path, file));
        }
        Ok(Self { new, old })
    }

    fn target(&self, place: Place) -> Result<&WriteBehind, HostError> {
        self.new.get(place.disk).and_then(Option::as_ref).ok_or_else(|| {
            let path = PathBuf::from(format!("disk {}", place.disk));
            HostError::new("find", &path, std::io::Error::other("the journal names no such disk"))
        })
    }

    /// Reads what stays on an old disk; that disk's file.
    fn read_old(&self, source: Place, plain: &mut [u8]) -> Result<&Path, HostError> {
        let (path, file) = self.old.get(source.disk).ok_or_else(|| {
            let path = PathBuf::from(format!("disk {}", source.disk));
            HostError::new("find", &path, std::io::Error::other("the journal names no such disk"))
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
        // A file system without holes: zeros say the same.
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

/// Cuts disks that became shorter, and renames staged files to their places.
fn replace(directory: &Directory, header: &Header) -> Result<(), HostError> {
    let folder = journal::folder(directory);
    for (position, disk) in header.new.disks.iter().enumerate() {
        let path = directory.place(&disk.file)?;
        let staged = staged_file(&folder, &header.new, position);
        if header.replaced.contains(&position) {
            // Absent when a crash came after its rename.
            let is_staged = staged.try_exists();
            if is_staged.map_err(|e| HostError::new("find", &staged, e))? {
                move_file(&staged, &path).map_err(|e| HostError::new("replace", &path, e))?;
            }
        } else if let Some(&len) = header.disk_lens.get(position) {
            let file = open(&path)?;
            let cut = || -> std::io::Result<()> {
                file.set_len(len)?;
                file.sync_all()
            };
            cut().map_err(|source| HostError::new("cut", &path, source))?;
        }
    }
    Ok(())
}

/// Renames a file, into a folder on another file system by way of a copy beside its new place.
fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
        done => return done,
    }
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let (source, copy) = (File::open(from)?, File::create(&part)?);
    let len = source.metadata()?.len();
    let mut bytes = vec![0; COPY_LEN];
    let mut at = 0;
    while at < len {
        let step = usize::try_from(len - at).unwrap_or(usize::MAX).min(COPY_LEN);
        source.read_exact_at(&mut bytes[..step], at)?;
        // What is not written is a hole.
        if bytes[..step].iter().any(|byte| *byte != 0) {
            copy.write_all_at(&bytes[..step], at)?;
        }
        at += step as u64;
    }
    copy.set_len(len)?;
    copy.sync_all()?;
    fs::rename(&part, to)?;
    fs::remove_file(from)
}

/// Removes the files of disks that the new release does not have.
fn remove_dropped(directory: &Directory, header: &Header) -> Result<(), HostError> {
    for disk in &header.old.disks {
        if header.new.disks.iter().all(|new| new.file != disk.file) {
            let path = directory.root().join(&disk.file);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(HostError::new("remove", &path, error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}
