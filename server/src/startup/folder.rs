//! The data directory: detection, creation and permissions.
//!
//! Catalog and store hold the signing keys of webhooks, live leases and every disk. They are
//! private to the registry's user, regardless of the umask: the directory is closed to other users,
//! and so is each file with secrets.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::{CATALOG_FILE, STORE_FOLDER, StartError};
use crate::config::Absent;

/// The mode of the data directory and the folders in it.
const FOLDER_MODE: u32 = 0o700;
/// The mode of files with secrets.
const FILE_MODE: u32 = 0o600;
/// The entry that file systems create in an empty root.
const OF_FILE_SYSTEM: &str = "lost+found";

/// The contents of a data directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum There {
    Registry,
    Nothing,
    SomethingElse,
}

/// Returns true if a directory holds the data of a registry.
fn is_registry(data_dir: &Path) -> bool {
    data_dir.join(STORE_FOLDER).is_dir() || data_dir.join(CATALOG_FILE).is_file()
}

fn look(data_dir: &Path) -> io::Result<There> {
    if is_registry(data_dir) {
        return Ok(There::Registry);
    }
    let entries = match fs::read_dir(data_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(There::Nothing),
        entries => entries?,
    };
    for entry in entries {
        if entry?.file_name() != OF_FILE_SYSTEM {
            return Ok(There::SomethingElse);
        }
    }
    Ok(There::Nothing)
}

/// Prepares a data directory: closes an existing one to other users, and creates a missing one if
/// `absent` permits.
///
/// # Errors
/// If there is no registry and none is to be created, or if the directory holds something else.
pub(super) fn prepare(data_dir: &Path, absent: Absent) -> Result<(), StartError> {
    let path = || data_dir.to_owned();
    let unusable = |source| StartError::DataDir { path: path(), source };
    match (look(data_dir).map_err(unusable)?, absent) {
        (There::Registry, _) => {}
        (There::Nothing, Absent::Create) => {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(FOLDER_MODE);
            // The store first: after a crash, the directory is recognized as a registry.
            builder.create(data_dir.join(STORE_FOLDER)).map_err(unusable)?;
        }
        (There::SomethingElse, Absent::Create) => {
            return Err(StartError::NotEmpty { path: path() });
        }
        (_, Absent::Refuse) => return Err(StartError::NoRegistry { path: path() }),
    }
    tighten(data_dir, FOLDER_MODE);
    for entry in fs::read_dir(data_dir).map_err(unusable)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(CATALOG_FILE) {
            tighten(&entry.path(), FILE_MODE);
        }
    }
    Ok(())
}

/// Removes the permissions of other users, if any.
///
/// A registry without the right to do so starts anyway: its user may only have read access to the
/// directory.
fn tighten(path: &Path, mode: u32) {
    let Ok(found) = fs::symlink_metadata(path) else { return };
    if found.is_symlink() || found.permissions().mode() & 0o077 == 0 {
        return;
    }
    match fs::set_permissions(path, Permissions::from_mode(mode)) {
        Ok(()) => tracing::info!(path = %path.display(), "closed to other users"),
        Err(error) => {
            let path = path.display();
            tracing::warn!(%error, %path, "other users may read it, and that cannot be changed");
        }
    }
}

/// Creates the file of a catalog before SQLite does, because SQLite would leave the mode to the
/// umask.
///
/// The files that SQLite keeps beside the catalog inherit the mode.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_folder_of_other_things_becomes_no_registry() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a/b");
        let refused = prepare(&data, Absent::Refuse).unwrap_err();
        assert!(matches!(refused, StartError::NoRegistry { .. }) && !data.exists());
        fs::create_dir_all(data.join(OF_FILE_SYSTEM)).unwrap();
        let refused = prepare(&data, Absent::Refuse).unwrap_err();
        assert!(matches!(refused, StartError::NoRegistry { .. }), "an empty one is none either");
        fs::write(data.join("notes.txt"), "").unwrap();
        let refused = prepare(&data, Absent::Create).unwrap_err();
        assert!(matches!(refused, StartError::NotEmpty { .. }));
        assert!(!data.join(STORE_FOLDER).exists());
        fs::remove_file(data.join("notes.txt")).unwrap();
        prepare(&data, Absent::Create).unwrap();
        prepare(&data, Absent::Refuse).unwrap();
    }

    #[test]
    fn what_others_could_read_is_closed_when_it_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir_all(data.join(STORE_FOLDER)).unwrap();
        fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
        for name in ["", "-wal", "-shm", ".old-1"] {
            let path = data.join(format!("{CATALOG_FILE}{name}"));
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        }
        prepare(&data, Absent::Refuse).unwrap();
        assert_eq!(mode(&data), 0o700);
        for name in ["", "-wal", "-shm", ".old-1"] {
            assert_eq!(mode(&data.join(format!("{CATALOG_FILE}{name}"))), 0o600, "{name}");
        }
        let made = data.join("new.sqlite");
        make_private(&made).unwrap();
        assert_eq!(mode(&made), 0o600);
    }
}
