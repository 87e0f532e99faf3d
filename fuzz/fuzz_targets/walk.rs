//! The common part of the targets that open an image: follows its map and reads its data.

use seawall_store::image::DiskImage;

/// A hostile map can have as many runs as the disk has clusters; each one is cheap.
const RUNS_MAX: usize = 200;
const READ_LEN_MAX: usize = 64 << 10;

/// Follows the map as far as is cheap, and compares it with the data.
pub(crate) fn walk(image: &dyn DiskImage) {
    let disk_len = image.disk_len();
    let mut buf = vec![0; READ_LEN_MAX];
    let mut at = 0;
    for _ in 0..RUNS_MAX {
        let Ok(Some(run)) = image.next_data(at) else { break };
        assert!(at <= run.start && run.start < run.end && run.end <= disk_len);
        check_hole(image, at, run.start, &mut buf);
        read_run(image, run.start, run.end, &mut buf);
        at = run.end;
    }
}

/// A hole in the map reads as zeros, or not at all.
fn check_hole(image: &dyn DiskImage, start: u64, end: u64, buf: &mut [u8]) {
    let len = buf.len().min(usize::try_from(end - start).unwrap_or(usize::MAX));
    buf.fill(0xaa);
    if image.read_at(start, &mut buf[..len]).is_ok() {
        assert!(buf[..len].iter().all(|byte| *byte == 0));
    }
}

/// The start of a run reads the same in one read and in two.
fn read_run(image: &dyn DiskImage, start: u64, end: u64, buf: &mut [u8]) {
    let len = buf.len().min(usize::try_from(end - start).unwrap_or(usize::MAX));
    buf.fill(0xaa);
    if image.read_at(start, &mut buf[..len]).is_err() {
        return;
    }
    let (first, second) = (len / 3, len - len / 3);
    let mut again = vec![0x55; len];
    let (one, two) = again.split_at_mut(first);
    assert!(image.read_at(start, one).is_ok());
    assert_eq!(two.len(), second);
    let middle = start + u64::try_from(first).unwrap_or(0);
    assert!(image.read_at(middle, two).is_ok());
    assert!(again == buf[..len]);
}
