//! A file that has its name only once it is whole.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use super::ExportError;
use crate::host::HostError;

/// A file under way; removed when dropped before [`Self::commit`].
pub(super) struct Partial {
    path: PathBuf,
    part: PathBuf,
    file: File,
    is_done: bool,
}

impl Partial {
    /// Begins the file at `path`; there must be none.
    pub(super) fn create(path: &Path) -> Result<Self, ExportError> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(ExportError::Exists { path: path.to_owned() });
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            fs::create_dir_all(folder).map_err(|e| HostError::new("create", folder, e))?;
        }
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".part");
        let part = path.with_file_name(name);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&part);
        let file = file.map_err(|e| HostError::new("create", &part, e))?;
        Ok(Self { path: path.to_owned(), part, file, is_done: false })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn error(&self, verb: &'static str, source: std::io::Error) -> HostError {
        HostError::new(verb, &self.path, source)
    }

    /// Makes it durable, then visible.
    pub(super) fn commit(mut self) -> Result<PathBuf, ExportError> {
        self.file.sync_all().map_err(|e| self.error("sync", e))?;
        // Not a plain rename: what came to lie there meanwhile is not ours to overwrite.
        fs::hard_link(&self.part, &self.path).map_err(|e| self.error("create", e))?;
        let _ = fs::remove_file(&self.part);
        self.is_done = true;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|e| HostError::new("sync", folder, e))?;
        Ok(self.path.clone())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = fs::remove_file(&self.part);
        }
    }
}
