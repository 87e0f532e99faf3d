//! Parses bytes as a release document: accepted bytes are encoded to the same bytes.
//!
//! Seeds: the golden document of docs/FORMAT.md, in `fuzz/seeds/release`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_api::digest::ReleaseDigest;
use seawall_api::release::{DISKS_MAX, MACHINES_MAX, Release};
use seawall_api::units::DISK_LEN_MAX;

fuzz_target!(|bytes: &[u8]| {
    let Ok(release) = Release::parse(bytes) else { return };
    assert_eq!(release.bytes(), bytes, "one release has one spelling");
    assert_eq!(release.digest(), ReleaseDigest::of(bytes));
    let again = Release::new(release.document().clone()).expect("its own parts are a release");
    assert_eq!(again, release);
    assert!((1..=MACHINES_MAX).contains(&release.machines().len()));
    for machine in release.machines() {
        assert!((1..=DISKS_MAX).contains(&machine.disks.len()));
        assert_eq!(release.machine(&machine.name), Some(machine));
    }
    for (_, disk) in release.disks() {
        assert!((1..=DISK_LEN_MAX).contains(&disk.len));
    }
});
