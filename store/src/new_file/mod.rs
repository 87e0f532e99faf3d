//! New files, which appear under their name only when complete.
//!
//! Where the file system supports `O_TMPFILE`, the file has no name until the commit, so a process
//! that dies leaves nothing behind. Elsewhere the file is `.NAME.PID.part` in the same folder,
//! locked by its process. An error or a signal removes it; after `kill -9`, the next [`NewFile`] of
//! the same name does.
//!
//! # File systems without hard links and without `RENAME_NOREPLACE`
//!
//! exFAT and FAT have neither. There an empty file is created under the name (`O_EXCL`, so that
//! nothing is replaced), and the complete file is renamed over it. A crash between the two steps
//! leaves the empty file.

mod name;
#[cfg(test)]
mod tests;
pub mod write_behind;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use crate::unfinished::{self, Unfinished};

/// The action if the name is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overwrite {
    /// Fail, and leave the existing file.
    Refuse,
    /// Replace the existing file, if it is a regular file, at the commit.
    Replace,
}

/// An error of creating a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NewFileError {
    /// The name is taken.
    #[error("{} exists", path.display())]
    Exists {
        /// The file's path.
        path: PathBuf,
    },
    /// The name is taken by something other than a regular file, which is never replaced.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The file's path.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {verb} {}", path.display())]
    Io {
        /// The attempted operation.
        verb: &'static str,
        /// The file's path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// A file being written, removed if dropped before [`NewFile::commit`].
#[derive(Debug)]
pub struct NewFile {
    file: File,
    staged: Staged,
    path: PathBuf,
    overwrite: Overwrite,
}

/// The place of the bytes before the commit.
#[derive(Debug)]
enum Staged {
    /// A file without a name.
    Unnamed,
    /// A file `.NAME.PID.part` in the final folder.
    Part { part: PathBuf, guard: Unfinished },
}

impl NewFile {
    /// Begins a file to be named `path` at the commit.
    ///
    /// # Errors
    /// Fails if the name is taken and may not be replaced, or the folder is not writable.
    pub fn create(path: &Path, overwrite: Overwrite) -> Result<Self, NewFileError> {
        Self::begin(path, overwrite, 0o666, true)
    }

    /// Begins a file to be named `path`, readable by its owner only. The name must be free.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn create_private(path: &Path) -> Result<Self, NewFileError> {
        Self::begin(path, Overwrite::Refuse, 0o600, true)
    }

    fn begin(
        path: &Path,
        overwrite: Overwrite,
        mode: u32,
        may_be_unnamed: bool,
    ) -> Result<Self, NewFileError> {
        let failed = |source| NewFileError::Io { verb: "create", path: path.to_owned(), source };
        check(path, overwrite)?;
        let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::IsADirectory.into()))?;
        remove_abandoned(folder_of(path), name);
        let unnamed = if may_be_unnamed { unnamed(folder_of(path), mode) } else { Ok(None) };
        let (file, staged) = match unnamed.map_err(failed)? {
            Some(file) => (file, Staged::Unnamed),
            None => {
                let part = path.with_file_name(part_name(name, std::process::id()));
                let create = || {
                    let mut options = File::options();
                    options.read(true).write(true).create_new(true).mode(mode).open(&part)
                };
                let (guard, file) = Unfinished::make(&part, create).map_err(failed)?;
                // The lock tells other processes that the writer lives. Without support for locks
                // in the file system, nothing does.
                let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
                (file, Staged::Part { part, guard })
            }
        };
        Ok(Self { file, staged, path: path.to_owned(), overwrite })
    }

    /// Returns the file, empty at first.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Returns the folder of the final name.
    #[must_use]
    pub fn folder(&self) -> &Path {
        folder_of(&self.path)
    }

    /// Makes the file durable, then gives it its name.
    ///
    /// # Errors
    /// Fails if it cannot be synced, or the name was taken meanwhile.
    pub fn commit(&self) -> Result<(), NewFileError> {
        Self::commit_all(std::slice::from_ref(self))
    }

    /// Makes all files durable, then gives them their names, in the order of `files`. After a
    /// failure, the names that are new are removed again, but replaced files stay replaced. A crash
    /// between two names leaves the earlier files named.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn commit_all(files: &[Self]) -> Result<(), NewFileError> {
        for new in files {
            new.file.sync_all().map_err(|source| new.failed("sync", source))?;
        }
        let guards: Vec<_> = files.iter().filter_map(|new| new.staged.guard()).collect();
        let mut named = 0;
        let name_all = || {
            for new in files {
                if let Err(error) = new.give_name() {
                    let is_new = |new: &&Self| new.overwrite == Overwrite::Refuse;
                    for new in files[..named].iter().filter(is_new) {
                        let _ = fs::remove_file(&new.path);
                    }
                    return Err(error);
                }
                named += 1;
            }
            Ok(())
        };
        let done = unfinished::commit_all(&guards, name_all);
        done.map_err(|error| files[named.min(files.len() - 1)].failed("name", error))?;
        let folders: BTreeSet<_> = files.iter().map(|new| folder_of(&new.path)).collect();
        for folder in folders {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(|source| NewFileError::Io {
                verb: "sync the directory",
                path: folder.to_owned(),
                source,
            })?;
        }
        Ok(())
    }

    fn failed(&self, verb: &'static str, source: io::Error) -> NewFileError {
        match (verb, source.kind()) {
            ("name", io::ErrorKind::AlreadyExists) => {
                NewFileError::Exists { path: self.path.clone() }
            }
            _ => NewFileError::Io { verb, path: self.path.clone(), source },
        }
    }

    fn give_name(&self) -> io::Result<()> {
        match (&self.staged, self.overwrite) {
            (Staged::Unnamed, Overwrite::Refuse) => name::link_unnamed(&self.file, &self.path),
            (Staged::Unnamed, Overwrite::Replace) => {
                let name = self.path.file_name().unwrap_or_default();
                let part = self.path.with_file_name(part_name(name, std::process::id()));
                name::link_unnamed(&self.file, &part)?;
                fs::rename(&part, &self.path).inspect_err(|_| {
                    let _ = fs::remove_file(&part);
                })
            }
            (Staged::Part { part, .. }, Overwrite::Refuse) => name::rename_new(part, &self.path),
            (Staged::Part { part, .. }, Overwrite::Replace) => fs::rename(part, &self.path),
        }
    }
}

