//! A staged file gets the bytes of the release, or the patch stops.

use std::fs;

use seawall_api::index::DiskIndex;
use seawall_store::image::{self, OpenOptions};
use seawall_store::scan::{self, LeafScan, ScanError};

use super::*;
use crate::patch::in_place;
use crate::patch::plan::OldDisk;

/// A directory with machine `a`, and a release that adds machine `b` with an identical disk.
struct Twins {
    directory: Directory,
    old: Lockfile,
    new: Lockfile,
    release: Release,
    layout: DiskLayout,
    disk: PathBuf,
    _dir: tempfile::TempDir,
}

fn release_of(machines: &[&str], index: &DiskIndex) -> Release {
    let (content, len, index) = (index.content(), index.disk_len().get(), index.digest());
    let machine = |name: &&str| {
        format!(
            r#"{{"annotations":{{}},"architecture":"x86_64","cpus":1,"disks":[{{"bus":"virtio","content":"{content}","index":"{index}","len":{len},"name":"root"}}],"firmware":"bios","memoryMib":64,"name":"{name}","networkCards":[],"startOrder":0}}"#
        )
    };
    let machines = machines.iter().map(machine).collect::<Vec<_>>().join(",");
    let text = format!(
        r#"{{"annotations":{{}},"application":"web","machines":[{machines}],"networks":[],"parameters":{{}},"schema":"seawall.release/1","version":"1"}}"#
    );
    Release::parse(text.as_bytes()).unwrap()
}

impl Twins {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = dir.path().join("a/root.raw");
        let indexes = dir.path().join(".seawall/indexes");
        fs::create_dir_all(disk.parent().unwrap()).unwrap();
        fs::create_dir_all(&indexes).unwrap();
        let mut bytes = vec![0; 1 << 20];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        fs::write(&disk, bytes).unwrap();
        let image = image::open(&disk, &OpenOptions::default()).unwrap();
        let keep = |_: usize, scan: &LeafScan| -> Result<(), ScanError> {
            let name = format!("{}.leaf", scan.leaf.digest().to_hex());
            fs::write(indexes.join(name), scan.leaf.encode()).unwrap();
            Ok(())
        };
        let index = scan::scan_disk(image.as_ref(), 1, &keep, &|_| {}).unwrap();
        let name = format!("{}.list", index.digest().to_hex());
        fs::write(indexes.join(name), index.encode()).unwrap();

        let directory = Directory::open(dir.path()).unwrap();
        let layout = directory.indexes().layout(index.digest()).unwrap();
        let lock = |release: &Release| Lockfile::of(release, ExportFormat::Raw, |_| true);
        let release = release_of(&["a", "b"], &index);
        let (old, new) = (lock(&release_of(&["a"], &index)), lock(&release));
        Self { directory, old, new, release, layout, disk, _dir: dir }
    }

    fn stager(&self) -> Stager {
        let Self { directory, old, new, release, layout, .. } = self;
        let layouts = [layout.clone(), layout.clone()];
        Stager::create(directory, old, new, release, &layouts).unwrap()
    }

    fn steps(&self) -> Steps {
        let old = OldDisk { layout: self.layout.clone(), file: self.old.disks[0].file.clone() };
        let new = [self.layout.clone(), self.layout.clone()];
        Steps::between(&[old], &new, &in_place(&self.old, &self.new)).unwrap()
    }

    /// Returns the bytes staged for `b`.
    fn staged(&self) -> Vec<u8> {
        fs::read(self.directory.folder().path_of(&staged_file(&self.new, 1))).unwrap()
    }
}

#[test]
fn a_new_disk_is_staged_whole_from_what_stays_and_kept_when_the_patch_is_run_again() {
    let twins = Twins::new();
    let (stager, steps) = (twins.stager(), twins.steps());
    let wants: Vec<_> = steps.copies().map(|(want, _)| want.clone()).collect();
    assert!(wants.len() > 1 && !wants.iter().any(|want| stager.is_staged(want)));

    stager.stage_fixed(&steps).unwrap();

    assert_eq!(twins.staged(), fs::read(&twins.disk).unwrap());
    drop(stager);
    let again = twins.stager();
    assert!(wants.iter().all(|want| again.is_staged(want)));
}

#[test]
fn a_source_that_differs_is_not_staged_as_the_new_release() {
    let twins = Twins::new();
    let (stager, steps) = (twins.stager(), twins.steps());
    let mut bytes = fs::read(&twins.disk).unwrap();
    bytes[0] ^= 1;
    fs::write(&twins.disk, bytes).unwrap();

    let refused = stager.stage_fixed(&steps).unwrap_err();

    assert!(matches!(refused, PatchError::Changing { .. }), "{refused}");
    assert!(twins.staged().iter().all(|byte| *byte == 0), "nothing of it was written");
}
