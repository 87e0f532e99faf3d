//! A folder accessed by its handle, because others may write to it.
//!
//! A pulled folder may belong to another user than the one who patches it, or lie where others may
//! write. Anybody with write access can replace a name by a symbolic link. If root followed such a
//! link, it would read, empty or overwrite any file of the host.
//!
//! # Invariants
//!
//! 1. A folder's own path may contain links, because the user gave it. Below the folder no link is
//!    followed, neither on the way to a name nor as the name, for reading or writing.
//! 2. Only regular files are read and written. A file with another name (a hard link) is never
//!    written, because the other name may be anybody's.
//! 3. Files are created exclusively: an existing name is removed first, never opened.
//! 4. Created files and folders have the modes of [`mode`], restricted further by the umask.
//!
//! This module does not decide if the contents of files can be trusted. Callers parse all contents
//! into validated types, or hash them.

mod beneath;
mod path;
mod untouchable;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, fsync, mkdirat, renameat, renameat_with,
    statat, unlinkat,
};
use rustix::io::Errno;
use seawall_store::unfinished;

pub use path::{FolderPath, InvalidFolderPath};
pub use untouchable::Untouchable;

use crate::host::HostError;

/// The modes of files and folders that Seawall creates. The umask can only remove bits.
pub(crate) mod mode {
    use rustix::fs::Mode;

    /// The mode of disks, which contain secrets, and of Seawall's own files.
    pub(crate) const FILE: Mode = Mode::RUSR.union(Mode::WUSR);
    /// The mode of lockfiles, release documents and descriptors, which every reader may know.
    pub(crate) const DOCUMENT: Mode = FILE.union(Mode::RGRP).union(Mode::ROTH);
    /// The mode of folders of disks and documents.
    ///
    /// A hypervisor may run machines as a user of its own, as libvirt does. This user needs to
    /// traverse the folders above the disks.
    pub(crate) const FOLDER: Mode = PROGRAM;
    /// The mode of scripts.
    pub(crate) const PROGRAM: Mode = DOCUMENT.union(Mode::XUSR).union(Mode::XGRP).union(Mode::XOTH);
    /// The mode of folders for Seawall alone.
    pub(crate) const OWN_FOLDER: Mode = Mode::RWXU;
}

/// A folder's handle, cheap to clone.
#[derive(Clone, Debug)]
pub struct Folder {
    handle: Arc<OwnedFd>,
    path: PathBuf,
}

impl Folder {
    /// Opens the folder at the user's path.
    ///
    /// # Errors
    /// Fails if the path is not a folder, or cannot be opened.
    pub fn open(path: &Path) -> Result<Self, HostError> {
        let typed = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let handle =
            beneath::open_root(typed).map_err(|source| HostError::new("open", path, source))?;
        Ok(Self { handle: Arc::new(handle), path: path.to_owned() })
    }

    /// Replaces the path used in messages.
    #[must_use]
    pub(crate) fn named(self, path: PathBuf) -> Self {
        Self { path, ..self }
    }

    /// Returns the folder's path, for messages and other programs.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a name below, for messages and other programs.
    #[must_use]
    pub fn path_of(&self, file: &FolderPath) -> PathBuf {
        self.path.join(file)
    }

    pub(crate) fn handle(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    fn failed(&self, verb: &'static str, file: &FolderPath) -> impl Fn(io::Error) -> HostError {
        let path = self.path_of(file);
        move |source| {
            let is_link = source.raw_os_error() == Some(Errno::LOOP.raw_os_error());
            HostError::new(verb, &path, if is_link { Untouchable::Link.error() } else { source })
        }
    }

    /// Opens a folder below.
    ///
    /// # Errors
    /// Fails if the name is a symbolic link, is not a folder, or cannot be opened.
    pub(crate) fn folder(&self, folder: &FolderPath) -> Result<Self, HostError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let handle = beneath::open(self.handle(), folder, flags, Mode::empty())
            .map_err(self.failed("open", folder))?;
        Ok(Self { handle: Arc::new(handle), path: self.path_of(folder) })
    }