impl Staged {
    fn guard(&self) -> Option<&Unfinished> {
        match self {
            Self::Unnamed => None,
            Self::Part { guard, .. } => Some(guard),
        }
    }
}

/// Fails if the name is taken and the existing file may not be replaced.
fn check(path: &Path, overwrite: Overwrite) -> Result<(), NewFileError> {
    match fs::symlink_metadata(path) {
        Ok(_) if overwrite == Overwrite::Refuse => {
            Err(NewFileError::Exists { path: path.to_owned() })
        }
        Ok(found) if !found.is_file() => Err(NewFileError::NotAFile { path: path.to_owned() }),
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(NewFileError::Io { verb: "create", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Creates a file without a name in `folder`; `None` where this is not supported.
fn unnamed(folder: &Path, mode: u32) -> io::Result<Option<File>> {
    use rustix::io::Errno;
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(folder, flags, Mode::from_raw_mode(mode)) {
        // Without /proc, the file could never be given a name.
        Ok(file) => Ok(Some(File::from(file)).filter(name::has_address)),
        // Answers of kernels and file systems without support for the flag.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn part_name(name: &OsStr, process: u32) -> OsString {
    let mut part = OsString::from(".");
    part.push(name);
    part.push(format!(".{process}.part"));
    part
}

/// Removes the `.part` files of dead processes for this name: the unlocked ones.
fn remove_abandoned(folder: &Path, name: &OsStr) {
    let mut start = OsString::from(".");
    start.push(name);
    start.push(".");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let rest = found.as_encoded_bytes().strip_prefix(start.as_encoded_bytes());
        let process = rest.and_then(|rest| rest.strip_suffix(b".part"));
        if process.is_some_and(|it| !it.is_empty() && it.iter().all(u8::is_ascii_digit)) {
            // A file left in place only takes space.
            let _ = remove_unlocked(&entry.path());
        }
    }
}

fn remove_unlocked(part: &Path) -> io::Result<()> {
    // Never follows a link, and never blocks on a FIFO.
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(part, flags, Mode::empty())?);
    if file.metadata()?.is_file() {
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        fs::remove_file(part)?;
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}
