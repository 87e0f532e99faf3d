//! The locks with which QEMU processes coordinate access to an image.
//!
//! A process with an open image (a machine, `qemu-nbd`, `qemu-img`) holds shared locks of the open
//! file description on single bytes of the file: byte 100 + n if it uses permission n, byte 200 + n
//! if it denies permission n to others (QEMU's block/file-posix.c, `RAW_LOCK_PERM_BASE` and
//! `RAW_LOCK_SHARED_BASE`). The locks are advisory and unrelated to the disk's bytes at these
//! offsets.
//!
//! The locks do not prove that there is no writer. `dd` takes no locks. Neither does QEMU with
//! `locking=off`, on another host of a file system that does not forward locks, or through a copy
//! with its own inode in another mount namespace. [`super::FileIdentity`] detects such writes.
//!
//! # Invariants
//!
//! 1. Own locks are taken before foreign locks are looked for, as in QEMU. Of two concurrent
//!    processes, at least one sees the other.
//! 2. A process that only reads an image conflicts with [`ImageLocks`], too: a machine whose
//!    overlay is based on the image would see its backing disk change.

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::HostError;

/// The first byte of used permissions: byte 100 + n stands for permission n.
const PERMISSIONS_AT: libc::off_t = 100;
/// The first byte of denied permissions: byte 200 + n stands for permission n.
const UNSHARED_AT: libc::off_t = 200;
/// The length of the range with both kinds of locks, 100 permissions each. Overlaps a lock of the
/// whole file, too, as other programs take.
const LOCKS_LEN: libc::off_t = 200;
/// Permissions for consistent reads, for writes and for changing the length.
const PERMISSIONS: [libc::off_t; 3] = [0, 1, 3];

/// The permission for consistent reads.
const CONSISTENT_READ: libc::off_t = 0;
/// The permissions for writes and for changing the length.
const WRITES: [libc::off_t; 2] = [1, 3];

/// An error of locking an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageLockError {
    /// Another process holds a conflicting lock.
    #[error("{} is in use: another process holds a lock on it, at byte {offset}", path.display())]
    InUse {
        /// The image.
        path: PathBuf,
        /// The first locked byte. QEMU's locks begin at 100.
        offset: i64,
    },
    /// The image cannot be opened.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Images that no QEMU process has open or can open while this value exists.
#[derive(Debug)]
pub(crate) struct ImageLocks {
    /// The open files, which hold the locks.
    files: Vec<File>,
}

impl ImageLocks {
    /// Returns an empty set.
    pub(crate) fn none() -> Self {
        Self { files: Vec::new() }
    }

    /// Locks one more image. The image must not be in the set: the set's own lock would conflict.
    ///
    /// # Errors
    /// Fails if the image is in use. The images in the set stay locked.
    pub(crate) fn add(&mut self, path: &Path, file: File) -> Result<(), ImageLockError> {
        lock(path, &file)?;
        self.files.push(file);
        Ok(())
    }
}

/// Images that no QEMU process writes or can open for writing while this value exists.
///
/// Other processes may read the images: machines share a backing file.
#[derive(Debug)]
pub struct ReadLocks {
    /// The open files, which hold the locks.
    _files: Vec<File>,
}

impl ReadLocks {
    /// Locks images for reading, as `qemu-img convert` does.
    ///
    /// # Errors
    /// Fails if another process writes to an image or denies readers.
    pub fn take(paths: &[PathBuf]) -> Result<Self, ImageLockError> {
        let mut files = Vec::new();
        for path in paths {
            // The caller has the image open. A deleted path cannot be opened by anyone else.
            let Ok(file) = File::open(path) else { continue };
            let own = [PERMISSIONS_AT + CONSISTENT_READ]
                .into_iter()
                .chain(WRITES.map(|n| UNSHARED_AT + n));
            for offset in own {
                match fcntl(&file, FcntlArg::F_OFD_SETLK(&range(libc::F_RDLCK, offset, 1))) {
                    Err(Errno::EAGAIN | Errno::EACCES) => {
                        return Err(ImageLockError::InUse { path: path.clone(), offset });
                    }
                    // QEMU takes no locks on such a file system or kernel either.
                    Err(_) => break,
                    Ok(_) => {}
                }
            }
            let in_the_way = WRITES
                .map(|n| PERMISSIONS_AT + n)
                .into_iter()
                .chain([UNSHARED_AT + CONSISTENT_READ]);
            for offset in in_the_way {
                if holder_of(&file, offset, 1).is_some() {
                    return Err(ImageLockError::InUse { path: path.clone(), offset });
                }
            }
            files.push(file);
        }
        Ok(Self { _files: files })
    }
}

