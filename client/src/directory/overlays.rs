//! What guests wrote above the disks of a release, in the folders of its host descriptors.
//!
//! An overlay belongs to one release's bytes. A patch sets those of the release that it leaves
//! aside, by a rename, so that no machine can be started on an overlay whose base was changed:
//! its file is not where the host looks for it. The start scripts take them up again when the
//! directory comes back to that release, and nothing of Seawall removes them.

use std::path::PathBuf;

use rustix::fs::FileType;
use seawall_api::digest::ReleaseDigest;

use crate::deploy::{DescriptorTarget, STATE_FOLDER, state_name};
use crate::folder::{Folder, FolderPath};
use crate::host::HostError;

/// The end of the name of a folder of overlays that was set aside.
const ASIDE: &str = "aside";

/// Sets the overlays of a release aside, on every host that it was described for.
///
/// Idempotent: what was set aside before a crash stays.
///
/// # Errors
/// When a folder cannot be renamed.
pub(crate) fn set_aside(folder: &Folder, release: ReleaseDigest) -> Result<(), HostError> {
    for states in state_folders(folder) {
        let name = state_name(release);
        let state = states.join(&FolderPath::composed(&name));
        if !is_folder(folder, &state) {
            continue;
        }
        // Taken only if somebody made overlays beside those that were aside.
        let names = (1..).map(|at| match at {
            1 => format!("{name}.{ASIDE}"),
            _ => format!("{name}.{ASIDE}-{at}"),
        });
        let mut names = names.take(1000).map(|name| state.with_name(name));
        if let Some(aside) = names.find(|aside| !folder.has(aside)) {
            folder.rename(&state, &aside)?;
        }
    }
    Ok(())
}

/// Lists the overlays of a release that are aside.
pub(crate) fn aside(folder: &Folder, release: ReleaseDigest) -> Vec<PathBuf> {
    let name = FolderPath::composed(format!("{}.{ASIDE}", state_name(release)));
    let aside = state_folders(folder).map(|states| states.join(&name));
    aside.filter(|path| is_folder(folder, path)).map(|path| folder.path_of(&path)).collect()
}

/// Each folder of overlays that there is; a link is none.
fn state_folders(folder: &Folder) -> impl Iterator<Item = FolderPath> {
    let names = DescriptorTarget::ALL.into_iter().flat_map(|target| {
        // Where a machine has the target's name, its folder has another.
        [target.to_string(), format!("{target}_")]
    });
    let states = names.map(|name| FolderPath::composed(PathBuf::from(name).join(STATE_FOLDER)));
    states.filter(|states| is_folder(folder, states))
}

/// Whether a name is a folder's; no link on the way is followed.
fn is_folder(folder: &Folder, path: &FolderPath) -> bool {
    folder.look(path).is_ok_and(|found| found.is_some_and(|it| it.kind == FileType::Directory))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn overlays_of_one_release_are_set_aside_once_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let [one, two] = [b"1", b"2"].map(|bytes| ReleaseDigest::of(bytes));
        let state = dir.path().join("libvirt/state");
        for release in [one, two] {
            let folder = state.join(state_name(release)).join("web");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("root.qcow2"), release.to_hex()).unwrap();
        }
        std::os::unix::fs::symlink(&state, dir.path().join("xen")).unwrap();
        for _ in 0..2 {
            set_aside(&folder, one).unwrap();
            let there = aside(&folder, one);
            assert_eq!(there, [state.join(state_name(one)).with_extension(ASIDE)]);
            let kept = fs::read_to_string(there[0].join("web/root.qcow2")).unwrap();
            assert_eq!(kept, one.to_hex());
        }
        assert!(state.join(state_name(two)).join("web/root.qcow2").exists());
        assert!(aside(&folder, two).is_empty());
        // Made anew by hand: both are kept.
        fs::create_dir_all(state.join(state_name(one))).unwrap();
        set_aside(&folder, one).unwrap();
        assert!(state.join(state_name(one)).with_extension("aside-2").exists());
    }
}
