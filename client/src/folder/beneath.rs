//! Opens names below a folder's handle without following symbolic links.
//!
//! Linux 5.6 and later resolve a whole path in one call (`openat2`). If a kernel or a sandbox lacks
//! the call, each name of the path is opened separately, without following links.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, openat, openat2, statat};
use rustix::io::Errno;

use super::FolderPath;

/// The flags of a handle for steps below a folder, without reading its entries.
const STEP: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a path below `folder`. Fails on any symbolic link; mount points may be crossed.
pub(super) fn open(
    folder: BorrowedFd<'_>,
    path: &FolderPath,
    flags: OFlags,
    mode: Mode,
) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match openat2(folder, path.as_path(), flags, mode, resolve) {
        // EPERM is a sandbox's answer to an unknown call, EAGAIN a race with a rename. Only the
        // steps tell a link from a file in the place of a folder.
        Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN | Errno::INVAL | Errno::NOTDIR) => {
            open_by_steps(folder, path, flags, mode)
        }
        opened => Ok(opened?),
    }
}

/// Opens a path below `folder` like `open`, but without `openat2`.
pub(super) fn open_by_steps(
    folder: BorrowedFd<'_>,
    path: &FolderPath,
    flags: OFlags,
    mode: Mode,
) -> io::Result<OwnedFd> {
    let (parent, name) = parent_by_steps(folder, path)?;
    let parent = parent.as_ref().map_or(folder, AsFd::as_fd);
    openat(parent, name, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, mode)
        .map_err(|errno| no_link(parent, name, errno))
}

/// Opens the parent folder of a path. `None` if the parent is `folder` itself.
pub(super) fn parent<'a>(
    folder: BorrowedFd<'_>,
    path: &'a FolderPath,
) -> io::Result<(Option<OwnedFd>, &'a std::ffi::OsStr)> {
    match path.parent() {
        None => Ok((None, path.name())),
        Some(parent) => {
            let opened = open(folder, &parent, STEP, Mode::empty())?;
            Ok((Some(opened), path.name()))
        }
    }
}

fn parent_by_steps<'a>(
    folder: BorrowedFd<'_>,
    path: &'a FolderPath,
) -> io::Result<(Option<OwnedFd>, &'a std::ffi::OsStr)> {
    let names: Vec<_> = path.names().collect();
    let Some((last, above)) = names.split_last() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut at = None;
    for name in above {
        let here = at.as_ref().map_or(folder, AsFd::as_fd);
        let step = openat(here, *name, STEP | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|errno| no_link(here, name, errno))?;
        at = Some(step);
    }
    Ok((at, last))
}

/// Distinguishes a link from a file in the place of a folder: the kernel reports `ENOTDIR` for
/// both.
fn no_link(folder: BorrowedFd<'_>, name: &std::ffi::OsStr, errno: Errno) -> io::Error {
    if errno == Errno::NOTDIR
        && let Ok(found) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        && FileType::from_raw_mode(found.st_mode) == FileType::Symlink
    {
        return Errno::LOOP.into();
    }
    errno.into()
}

/// Opens a folder at the user's path. Symbolic links in this path are followed.
pub(super) fn open_root(path: &std::path::Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(CWD, path, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Open = fn(BorrowedFd<'_>, &FolderPath, OFlags, Mode) -> io::Result<OwnedFd>;

    /// Checks that a kernel without `openat2` is not weaker.
    #[test]
    fn both_ways_open_what_is_below_and_follow_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::create_dir(dir.path().join("outside")).unwrap();
        for file in ["root/a/b/file", "outside/file"] {
            std::fs::write(dir.path().join(file), "x").unwrap();
        }
        std::os::unix::fs::symlink("../outside", root.join("out")).unwrap();
        std::os::unix::fs::symlink("a", root.join("in")).unwrap();
        std::os::unix::fs::symlink("b/file", root.join("a/link")).unwrap();
        let folder = open_root(&root).unwrap();
        for open in [open as Open, open_by_steps as Open] {
            let open = |path: &str, flags| {
                open(folder.as_fd(), &FolderPath::composed(path), flags, Mode::empty())
            };
            assert!(open("a/b/file", OFlags::RDONLY).is_ok());
            assert!(open("a/b", OFlags::RDONLY | OFlags::DIRECTORY).is_ok());
            for link in ["out/file", "in/b/file", "a/link", "out", "in"] {
                for flags in [OFlags::RDONLY, OFlags::WRONLY | OFlags::CREATE, STEP] {
                    let error = open(link, flags).unwrap_err();
                    assert_eq!(error.raw_os_error(), Some(Errno::LOOP.raw_os_error()), "{link}");
                }
            }
            let error = open("a/b/file/c", OFlags::RDONLY).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::NOTDIR.raw_os_error()));
            assert_eq!(open("no", OFlags::RDONLY).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }
}
