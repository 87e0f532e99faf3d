//! The files of a cache.
//!
//! An entry is the file `entries/HH/NAME`: its bytes, a mark of the form, and a checksum over its
//! name and bytes.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use rustix::fs::{FlockOperation, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, flock, futimens};
use rustix::io::Errno;
use xxhash_rust::xxh3::Xxh3;

use super::entries::Key;

/// The folder of the entries. No folder of a store has this name, so that a cache in the wrong
/// place takes no object for an entry.
const ENTRIES: &str = "entries";
/// The file whose lock says that a process uses the folder.
const LOCK: &str = "lock";
/// The end of the name of a staged file.
const STAGED: &str = ".part";
/// The mark of the form of an entry.
const MARK: [u8; 8] = *b"swcache1";
/// The length of the mark and the checksum, in bytes.
const TRAILER_LEN: usize = MARK.len() + 16;
/// The unit in which file systems give space, in bytes.
const UNIT: u64 = 4096;
/// The maximum length of an entry, in bytes.
const ENTRY_LEN_MAX: u64 = 32 << 20;

/// Returns the space that an entry takes, in bytes.
pub(super) fn space_of(len: usize) -> u64 {
    ((len + TRAILER_LEN) as u64).next_multiple_of(UNIT)
}

/// Makes the folder of a cache, readable by its owner only.
pub(super) fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir.join(ENTRIES))
}

fn checksum(key: Key, bytes: &[u8]) -> [u8; 16] {
    let mut hasher = Xxh3::new();
    hasher.update(&key.bytes());
    hasher.update(bytes);
    hasher.digest128().to_le_bytes()
}

/// An entry found in the folder.
pub(super) struct FoundEntry {
    pub(super) key: Key,
    pub(super) space: u64,
    /// The time of the last use.
    pub(super) used: SystemTime,
}

/// A folder that this process has locked.
#[derive(Debug)]
pub(super) struct Folder {
    entries: PathBuf,
    staged_count: AtomicU64,
    /// The lock ends with the process.
    _lock: File,
}

impl Folder {
    /// Locks a folder; `None` if another process has it.
    pub(super) fn lock(dir: &Path) -> io::Result<Option<Self>> {
        let lock = File::options().create(true).truncate(false).write(true).open(dir.join(LOCK))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self {
                entries: dir.join(ENTRIES),
                staged_count: AtomicU64::new(0),
                _lock: lock,
            })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn path(&self, key: Key) -> PathBuf {
        self.entries.join(key.shard()).join(key.to_string())
    }

    /// Reads an entry and notes its use; `None` if there is none. Fails if the entry is damaged.
    pub(super) fn read(&self, key: Key) -> io::Result<Option<Bytes>> {
        let file = match File::open(self.path(key)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let damaged = |why| io::Error::new(io::ErrorKind::InvalidData, why);
        let len = file.metadata()?.len();
        if len > ENTRY_LEN_MAX {
            return Err(damaged("it is too long"));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        io::Read::read_exact(&mut &file, &mut bytes)?;
        let end = bytes.len().checked_sub(TRAILER_LEN).ok_or_else(|| damaged("it is cut"))?;
        let (content, trailer) = bytes.split_at(end);
        if trailer[..MARK.len()] != MARK || trailer[MARK.len()..] != checksum(key, content) {
            return Err(damaged("its checksum does not match"));
        }
        // For the order of use in the next process.
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let omitted = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let _ = futimens(&file, &Timestamps { last_access: omitted, last_modification: now });
        bytes.truncate(end);
        Ok(Some(bytes.into()))
    }

    /// Writes an entry. It is not synced: an entry that is lost is fetched again.
    pub(super) fn write(&self, key: Key, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(key);
        let count = self.staged_count.fetch_add(1, Ordering::Relaxed);
        let staged = path.with_file_name(format!("{key}.{count}{STAGED}"));
        let write = || {
            let mut file = create(&staged)?;
            file.write_all(bytes)?;
            file.write_all(&[&MARK[..], &checksum(key, bytes)].concat())?;
            fs::rename(&staged, &path)
        };
        write().inspect_err(|_| {
            let _ = fs::remove_file(&staged);
        })
    }

    /// Removes an entry, if it is there.
    pub(super) fn remove(&self, key: Key) {
        // An entry that cannot be removed stays readable and takes space.
        let _ = fs::remove_file(self.path(key));
    }

    /// Returns all entries. Removes staged files.
    pub(super) fn scan(&self) -> io::Result<Vec<FoundEntry>> {
        let mut found = Vec::new();
        for folder in fs::read_dir(&self.entries)? {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            for entry in fs::read_dir(folder.path())? {
                let entry = entry?;
                let name = entry.file_name();
                let Some(name) = name.to_str() else { continue };
                if name.ends_with(STAGED) {
                    // Of a dead process: this one writes nothing before it has counted.
                    let _ = fs::remove_file(entry.path());
                } else if let Some(key) = Key::parse(name) {
                    let Ok(metadata) = entry.metadata() else { continue };
                    let space = metadata.len().next_multiple_of(UNIT);
                    found.push(FoundEntry { key, space, used: metadata.modified()? });
                }
            }
        }
        Ok(found)
    }
}

/// Creates a file, and its folder if need be.
fn create(path: &Path) -> io::Result<File> {
    let open = || File::options().write(true).create_new(true).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(path.parent().unwrap_or(path))?;
            open()
        }
        opened => opened,
    }
}
