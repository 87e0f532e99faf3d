//! Pull, stages 2 and 5: where a release is assembled, and how it gets its place.
//!
//! Beside the place, as `.NAME.seawall-pull`, which then gets the name at once. A place that cannot
//! be replaced by a rename (a mount point, a link, the working directory, one in a folder that this
//! user may not write to) is filled instead: the release is assembled in `.seawall-pull` in it, and
//! what that holds is moved up.
//!
//! # After a crash
//!
//! A directory in which some names were moved up has `.seawall-pull/moving` and no lockfile yet:
//! the next pull moves the rest first. All that is moved was synced before.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, StatxAttributes, StatxFlags, accessat, statx};

use super::PullError;
use crate::directory::{self, Directory, LOCKFILE};
use crate::folder::{Folder, FolderPath, mode};
use crate::host::HostError;

/// The folder that a release is assembled in, in a place that is filled.
const INSIDE: &str = ".seawall-pull";
/// The file in it that says that everything is there and is moved up.
const MOVING: &str = ".seawall-pull/moving";
/// What `mkfs` puts into a new file system.
const LOST_AND_FOUND: &str = "lost+found";

/// Where a release is assembled.
pub(super) struct Site {
    /// The folder that the staging directory is in: the place itself, where that is filled.
    parent: Folder,
    /// The staging directory's name in it.
    staged: FolderPath,
    /// The name that the staging directory gets; `None` where what it holds is moved up.
    name: Option<FolderPath>,
    /// Where the release will be.
    place: PathBuf,
}

/// Whether a place that is there cannot be replaced by a rename.
fn is_filled(into: &Path, folder: &Folder) -> bool {
    let parent = into.parent().filter(|it| *it != Path::new("")).unwrap_or(Path::new("."));
    into.file_name().is_none()
        || into.is_symlink()
        || is_mount_point(folder)
        || accessat(CWD, parent, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_err()
}

fn is_mount_point(folder: &Folder) -> bool {
    let found = statx(folder.handle(), "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS);
    // Kernels before 5.8 do not say: there the rename does, in the end.
    found.is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// The names in a place that count as something: what a pull left, or `mkfs`, does not.
pub(super) fn names(into: &Path, folder: &Folder) -> Result<Vec<OsString>, HostError> {
    let mut names = folder.names(4)?;
    if is_filled(into, folder) {
        names.retain(|name| name != INSIDE && name != LOST_AND_FOUND);
    }
    Ok(names)
}

/// Ends the move that a pull which was killed began.
pub(super) fn finish_move(into: &Path) -> Result<(), HostError> {
    match Folder::open(into) {
        Ok(folder) if folder.has(&FolderPath::composed(MOVING)) => move_up(&folder),
        // Why it cannot be opened is for those to say who need it.
        _ => Ok(()),
    }
}

/// Fails if this user may not write where the release for `into` is assembled.
pub(super) fn check_writable(into: &Path) -> Result<(), HostError> {
    let place = std::path::absolute(into).map_err(|e| HostError::new("use", into, e))?;
    let is_filled = Folder::open(into).is_ok_and(|folder| is_filled(into, &folder));
    let above = place.ancestors().skip(usize::from(!is_filled)).find(|it| it.is_dir());
    let Some(above) = above else { return Ok(()) };
    let may_write = accessat(CWD, above, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
    may_write.map_err(|errno| HostError::new("write to", above, errno.into()))
}

impl Site {
    /// Decides where the release for `into` is assembled; the folders above are made.
    pub(super) fn of(into: &Path) -> Result<Self, PullError> {
        if let Ok(folder) = Folder::open(into)
            && is_filled(into, &folder)
        {
            let place = fs::canonicalize(into).map_err(|e| HostError::new("open", into, e))?;
            let staged = FolderPath::composed(INSIDE);
            return Ok(Self { parent: folder.named(place.clone()), staged, name: None, place });
        }
        let no_name = || PullError::NoName { into: into.to_owned() };
        let name = into.file_name().ok_or_else(no_name)?;
        let mut staged = OsString::from(".");
        staged.push(name);
        staged.push(".seawall-pull");
        let [name, staged] = [name.to_owned(), staged].map(FolderPath::new);
        let (name, staged) = (name.map_err(|_| no_name())?, staged.map_err(|_| no_name())?);
        let above = into.parent().filter(|it| *it != Path::new("")).unwrap_or(Path::new("."));
        fs::create_dir_all(above).map_err(|e| HostError::new("create", above, e))?;
        let root = fs::canonicalize(above).map_err(|e| HostError::new("open", above, e))?;
        let place = root.join(&name);
        let parent = Folder::open(above)?.named(root);
        Ok(Self { parent, staged, name: Some(name), place })
    }

    pub(super) fn parent(&self) -> &Folder {
        &self.parent
    }

    /// Opens the staging directory, which is made if it is not there.
    pub(super) fn staging(&self) -> Result<Folder, HostError> {
        self.parent.make_folder(&self.staged, mode::FOLDER)?;
        Ok(self.parent.folder(&self.staged)?.named(self.parent.path_of(&self.staged)))
    }

    /// Where the release will be.
    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    /// Makes a staging directory, whose files are durable, visible.
    pub(super) fn commit(&self, directory: &Directory) -> Result<PathBuf, HostError> {
        let Some(name) = &self.name else {
            let moving = FolderPath::composed(MOVING);
            self.parent.replace(&moving, b"", mode::FILE)?;
            move_up(&self.parent)?;
            return Ok(self.place.clone());
        };
        directory::commit(directory, &self.parent, &self.staged, name)
    }
}

/// Moves what is in [`INSIDE`] up, the lockfile last: a directory that has one is whole.
fn move_up(place: &Folder) -> Result<(), HostError> {
    let inside = FolderPath::composed(INSIDE);
    let mut names = place.folder(&inside)?.names(usize::MAX)?;
    names.retain(|name| *name != *"moving");
    names.sort_by_key(|name| name == LOCKFILE);
    for name in names {
        let up = FolderPath::composed(name);
        if up.as_path() == Path::new(LOCKFILE) {
            // What it vouches for has its name before it has.
            place.sync()?;
        }
        place.rename(&inside.join(&up), &up)?;
    }
    place.sync()?;
    // A pull that was killed leaves it; it is of no use to anybody.
    let _ = place.remove(&FolderPath::composed(super::target::MARK));
    place.remove_tree(&inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many names were moved up when the pull was killed.
    #[test]
    fn a_move_that_was_cut_off_is_ended_by_the_next_pull() {
        for moved in 0..=3 {
            let dir = tempfile::tempdir().unwrap();
            let inside = dir.path().join(INSIDE);
            fs::create_dir_all(inside.join("web")).unwrap();
            fs::write(inside.join("web/root.raw"), b"disk").unwrap();
            fs::write(inside.join("release.json"), b"{}").unwrap();
            fs::write(inside.join(LOCKFILE), b"{}").unwrap();
            fs::write(dir.path().join(MOVING), b"").unwrap();
            for name in ["release.json", "web", LOCKFILE].iter().take(moved) {
                fs::rename(inside.join(name), dir.path().join(name)).unwrap();
            }
            finish_move(dir.path()).unwrap();
            let mut names: Vec<_> =
                fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
            names.sort();
            assert_eq!(names, ["release.json", LOCKFILE, "web"], "{moved}");
            assert_eq!(fs::read(dir.path().join("web/root.raw")).unwrap(), b"disk");
            finish_move(dir.path()).unwrap();
        }
    }
}
