//! A file that has its name only when it is whole.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use super::ConvertError;

/// What to do when the name is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overwrite {
    /// Leave what is there.
    Refuse,
    /// Replace it, if it is a regular file, once the new one is whole.
    Replace,
}

/// A file being written beside its place; removed when dropped before it is committed.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    part: PathBuf,
    path: PathBuf,
    overwrite: Overwrite,
    is_committed: AtomicBool,
}

impl NewFile {
    /// Begins a file that will be `path`.
    ///
    /// # Errors
    /// When the name is taken and not to be replaced, or the directory cannot be written.
    pub fn create(path: &Path, overwrite: Overwrite) -> Result<Self, ConvertError> {
        let failed = |source| ConvertError::Output { verb: "create", path: path.into(), source };
        match fs::symlink_metadata(path) {
            Ok(_) if overwrite == Overwrite::Refuse => {
                return Err(ConvertError::Exists { path: path.to_owned() });
            }
            Ok(found) if !found.is_file() => {
                return Err(ConvertError::NotAFile { path: path.to_owned() });
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::IsADirectory.into()))?;
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.part", std::process::id()));
        let part = path.with_file_name(hidden);
        // Left by a process that had our number and was killed.
        let _ = fs::remove_file(&part);
        let file = File::options().read(true).write(true).create_new(true).open(&part);
        let file = file.map_err(failed)?;
        Ok(Self {
            file,
            part,
            path: path.to_owned(),
            overwrite,
            is_committed: AtomicBool::new(false),
        })
    }

    /// The file; it is empty at first.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes the file durable, then visible.
    ///
    /// # Errors
    /// When it cannot be synced, or the name was taken meanwhile.
    pub fn commit(&self) -> Result<(), ConvertError> {
        let failed = |verb, source| ConvertError::Output { verb, path: self.path.clone(), source };
        self.file.sync_all().map_err(|source| failed("sync", source))?;
        self.rename().map_err(|errno| match errno {
            Errno::EXIST => ConvertError::Exists { path: self.path.clone() },
            errno => failed("name", errno.into()),
        })?;
        self.is_committed.store(true, Ordering::Relaxed);
        let directory = match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(|source| ConvertError::Output {
            verb: "sync the directory of",
            path: self.path.clone(),
            source,
        })
    }

    fn rename(&self) -> Result<(), Errno> {
        if self.overwrite == Overwrite::Replace {
            return rustix::fs::rename(&self.part, &self.path);
        }
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(CWD, &self.part, CWD, &self.path, flags) {
            // File systems that cannot: a second name is refused where there is one, too.
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::link(&self.part, &self.path)?;
                rustix::fs::unlink(&self.part)
            }
            renamed => renamed,
        }
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_committed.load(Ordering::Relaxed) {
            let _ = fs::remove_file(&self.part);
        }
    }
}
