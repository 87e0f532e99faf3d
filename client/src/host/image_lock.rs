//! The locks by which processes of QEMU tell each other what they do with an image.
//!
//! Who opens an image (a machine, `qemu-nbd`, `qemu-img`) holds shared locks of the open file
//! description on single bytes of it: byte 100 + n while it uses permission n, byte 200 + n while
//! it suffers nobody else to (QEMU's block/file-posix.c, `RAW_LOCK_PERM_BASE` and
//! `RAW_LOCK_SHARED_BASE`). They lock nothing but each other: the bytes of the disk are not meant.
//!
//! Not a proof that nobody writes: `dd` takes no locks, nor does QEMU with `locking=off`, on
//! another host of a file system that does not pass locks on, or through a copy in another mount
//! namespace with its own inode. What such a writer does is for [`super::FileIdentity`] to notice.
//!
//! # Invariants
//!
//! 1. Locks are taken before others' are looked for, as QEMU does: of two who come at once at
//!    least one sees the other.
//! 2. Whoever only reads an image in use is in the way, too: a machine whose overlay lies above it
//!    would see another disk below.

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::HostError;

/// Permission n is in use: byte 100 + n is locked.
const PERMISSIONS_AT: libc::off_t = 100;
/// Permission n is not shared: byte 200 + n is locked.
const UNSHARED_AT: libc::off_t = 200;
/// Any lock up to here, 100 permissions each, is somebody at work. A lock of the whole file is met
/// by this, too: other programs take one.
const LOCKS_LEN: libc::off_t = 200;
/// To read what a guest sees consistently, to write it, and to change its length.
const PERMISSIONS: [libc::off_t; 3] = [0, 1, 3];

/// To read what a guest sees consistently.
const CONSISTENT_READ: libc::off_t = 0;
/// To write, and to change the length.
const WRITES: [libc::off_t; 2] = [1, 3];

/// Why an image cannot be had alone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageLockError {
    /// Somebody has it open.
    #[error("{} is in use: another process holds a lock on it, at byte {offset}", path.display())]
    InUse {
        /// The image.
        path: PathBuf,
        /// The first byte that is locked; QEMU's begin at 100.
        offset: i64,
    },
    /// It cannot be opened.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Images that no process of QEMU has open, nor can open until this is dropped.
#[derive(Debug)]
pub(crate) struct ImageLocks {
    /// A lock ends with its open file.
    files: Vec<File>,
}

impl ImageLocks {
    /// No image yet.
    pub(crate) fn none() -> Self {
        Self { files: Vec::new() }
    }

    /// Locks one more for one's own use, which must be none of these: one's own lock is in the way
    /// as anybody's is.
    ///
    /// # Errors
    /// When it is in use; the others stay locked.
    pub(crate) fn add(&mut self, path: &Path, file: File) -> Result<(), ImageLockError> {
        lock(path, &file)?;
        self.files.push(file);
        Ok(())
    }
}

/// Images that no process of QEMU may write to, nor open for writing until this is dropped.
///
/// Others may read them: a backing file is shared by the machines that are based on it.
#[derive(Debug)]
pub struct ReadLocks {
    /// A lock ends with its open file.
    _files: Vec<File>,
}

impl ReadLocks {
    /// Locks images for reading, as `qemu-img convert` does.
    ///
    /// # Errors
    /// When another process writes to one, or cannot bear readers.
    pub fn take(paths: &[PathBuf]) -> Result<Self, ImageLockError> {
        let mut files = Vec::new();
        for path in paths {
            // The image is open by now; a name that went away has nobody who could open it.
            let Ok(file) = File::open(path) else { continue };
            let own = [PERMISSIONS_AT + CONSISTENT_READ]
                .into_iter()
                .chain(WRITES.map(|n| UNSHARED_AT + n));
            for offset in own {
                match fcntl(&file, FcntlArg::F_OFD_SETLK(&range(libc::F_RDLCK, offset, 1))) {
                    Err(Errno::EAGAIN | Errno::EACCES) => {
                        return Err(ImageLockError::InUse { path: path.clone(), offset });
                    }
                    // A file system or kernel without such locks: QEMU takes none there either.
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

/// Whether somebody has an image open; takes no lock, and so keeps nobody from opening it.
pub(crate) fn is_in_use(file: &File) -> bool {
    holder(file).is_some()
}

fn lock(path: &Path, file: &File) -> Result<(), ImageLockError> {
    let own = PERMISSIONS.iter().flat_map(|n| [PERMISSIONS_AT + n, UNSHARED_AT + n]);
    let in_use = |offset| ImageLockError::InUse { path: path.to_owned(), offset };
    for offset in own {
        match fcntl(file, FcntlArg::F_OFD_SETLK(&range(libc::F_RDLCK, offset, 1))) {
            Err(Errno::EAGAIN | Errno::EACCES) => return Err(in_use(offset)),
            // A file system or kernel without such locks: QEMU takes none there either.
            Err(_) => return Ok(()),
            Ok(_) => {}
        }
    }
    holder(file).map_or(Ok(()), |offset| Err(in_use(offset)))
}

/// The first byte that another open file has locked.
fn holder(file: &File) -> Option<i64> {
    holder_of(file, PERMISSIONS_AT, LOCKS_LEN)
}

/// The first byte of a range that another open file has locked.
fn holder_of(file: &File, start: libc::off_t, len: libc::off_t) -> Option<i64> {
    // As if it were to be locked against everybody: the answer is who would not let us.
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

    /// As QEMU holds them: each of its bytes is seen, and no byte beside them.
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

    /// A reader minds writers only, and is in the way of writers only.
    #[test]
    fn who_reads_shares_an_image_with_readers_and_with_no_writer() {
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
