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
    let path = state.file("scans", &memo_key(&memo));
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
