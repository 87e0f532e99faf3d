//! The data directory: detection, creation and permissions.
//!
//! Catalog and store hold the signing keys of webhooks, live leases and every disk. They are
//! private to the registry's user, regardless of the umask: the directory is closed to other users,
//! and so is each file with secrets.
//!
//! # Invariants
//!
//! 1. A directory that belongs to another user, other than root, is not written to: its owner can
//!    put a link in the place of any file.
//! 2. In a directory that others could write to until now, no link and no file of theirs is used.
//! 3. Links lead to folders of the store only, and only the user or root made them.

use std::fs::{self, DirBuilder, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::catalog::PLACE_FILE;
use super::{CATALOG_FILE, STORE_FOLDER, StartError, StoreAt};
use crate::config::Absent;
use crate::own_file::{Suspect, open_own};

/// The mode of the data directory and the folders in it.
const FOLDER_MODE: u32 = 0o700;
/// The mode of files with secrets.
const FILE_MODE: u32 = 0o600;
/// The entry that file systems create in an empty root.
const OF_FILE_SYSTEM: &str = "lost+found";
/// The names of what a registry keeps beside its catalog.
const OWN_NAMES: [&str; 5] = [STORE_FOLDER, PLACE_FILE, "registry.lock", "backup.lock", "reserve"];

/// The contents of a data directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum There {
    Registry,
    Nothing,
    SomethingElse,
}

/// Returns true if a directory holds the data of a registry.
fn is_registry(data_dir: &Path) -> bool {
    data_dir.join(STORE_FOLDER).is_dir()
        || data_dir.join(CATALOG_FILE).is_file()
        || data_dir.join(PLACE_FILE).is_file()
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
        let entry = entry?;
        // A first start that failed may have left files of its own.
        if entry.file_name() != OF_FILE_SYSTEM && !is_own_name(&entry.path()) {
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
pub(super) fn prepare(
    data_dir: &Path,
    absent: Absent,
    store_at: &StoreAt,
) -> Result<(), StartError> {
    let path = || data_dir.to_owned();
    let unusable = |source| StartError::DataDir { path: path(), source };
    match (look(data_dir).map_err(unusable)?, absent) {
        (There::Registry, _) => {}
        (There::Nothing, Absent::Create) => {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(FOLDER_MODE);
            let made = match store_at {
                // The store first: after a crash, the directory is recognized as a registry.
                StoreAt::Inside => data_dir.join(STORE_FOLDER),
                StoreAt::Directory(_) | StoreAt::Bucket(_) => data_dir.to_owned(),
            };
            builder.create(made).map_err(unusable)?;
        }
        (There::SomethingElse, Absent::Create) => {
            return Err(StartError::NotEmpty { path: path() });
        }
        (_, Absent::Refuse) => return Err(StartError::NoRegistry { path: path() }),
    }
    check(data_dir)?;
    tighten(data_dir, FOLDER_MODE);
    for entry in fs::read_dir(data_dir).map_err(unusable)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(CATALOG_FILE) {
            tighten(&entry.path(), FILE_MODE);
        }
    }
    Ok(())
}

/// Prepares a directory for a registry that arrives in it, or that only keeps scratch files there.
///
/// # Errors
/// If it cannot be used.
pub(super) fn prepare_scratch(data_dir: &Path) -> Result<(), StartError> {
    let unusable = |source| StartError::DataDir { path: data_dir.to_owned(), source };
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(FOLDER_MODE).create(data_dir).map_err(unusable)?;
    check(data_dir)
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
        Ok(()) => tracing::info!(path = %path.display(), "removed the permissions of other users"),
        Err(error) => {
            let path = path.display();
            tracing::warn!(%error, %path, "cannot remove the permissions of other users");
        }
    }
}

/// Creates the file of a catalog before SQLite does, because SQLite would leave the mode to the
/// umask.
///
/// The files that SQLite keeps beside the catalog inherit the mode.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    open_own(path, OpenOptions::new().write(true).create(true)).map(drop)
}

/// Fails where another user could lead this one to other files by what lies in the directory.
///
/// A directory that this user cannot write to is only read, and needs no such care.
///
/// # Errors
/// [`StartError::Suspect`] with the first such name.
pub(super) fn check(data_dir: &Path) -> Result<(), StartError> {
    let unusable = |source| StartError::DataDir { path: data_dir.to_owned(), source };
    let found = fs::metadata(data_dir).map_err(unusable)?;
    if accessat(CWD, data_dir, Access::WRITE_OK, AtFlags::EACCESS).is_err() {
        return Ok(());
    }
    refuse_foreign(data_dir, &found)?;
    let store = data_dir.join(STORE_FOLDER);
    let is_open = |found: &Metadata| found.permissions().mode() & 0o022 != 0;
    let was_open = is_open(&found) || fs::metadata(&store).is_ok_and(|found| is_open(&found));
    let mut folders = vec![data_dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(unusable)? {
            let path = entry.map_err(unusable)?.path();
            let is_at_top = folder == data_dir;
            if is_at_top && !is_own_name(&path) {
                continue;
            }
            let Ok(found) = fs::symlink_metadata(&path) else { continue };
            refuse_foreign(&path, &found)?;
            let is_of_store = !is_at_top || path == store;
            match found.file_type() {
                kind if kind.is_dir() && is_of_store => {
                    // Deeper only where others could write: a store has millions of files.
                    if was_open || is_at_top {
                        folders.push(path);
                    }
                }
                kind if kind.is_symlink() => {
                    if was_open || !is_of_store || !path.is_dir() {
                        return Err(StartError::Suspect { path, why: Suspect::Link });
                    }
                }
                kind if kind.is_file() => {}
                _ => return Err(StartError::Suspect { path, why: Suspect::NotAFile }),
            }
        }
    }
    Ok(())
}