/// Returns whether another process has the image open. Takes no lock, so others can open the image.
pub(crate) fn is_in_use(file: &File) -> bool {
    holder(file).is_some()
}

fn lock(path: &Path, file: &File) -> Result<(), ImageLockError> {
    let own = PERMISSIONS.iter().flat_map(|n| [PERMISSIONS_AT + n, UNSHARED_AT + n]);
    let in_use = |offset| ImageLockError::InUse { path: path.to_owned(), offset };
    for offset in own {
        match fcntl(file, FcntlArg::F_OFD_SETLK(&range(libc::F_RDLCK, offset, 1))) {
            Err(Errno::EAGAIN | Errno::EACCES) => return Err(in_use(offset)),
            // QEMU takes no locks on such a file system or kernel either.
            Err(_) => return Ok(()),
            Ok(_) => {}
        }
    }
    holder(file).map_or(Ok(()), |offset| Err(in_use(offset)))
}

/// Returns the first byte locked through another open file.
fn holder(file: &File) -> Option<i64> {
    holder_of(file, PERMISSIONS_AT, LOCKS_LEN)
}

/// Returns the first byte of a range that is locked through another open file.
fn holder_of(file: &File, start: libc::off_t, len: libc::off_t) -> Option<i64> {
    // Asks about an exclusive lock, which conflicts with every other lock.
    let mut found = range(libc::F_WRLCK, start, len);
    let is_asked = fcntl(file, FcntlArg::F_OFD_GETLK(&mut found)).is_ok();
    (is_asked && i32::from(found.l_type) != libc::F_UNLCK).then_some(found.l_start)
}

fn range(kind: i32, start: libc::off_t, len: libc::off_t) -> libc::flock {
    let narrow = |value: i32| libc::c_short::try_from(value).unwrap_or_default();
    libc::flock {
        l_type: narrow(kind),
        l_whence: narrow(libc::SEEK_SET),
        l_start: start,
        l_len: len,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(paths: &[&Path]) -> Result<ImageLocks, ImageLockError> {
        let mut locks = ImageLocks::none();
        paths.iter().try_for_each(|path| locks.add(path, File::open(path).unwrap()))?;
        Ok(locks)
    }

    fn is_in_use(path: &Path) -> bool {
        let is_seen = super::is_in_use(&File::open(path).unwrap());
        let is_refused = is_refused(path);
        assert_eq!(is_seen, is_refused, "who only looks sees what is in the way");
        is_refused
    }

    fn is_refused(path: &Path) -> bool {
        match take(&[path]) {
            Ok(_) => false,
            Err(ImageLockError::InUse { .. }) => true,
            Err(error) => panic!("{error}"),
        }
    }

    /// Sees each byte that QEMU locks, and no byte beside them.
    #[test]
    fn every_lock_of_qemu_is_seen_and_ends_with_its_holder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (offset, is_seen) in
            [(0, false), (99, false), (100, true), (101, true), (203, true), (300, false)]
        {
            let holder = File::open(file.path()).unwrap();
            fcntl(&holder, FcntlArg::F_OFD_SETLK(&range(libc::F_RDLCK, offset, 1))).unwrap();
            assert_eq!(is_in_use(file.path()), is_seen, "byte {offset}");
            drop(holder);
            assert!(!is_in_use(file.path()), "byte {offset} is free again");
        }
    }

    #[test]
    fn two_never_have_an_image_and_a_failure_leaves_no_lock() {
        let [one, two] = [(); 2].map(|()| tempfile::NamedTempFile::new().unwrap());
        let held = take(&[two.path()]).unwrap();
        assert!(take(&[one.path(), two.path()]).is_err());
        assert!(!is_in_use(one.path()), "the lock of the first went with the refusal");
        drop(held);
        assert!(!is_in_use(two.path()));
    }

    /// A reader conflicts with writers only.
    #[test]
    fn a_reader_shares_an_image_with_readers_and_with_no_writer() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let paths = [file.path().to_owned()];
        for (offset, is_refused) in [
            (100, false),
            (101, true),
            (102, false),
            (103, true),
            (200, true),
            (201, false),
            (203, false),
        ] {
            let holder = File::open(file.path()).unwrap();
            fcntl(&holder, FcntlArg::F_OFD_SETLK(&range(libc::F_RDLCK, offset, 1))).unwrap();
            assert_eq!(ReadLocks::take(&paths).is_err(), is_refused, "byte {offset}");
        }
        let first = ReadLocks::take(&paths).unwrap();
        let second = ReadLocks::take(&paths).unwrap();
        assert!(is_in_use(file.path()), "who would write is refused");
        drop((first, second));
        assert!(!is_in_use(file.path()));
        assert!(ReadLocks::take(&[PathBuf::from("/nowhere/at/all.raw")]).is_ok());
    }
}
