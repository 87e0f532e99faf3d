//! Ways to give a file a name that nothing else has.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, RenameFlags};
use rustix::io::Errno;

fn address(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Whether a file without a name can be given one.
pub(super) fn has_address(file: &File) -> bool {
    address(file).symlink_metadata().is_ok()
}

/// Gives a file without a name this one, which must be free.
pub(super) fn link_unnamed(file: &File, path: &Path) -> io::Result<()> {
    let linked = rustix::fs::linkat(CWD, address(file), CWD, path, AtFlags::SYMLINK_FOLLOW);
    linked.map_err(io::Error::from)
}

/// Renames a file to a name that must be free, by whichever way the file system knows.
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

/// Takes the name by an empty file, which is then replaced.
pub(super) fn rename_over_placeholder(from: &Path, to: &Path) -> io::Result<()> {
    File::options().write(true).create_new(true).open(to)?;
    fs::rename(from, to).inspect_err(|_| {
        let _ = fs::remove_file(to);
    })
}

/// Whether a file system says so that it has no such operation. `EPERM` is what link(2) answers
/// where there are no hard links; a folder that may not be written to is `EACCES`.
pub(super) fn is_lacking(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM | Errno::MLINK | Errno::NOTTY
    )
}
