use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use tempfile::TempDir;

use crate::image::{DiskImage, Format, ImageError, OpenOptions, RUN_LEN_MAX, open};

const DISK_LEN: u64 = (8 << 20) + 777;

fn sparse(dir: &TempDir, data: &[(u64, usize)]) -> (File, Box<dyn DiskImage>) {
    let path = dir.path().join("disk.raw");
    let file = File::create(&path).unwrap();
    file.set_len(DISK_LEN).unwrap();
    for (at, len) in data {
        file.write_all_at(&vec![7; *len], *at).unwrap();
    }
    (file, open(&path, &OpenOptions::default()).unwrap())
}

#[test]
fn holes_of_the_file_are_holes_of_the_disk() {
    let dir = TempDir::new().unwrap();
    let (_, image) = sparse(&dir, &[(1 << 20, 4096), (8 << 20, 777)]);
    assert_eq!(image.disk_len(), DISK_LEN);
    assert_eq!(image.next_data(0).unwrap(), Some(1 << 20..(1 << 20) + 4096));
    assert_eq!(image.next_data((1 << 20) + 100).unwrap(), Some((1 << 20) + 100..(1 << 20) + 4096));
    assert_eq!(image.next_data((1 << 20) + 4096).unwrap(), Some(8 << 20..DISK_LEN));
    assert_eq!(image.next_data(DISK_LEN).unwrap(), None);
    assert_eq!(image.next_data(u64::MAX).unwrap(), None);
}

#[test]
fn a_disk_that_is_one_hole_has_no_runs() {
    let dir = TempDir::new().unwrap();
    let (_, image) = sparse(&dir, &[]);
    assert_eq!(image.next_data(0).unwrap(), None);
    let mut buf = [1; 100];
    image.read_at(DISK_LEN - 100, &mut buf).unwrap();
    assert_eq!(buf, [0; 100]);
}

#[test]
fn a_run_is_bounded() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("disk.raw");
    let file = File::create(&path).unwrap();
    // Allocated and never written: the file system may report data or a hole.
    let len = RUN_LEN_MAX + (1 << 20);
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, len).unwrap();
    let image = open(&path, &OpenOptions::default()).unwrap();
    if let Some(run) = image.next_data(0).unwrap() {
        assert!(run.end - run.start <= RUN_LEN_MAX);
    }
}

#[test]
fn a_file_that_shrinks_is_an_error_and_never_zeros() {
    let dir = TempDir::new().unwrap();
    let (file, image) = sparse(&dir, &[(0, 4096), (4 << 20, 4096)]);
    file.set_len(1 << 20).unwrap();
    let read = image.read_at(4 << 20, &mut [0; 4096]);
    assert!(matches!(read, Err(ImageError::Shrunk { .. })), "{read:?}");
    let mapped = image.next_data(4096);
    assert!(matches!(mapped, Err(ImageError::Shrunk { .. })), "{mapped:?}");
    assert!(mapped.unwrap_err().remedy().is_some());
}

#[test]
fn a_file_that_grows_keeps_its_disk() {
    let dir = TempDir::new().unwrap();
    let (file, image) = sparse(&dir, &[(0, 4096)]);
    file.write_all_at(&[1; 4096], DISK_LEN + 8192).unwrap();
    assert_eq!(image.disk_len(), DISK_LEN);
    assert_eq!(image.next_data(4096).unwrap(), None);
}

#[test]
fn reads_past_the_disk_are_refused() {
    let dir = TempDir::new().unwrap();
    let (_, image) = sparse(&dir, &[]);
    for offset in [DISK_LEN - 9, DISK_LEN, u64::MAX] {
        let read = image.read_at(offset, &mut [0; 10]);
        assert!(matches!(read, Err(ImageError::OutOfRange { .. })), "{read:?}");
    }
    image.read_at(DISK_LEN, &mut []).unwrap();
}

#[test]
fn a_file_that_is_not_a_disk_is_refused_without_waiting() {
    let dir = TempDir::new().unwrap();
    let pipe = dir.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    for path in [pipe.as_path(), dir.path(), Path::new("/dev/zero")] {
        let options = OpenOptions { format: Some(Format::Raw), ..OpenOptions::default() };
        let opened = open(path, &options).err();
        assert!(matches!(opened, Some(ImageError::NotADisk { .. })), "{opened:?}");
    }
    let missing = open(&dir.path().join("missing"), &OpenOptions::default()).err();
    assert!(matches!(missing, Some(ImageError::Io { verb: "open", .. })), "{missing:?}");
}
