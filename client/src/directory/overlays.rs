//! What guests wrote above the disks of a release, in the folders of its host descriptors.
//!
//! An overlay belongs to one release's bytes. A patch sets those of the release that it leaves
//! aside, by a rename, so that no machine can be started on an overlay whose base was changed:
//! its file is not where the host looks for it. The start scripts take them up again when the
//! directory comes back to that release, and nothing of Seawall removes them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use seawall_api::digest::ReleaseDigest;

use crate::deploy::{DescriptorTarget, STATE_FOLDER, state_name};
use crate::host::HostError;

/// The end of the name of a folder of overlays that was set aside.
const ASIDE: &str = "aside";

/// Sets the overlays of a release aside, on every host that it was described for.
///
/// Idempotent: what was set aside before a crash stays.
///
/// # Errors
/// When a folder cannot be renamed.
pub(crate) fn set_aside(root: &Path, release: ReleaseDigest) -> Result<(), HostError> {
    for folder in state_folders(root) {
        let state = folder.join(state_name(release));
        if !is_folder(&state) {
            continue;
        }
        // Taken only if somebody made overlays beside those that were aside.
        let names = (1..).map(|at| match at {
            1 => state.with_extension(ASIDE),
            _ => state.with_extension(format!("{ASIDE}-{at}")),
        });
        for aside in names.take(1000) {
            if aside.symlink_metadata().is_ok() {
                continue;
            }
            fs::rename(&state, &aside).map_err(|e| HostError::new("set aside", &state, e))?;
            break;
        }
    }
    Ok(())
}

/// Lists the overlays of a release that are aside.
pub(crate) fn aside(root: &Path, release: ReleaseDigest) -> Vec<PathBuf> {
    let folders = state_folders(root).map(|folder| folder.join(state_name(release)));
    folders.map(|state| state.with_extension(ASIDE)).filter(|path| is_folder(path)).collect()
}

/// Each folder of overlays that there is; a link is none.
fn state_folders(root: &Path) -> impl Iterator<Item = PathBuf> {
    let names = DescriptorTarget::ALL.into_iter().flat_map(|target| {
        // Where a machine has the target's name, its folder has another.
        [target.to_string(), format!("{target}_")]
    });
    let folders = names.map(move |name| root.join(name)).filter(|folder| is_folder(folder));
    folders.map(|folder| folder.join(STATE_FOLDER)).filter(|folder| is_folder(folder))
}

fn is_folder(path: &Path) -> bool {
    let meta: io::Result<_> = path.symlink_metadata();
    meta.is_ok_and(|meta| meta.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlays_of_one_release_are_set_aside_once_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two] = [b"1", b"2"].map(|bytes| ReleaseDigest::of(bytes));
        let state = dir.path().join("libvirt/state");
        for release in [one, two] {
            let folder = state.join(state_name(release)).join("web");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("root.qcow2"), release.to_hex()).unwrap();
        }
        std::os::unix::fs::symlink(&state, dir.path().join("xen")).unwrap();
        for _ in 0..2 {
            set_aside(dir.path(), one).unwrap();
            let there = aside(dir.path(), one);
            assert_eq!(there, [state.join(state_name(one)).with_extension(ASIDE)]);
            let kept = fs::read_to_string(there[0].join("web/root.qcow2")).unwrap();
            assert_eq!(kept, one.to_hex());
        }
        assert!(state.join(state_name(two)).join("web/root.qcow2").exists());
        assert!(aside(dir.path(), two).is_empty());
        // Made anew by hand: both are kept.
        fs::create_dir_all(state.join(state_name(one))).unwrap();
        set_aside(dir.path(), one).unwrap();
        assert!(state.join(state_name(one)).with_extension("aside-2").exists());
    }
}