    /// Creates a folder below and its missing parents.
    ///
    /// # Errors
    /// Fails if a name on the way exists and is not a folder.
    pub(crate) fn make_folder(&self, folder: &FolderPath, mode: Mode) -> Result<(), HostError> {
        let failed = self.failed("create", folder);
        let mut above = PathBuf::new();
        for name in folder.names() {
            above.push(name);
            let here = FolderPath::composed(above.clone());
            let (parent, name) = beneath::parent(self.handle(), &here).map_err(&failed)?;
            let parent = parent.as_ref().map_or(self.handle(), AsFd::as_fd);
            match mkdirat(parent, name, mode) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(failed(errno.into())),
            }
        }
        // An existing name may be a link or a file.
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        beneath::open(self.handle(), folder, flags, Mode::empty()).map_err(failed)?;
        Ok(())
    }

    /// Creates the parent folder of a file below.
    ///
    /// # Errors
    /// As [`Self::make_folder`].
    pub(crate) fn make_folder_of(&self, file: &FolderPath, mode: Mode) -> Result<(), HostError> {
        file.parent().map_or(Ok(()), |folder| self.make_folder(&folder, mode))
    }

    fn open_file(&self, file: &FolderPath, flags: OFlags) -> io::Result<File> {
        // Opening must neither block on a pipe nor make a terminal the controlling one.
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = File::from(beneath::open(self.handle(), file, flags, Mode::empty())?);
        if !opened.metadata()?.is_file() {
            return Err(Untouchable::NotAFile.error());
        }
        Ok(opened)
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// Fails if the name is not a regular file, or cannot be opened. Does not follow links.
    pub(crate) fn file(&self, file: &FolderPath) -> Result<File, HostError> {
        self.open_file(file, OFlags::RDONLY).map_err(self.failed("open", file))
    }

    /// Opens a regular file without other names for reading and writing.
    ///
    /// # Errors
    /// Fails if the name is not a regular file, has other names, or cannot be opened.
    pub(crate) fn file_to_write(&self, file: &FolderPath) -> Result<File, HostError> {
        let open = || -> io::Result<File> {
            let opened = self.open_file(file, OFlags::RDWR)?;
            match opened.metadata()?.nlink() {
                0 | 1 => Ok(opened),
                links => Err(Untouchable::HardLinks { links }.error()),
            }
        };
        open().map_err(self.failed("open", file))
    }

    /// Creates a file for reading and writing. Removes an existing file or link of the name first.
    ///
    /// # Errors
    /// Fails if the parent folder is missing, or if the name is a folder's.
    pub(crate) fn create(&self, file: &FolderPath, mode: Mode) -> Result<File, HostError> {
        let create = || -> io::Result<File> {
            self.unlink(file)?;
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
            Ok(File::from(beneath::open(self.handle(), file, flags, mode)?))
        };
        create().map_err(self.failed("create", file))
    }

    /// Replaces a file's contents atomically: after a crash, the file is either old or new. The end
    /// of the process by a signal waits for the replacement, so that no temporary file is left.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub(crate) fn replace(
        &self,
        file: &FolderPath,
        bytes: &[u8],
        mode: Mode,
    ) -> Result<(), HostError> {
        let part = part_of(file);
        let write = || -> Result<(), HostError> {
            let mut opened = self.create(&part, mode)?;
            let failed = self.failed("write", file);
            opened.write_all(bytes).map_err(&failed)?;
            // Data before name: a name that survives power loss without its data is an empty file.
            opened.sync_all().map_err(failed)?;
            self.rename(&part, file)?;
            self.sync_folder_of(file)
        };
        let written =
            unfinished::uninterrupted(|| write().inspect_err(|_| drop(self.unlink(&part))));
        written.map_err(self.failed("write", file))?
    }

    /// Reads a file of at most `len_max` bytes.
    ///
    /// # Errors
    /// Fails if the file is longer, is not a regular file, or cannot be read.
    pub(crate) fn read(&self, file: &FolderPath, len_max: u64) -> Result<Vec<u8>, HostError> {
        let opened = self.open_file(file, OFlags::RDONLY).map_err(self.failed("read", file))?;
        read_at_most(opened, len_max).map_err(self.failed("read", file))
    }

    /// Returns the metadata of a name, `None` if nothing has the name. Does not follow links.
    ///
    /// # Errors
    /// Fails if a folder on the way is a symbolic link, or cannot be searched.
    pub(crate) fn look(&self, file: &FolderPath) -> Result<Option<Found>, HostError> {
        let look = || -> io::Result<Option<Found>> {
            let (parent, name) = match beneath::parent(self.handle(), file) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                opened => opened?,
            };
            let parent = parent.as_ref().map_or(self.handle(), AsFd::as_fd);
            match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) => Ok(Some(Found {
                    kind: FileType::from_raw_mode(found.st_mode),
                    len: u64::try_from(found.st_size).unwrap_or_default(),
                    owner: found.st_uid,
                    modified: (
                        found.st_mtime,
                        i64::try_from(found.st_mtime_nsec).unwrap_or_default(),
                    ),
                })),
                Err(Errno::NOENT) => Ok(None),
                Err(errno) => Err(errno.into()),
            }
        };
        look().map_err(self.failed("inspect", file))
    }

    /// Returns true if the name exists, even as a dangling link.
    #[must_use]
    pub(crate) fn has(&self, file: &FolderPath) -> bool {
        self.look(file).is_ok_and(|found| found.is_some())
    }

    /// Renames a file below, replacing an existing file of the new name.
    ///
    /// # Errors
    /// Fails if a folder on the way is a symbolic link, or if the file system refuses.
    pub(crate) fn rename(&self, from: &FolderPath, to: &FolderPath) -> Result<(), HostError> {
        self.rename_raw(from, to).map_err(self.failed("rename", from))
    }

    /// Renames a file and returns the file system's own error, for callers that tell its kinds
    /// apart.
    ///
    /// # Errors
    /// As [`Self::rename`].
    pub(crate) fn rename_raw(&self, from: &FolderPath, to: &FolderPath) -> io::Result<()> {
        let (old_parent, old) = beneath::parent(self.handle(), from)?;
        let (new_parent, new) = beneath::parent(self.handle(), to)?;
        let old_parent = old_parent.as_ref().map_or(self.handle(), AsFd::as_fd);
        let new_parent = new_parent.as_ref().map_or(self.handle(), AsFd::as_fd);
        Ok(renameat(old_parent, old, new_parent, new)?)
    }

    /// Exchanges two names in this folder atomically.
    ///
    /// # Errors
    /// Fails if the file system does not support exchanges, or refuses.
    pub(crate) fn exchange(&self, one: &OsStr, other: &OsStr) -> io::Result<()> {
        let (here, flags) = (self.handle(), RenameFlags::EXCHANGE);
        Ok(renameat_with(here, one, here, other, flags)?)
    }

    fn unlink(&self, file: &FolderPath) -> io::Result<()> {
        let (parent, name) = match beneath::parent(self.handle(), file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let parent = parent.as_ref().map_or(self.handle(), AsFd::as_fd);
        match unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes a file or a symbolic link, if one exists.
    ///
    /// # Errors
    /// Fails if the file cannot be removed, or if a folder on the way is a symbolic link.
    pub(crate) fn remove(&self, file: &FolderPath) -> Result<(), HostError> {
        self.unlink(file).map_err(self.failed("remove", file))
    }

    /// Removes a folder with its contents, or a file or a link, if one exists.
    ///
    /// # Errors
    /// Fails if an entry cannot be removed.
    pub(crate) fn remove_tree(&self, file: &FolderPath) -> Result<(), HostError> {
        let remove = || -> io::Result<()> {
            let (parent, name) = match beneath::parent(self.handle(), file) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                opened => opened?,
            };
            remove_tree(parent.as_ref().map_or(self.handle(), AsFd::as_fd), name)
        };
        remove().map_err(self.failed("remove", file))
    }

    /// Returns at most `count_max` names in the folder.
    ///
    /// # Errors
    /// Fails if the folder cannot be read.
    pub(crate) fn names(&self, count_max: usize) -> Result<Vec<OsString>, HostError> {
        names(self.handle(), count_max).map_err(|e| HostError::new("read", &self.path, e))
    }

    /// Syncs the folder, so that its names survive power loss.
    ///
    /// # Errors
    /// Fails if the file system fails.
    pub(crate) fn sync(&self) -> Result<(), HostError> {
        fsync(self.handle()).map_err(|errno| HostError::new("sync", &self.path, errno.into()))
    }

    /// Syncs the parent folder of a file below.
    ///
    /// # Errors
    /// Fails if the folder is a symbolic link, or if the file system fails.
    pub(crate) fn sync_folder_of(&self, file: &FolderPath) -> Result<(), HostError> {
        file.parent().map_or_else(|| self.sync(), |folder| self.folder(&folder)?.sync())
    }
}