/// Returns whether a registry keeps something under a name at the top of its directory.
fn is_own_name(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(CATALOG_FILE) || OWN_NAMES.contains(&&*name)
}

fn refuse_foreign(path: &Path, found: &Metadata) -> Result<(), StartError> {
    let owner = found.uid();
    if owner == 0 || owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(StartError::Suspect { path: PathBuf::from(path), why: Suspect::Foreign { owner } })
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
        let refused = prepare(&data, Absent::Refuse, &StoreAt::Inside).unwrap_err();
        assert!(matches!(refused, StartError::NoRegistry { .. }) && !data.exists());
        fs::create_dir_all(data.join(OF_FILE_SYSTEM)).unwrap();
        let refused = prepare(&data, Absent::Refuse, &StoreAt::Inside).unwrap_err();
        assert!(matches!(refused, StartError::NoRegistry { .. }), "an empty one is none either");
        fs::write(data.join("notes.txt"), "").unwrap();
        let refused = prepare(&data, Absent::Create, &StoreAt::Inside).unwrap_err();
        assert!(matches!(refused, StartError::NotEmpty { .. }));
        assert!(!data.join(STORE_FOLDER).exists());
        fs::remove_file(data.join("notes.txt")).unwrap();
        prepare(&data, Absent::Create, &StoreAt::Inside).unwrap();
        prepare(&data, Absent::Refuse, &StoreAt::Inside).unwrap();
    }

    fn suspect(data: &Path) -> Option<(String, Suspect)> {
        match check(data) {
            Err(StartError::Suspect { path, why }) => {
                Some((path.strip_prefix(data).unwrap().to_str().unwrap().to_owned(), why))
            }
            checked => checked.map(|()| None).unwrap(),
        }
    }

    #[test]
    fn a_link_leads_to_a_folder_of_the_store_where_nobody_else_could_put_it() {
        let dir = tempfile::tempdir().unwrap();
        let (data, elsewhere) = (dir.path().join("data"), dir.path().join("elsewhere"));
        fs::create_dir_all(elsewhere.join("packs/ab")).unwrap();
        fs::create_dir(&data).unwrap();
        let set_mode = |mode| fs::set_permissions(&data, Permissions::from_mode(mode)).unwrap();
        set_mode(0o755);
        std::os::unix::fs::symlink(&elsewhere, data.join(STORE_FOLDER)).unwrap();
        assert_eq!(suspect(&data), None);
        set_mode(0o775);
        assert_eq!(suspect(&data), Some(("store".to_owned(), Suspect::Link)));
        fs::remove_file(data.join(STORE_FOLDER)).unwrap();
        fs::rename(&elsewhere, data.join(STORE_FOLDER)).unwrap();
        assert_eq!(suspect(&data), None);
        std::os::unix::fs::symlink("/", data.join("store/packs/ab/link")).unwrap();
        assert_eq!(suspect(&data), Some(("store/packs/ab/link".to_owned(), Suspect::Link)));
        set_mode(0o755);
        assert_eq!(suspect(&data), None, "nobody else could put it there");
    }

    #[test]
    fn files_of_a_registry_are_no_links_and_no_pipes() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        let data = dir.path().join("data");
        for name in ["catalog.sqlite", "catalog.sqlite-wal", "registry.lock", "reserve"] {
            fs::create_dir_all(data.join(STORE_FOLDER)).unwrap();
            let path = data.join(name);
            std::os::unix::fs::symlink(&outside, &path).unwrap();
            assert_eq!(suspect(&data), Some((name.to_owned(), Suspect::Link)));
            assert!(make_private(&path).is_err() && !outside.exists(), "{name}");
            fs::remove_file(&path).unwrap();
            let kind = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(CWD, &path, kind, rustix::fs::Mode::RUSR, 0).unwrap();
            assert_eq!(suspect(&data), Some((name.to_owned(), Suspect::NotAFile)));
            assert!(make_private(&path).is_err(), "{name}");
            fs::remove_dir_all(&data).unwrap();
        }
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
        prepare(&data, Absent::Refuse, &StoreAt::Inside).unwrap();
        assert_eq!(mode(&data), 0o700);
        for name in ["", "-wal", "-shm", ".old-1"] {
            assert_eq!(mode(&data.join(format!("{CATALOG_FILE}{name}"))), 0o600, "{name}");
        }
        let made = data.join("new.sqlite");
        make_private(&made).unwrap();
        assert_eq!(mode(&made), 0o600);
    }
}
