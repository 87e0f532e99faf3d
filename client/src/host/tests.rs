use std::time::Duration;

use seawall_api::content::SubtreeValue;
use seawall_api::index::{DiskIndex, Leaf, LeafRef};
use seawall_api::units::DiskLen;

use super::*;

fn real_now() -> SystemTime {
    #[allow(clippy::disallowed_methods)] // the tests' composition root
    SystemTime::now()
}

fn an_hour_on() -> SystemTime {
    real_now() + Duration::from_secs(3600)
}

fn index() -> DiskIndex {
    let leaf = LeafRef { digest: Leaf::hole(512).digest(), value: SubtreeValue([7; 32]) };
    DiskIndex::new(DiskLen::new(512).unwrap(), 0, vec![leaf]).unwrap()
}

#[test]
fn an_unchanged_file_is_recalled_and_a_changed_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk.raw");
    fs::write(&disk, b"one").unwrap();
    let state = HostState::new(dir.path().join("state"), an_hour_on);
    let memo = state.memo(std::slice::from_ref(&disk)).unwrap();
    assert_eq!(state.recall(&memo), None);
    state.remember(&memo, &index());
    assert_eq!(state.recall(&memo), Some(index()));

    std::thread::sleep(Duration::from_millis(30));
    fs::write(&disk, b"two").unwrap();
    let changed = state.memo(std::slice::from_ref(&disk)).unwrap();
    assert_eq!(state.recall(&changed), None, "same length, other times");
    assert!(!memo.is_current());
}

#[test]
fn a_file_written_within_the_tick_of_its_scan_is_not_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk.raw");
    fs::write(&disk, b"one").unwrap();
    let state = HostState::new(dir.path().join("state"), real_now);
    let memo = state.memo(&[disk]).unwrap();
    state.remember(&memo, &index());
    assert_eq!(state.recall(&memo), None, "a second write could have the same time");
}

#[test]
fn a_device_is_never_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let state = HostState::new(dir.path().to_owned(), an_hour_on);
    assert_eq!(state.memo(&[PathBuf::from("/dev/zero")]), None, "a write leaves no trace in times");
}

#[test]
fn a_damaged_memo_is_as_good_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk.raw");
    fs::write(&disk, b"one").unwrap();
    let state = HostState::new(dir.path().join("state"), an_hour_on);
    let memo = state.memo(&[disk]).unwrap();
    state.remember(&memo, &index());
    let path = dir.path().join("state").join(file_of("scans", &memo_key(&memo)));
    let bytes = fs::read(&path).unwrap();
    for len in 0..bytes.len() {
        fs::write(&path, &bytes[..len]).unwrap();
        assert_eq!(state.recall(&memo), None, "cut to {len}");
    }
}

fn memo_key(memo: &ScanMemo) -> PathBuf {
    let text = format!("{memo:?}");
    let start = text.find("key: \"").unwrap() + 6;
    PathBuf::from(&text[start..start + text[start..].find('"').unwrap()])
}

#[test]
fn no_link_and_no_pipe_in_the_state_is_read_or_written_through() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk.raw");
    fs::write(&disk, b"one").unwrap();
    let root = dir.path().join("state");
    let state = HostState::new(root.clone(), an_hour_on);
    let memo = state.memo(&[disk]).unwrap();
    state.remember(&memo, &index());
    let path = root.join(file_of("scans", &memo_key(&memo)));
    let outside = dir.path().join("outside");
    fs::rename(&path, &outside).unwrap();
    std::os::unix::fs::symlink(&outside, &path).unwrap();
    assert_eq!(state.recall(&memo), None, "a link");
    fs::remove_file(&path).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert_eq!(state.recall(&memo), None, "a pipe that nobody writes to");
    assert!(state.all_holdings().is_empty());

    fs::remove_dir_all(root.join("scans")).unwrap();
    fs::create_dir(dir.path().join("folder")).unwrap();
    for name in ["scans", "scratch"] {
        std::os::unix::fs::symlink(dir.path().join("folder"), root.join(name)).unwrap();
    }
    state.remember(&memo, &index());
    assert!(state.make_scratch().is_err());
    assert_eq!(fs::read_dir(dir.path().join("folder")).unwrap().count(), 0);
}