/// The metadata of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    pub(crate) kind: FileType,
    /// The length in bytes.
    pub(crate) len: u64,
    /// The owner's user ID.
    pub(crate) owner: u32,
    /// The modification time, in seconds and nanoseconds since the Unix epoch.
    pub(crate) modified: (i64, i64),
}

/// Returns the temporary name of a file. The name is hidden, so it never clashes with a name in a
/// release.
pub(crate) fn part_of(file: &FolderPath) -> FolderPath {
    let mut part = OsString::from(".");
    part.push(file.name());
    part.push(".part");
    file.with_name(part)
}

/// Reads an open file completely. Fails if the file is longer than `len_max` bytes.
pub(crate) fn read_at_most(file: File, len_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(len_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > len_max {
        let why = "it is longer than such a file can be";
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(bytes)
}

fn names(folder: BorrowedFd<'_>, count_max: usize) -> io::Result<Vec<OsString>> {
    use std::os::unix::ffi::OsStrExt;
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        if names.len() == count_max {
            break;
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

fn remove_tree(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // Linux returns EISDIR, POSIX allows EPERM.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let folder = beneath::open(parent, &FolderPath::composed(name), flags, Mode::empty())?;
    for name in names(folder.as_fd(), usize::MAX)? {
        remove_tree(folder.as_fd(), &name)?;
    }
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests;
