//! Naming a file without replacing an existing one.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, RenameFlags};
use rustix::io::Errno;

fn address(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Returns whether `file`, which has no name, can be given one: its path in /proc exists.
pub(super) fn has_address(file: &File) -> bool {
    address(file).symlink_metadata().is_ok()
}

/// Links a file without a name to `path`. Fails if the name is taken.
pub(super) fn link_unnamed(file: &File, path: &Path) -> io::Result<()> {
    let linked = rustix::fs::linkat(CWD, address(file), CWD, path, AtFlags::SYMLINK_FOLLOW);
    linked.map_err(io::Error::from)
}

/// Renames a file, or fails if the name is taken. Uses the first that the file system supports of
/// `RENAME_NOREPLACE`, a hard link, and a placeholder.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(errno) if is_lacking(errno) => {}
        renamed => return renamed.map_err(io::Error::from),
    }
    match rustix::fs::link(from, to) {
        Ok(()) => return fs::remove_file(from),
        Err(errno) if is_lacking(errno) => {}
        Err(errno) => return Err(errno.into()),
    }
    rename_over_placeholder(from, to)
}

/// Reserves the name with an empty file, then renames `from` over it.
pub(super) fn rename_over_placeholder(from: &Path, to: &Path) -> io::Result<()> {
    File::options().write(true).create_new(true).open(to)?;
    fs::rename(from, to).inspect_err(|_| {
        let _ = fs::remove_file(to);
    })
}

/// Returns whether an error means that the file system lacks the operation. `EPERM` is the answer
/// of link(2) where there are no hard links; for a folder without write permission it is `EACCES`.
pub(super) fn is_lacking(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM | Errno::MLINK | Errno::NOTTY
    )
}
