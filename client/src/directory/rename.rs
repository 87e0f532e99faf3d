//! The last step of a pull: the rename of the staged directory into its place.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::PathBuf;

use super::{Directory, LOCKFILE};
use crate::folder::{Folder, FolderPath};
use crate::host::HostError;

/// Renames the directory `staged` in `parent` to `name`, atomically.
///
/// Replaces a directory that holds only a lockfile: the staged directory has its own lockfile.
///
/// # Errors
/// Fails if anything else but an empty directory has the name.
pub(crate) fn commit(
    directory: &Directory,
    parent: &Folder,
    staged: &FolderPath,
    name: &FolderPath,
) -> Result<PathBuf, HostError> {
    let place = parent.path_of(name);
    let failed = |source| HostError::new("create", &place, source);
    let lockfile = name.join(&FolderPath::composed(LOCKFILE));
    let is_bare = parent
        .folder(name)
        .and_then(|folder| folder.names(2))
        .is_ok_and(|names| names.len() == 1 && names[0].as_os_str() == OsStr::new(LOCKFILE));
    if !is_bare {
        parent.rename_raw(staged, name).map_err(failed)?;
    } else if parent.exchange(staged.name(), name.name()).is_ok() {
        let _ = parent.remove_tree(staged);
    } else {
        // The file system cannot exchange names. After a crash here, the lockfile is in the staged
        // directory only.
        parent.remove(&lockfile)?;
        parent.rename_raw(staged, name).map_err(failed)?;
    }
    parent.sync()?;
    debug_assert!(directory.folder().has(&FolderPath::composed(LOCKFILE)));
    fs::canonicalize(&place).map_err(|e: io::Error| HostError::new("open", &place, e))
}
