//! QEMU finds our layouts sound.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use seawall_store::image::layout::{Layout, LayoutError, Qcow2Layout, write_metadata};
use seawall_store::image::{OpenOptions, open};

use super::qemu::{Bench, content, read_mapped, runs};

const CLUSTER: u64 = 64 << 10;

/// Writes runs of noise as a raw and as a qcow2 image; the qcow2 from its end to its start.
fn export(bench: &Bench, disk_len: u64, data: &[Range<u64>]) -> Qcow2Layout {
    let raw = File::create(bench.path("disk.raw")).unwrap();
    raw.set_len(disk_len).unwrap();
    let layout = Qcow2Layout::new(disk_len, data.iter().cloned()).unwrap();
    let qcow2 = File::create(bench.path("disk.qcow2")).unwrap();
    write_metadata(&layout, &qcow2).unwrap();
    for run in data.iter().rev() {
        let bytes = content(usize::try_from(run.end - run.start).unwrap(), run.start + 1);
        raw.write_all_at(&bytes, run.start).unwrap();
        let mut at = run.start;
        while at < run.end {
            let host = layout.host_offset(at).unwrap();
            let len = host.len.min(run.end - at);
            let part = usize::try_from(at - run.start).unwrap();
            let part = &bytes[part..part + usize::try_from(len).unwrap()];
            qcow2.write_all_at(part, host.offset).unwrap();
            at += len;
        }
    }
    assert_eq!(qcow2.metadata().unwrap().len(), layout.file_len());
    layout
}

#[test]
fn qemu_finds_exports_sound_and_equal_to_raw() {
    let gib = 1u64 << 30;
    for (disk_len, data) in [
        (0, vec![]),
        (512, vec![0..512]),
        (3 << 20, vec![]),
        ((3 << 20) + 512, vec![5..6, 70_000..200_000, (3 << 20) - 5..(3 << 20) + 512]),
        (CLUSTER, vec![0..CLUSTER]),
        (3 * gib, vec![0..10, gib / 2 - 1..gib / 2 + 1, 2 * gib..2 * gib + (5 << 20)]),
        // Runs that touch, and runs that share a cluster.
        (1 << 20, vec![0..100, 100..200, 300..CLUSTER, CLUSTER..CLUSTER + 1, 200_000..200_001]),
        // Both ends of the last table that fits into an L1 cluster.
        (5 << 40, vec![0..1, (4 << 40) - 1..(4 << 40) + 1]),
    ] {
        let bench = Bench::new();
        export(&bench, disk_len, &data);
        bench.run("qemu-img check -f qcow2 disk.qcow2");
        bench.run("qemu-img compare -f raw -F qcow2 disk.raw disk.qcow2");
        let opened = open(&bench.path("disk.qcow2"), &OpenOptions::default()).unwrap();
        assert_eq!(opened.disk_len(), disk_len);
        let covered = |at: &u64| runs(&*opened).iter().any(|run| run.contains(at));
        assert!(data.iter().all(|run| covered(&run.start) && covered(&(run.end - 1))));
        if disk_len < gib {
            assert!(
                read_mapped(&*opened, 1 << 20) == std::fs::read(bench.path("disk.raw")).unwrap()
            );
        }
    }
}

#[test]
fn a_disk_with_many_refcount_blocks_is_sound() {
    // 40 GiB of clusters with one byte written each: 21 blocks of counts, all sparse.
    let bench = Bench::new();
    let disk_len = 40 << 30;
    let layout = Qcow2Layout::new(disk_len, [0..disk_len]).unwrap();
    let qcow2 = File::create(bench.path("disk.qcow2")).unwrap();
    write_metadata(&layout, &qcow2).unwrap();
    bench.run("qemu-img check -f qcow2 disk.qcow2");
}

#[test]
fn the_same_disk_gives_the_same_file() {
    let (one, two) = (Bench::new(), Bench::new());
    export(&one, 9 << 20, &[0..100_000, 3 << 20..5 << 20]);
    // The same clusters, split into other runs.
    export(&two, 9 << 20, &[0..100_000, 3 << 20..4 << 20, 4 << 20..5 << 20]);
    let metadata = |bench: &Bench| {
        let file = std::fs::read(bench.path("disk.qcow2")).unwrap();
        file[..6 * 65_536].to_vec()
    };
    assert!(metadata(&one) == metadata(&two));
}

#[test]
fn a_length_between_sectors_is_rounded_up() {
    let bench = Bench::new();
    let layout = Qcow2Layout::new(1000, [0..1000]).unwrap();
    write_metadata(&layout, &File::create(bench.path("disk.qcow2")).unwrap()).unwrap();
    bench.run("qemu-img check -f qcow2 disk.qcow2");
    let opened = open(&bench.path("disk.qcow2"), &OpenOptions::default()).unwrap();
    assert_eq!(opened.disk_len(), 1024);
}

#[test]
fn host_offsets_are_of_data_only() {
    let layout = Qcow2Layout::new(1 << 40, [CLUSTER + 5..CLUSTER * 3, 1 << 39..1 << 40]).unwrap();
    assert_eq!(layout.host_offset(0), None);
    assert_eq!(layout.host_offset(CLUSTER - 1), None);
    let first = layout.host_offset(CLUSTER).unwrap();
    assert_eq!(first.len, 2 * CLUSTER);
    let inner = layout.host_offset(CLUSTER + 7).unwrap();
    assert_eq!((inner.offset, inner.len), (first.offset + 7, 2 * CLUSTER - 7));
    assert_eq!(layout.host_offset(CLUSTER * 3), None);
    let second = layout.host_offset(1 << 39).unwrap();
    assert_eq!((second.offset, second.len), (first.offset + 2 * CLUSTER, 1 << 39));
    assert_eq!(layout.host_offset(1 << 40), None);
    assert_eq!(layout.host_offset(u64::MAX), None);
}

#[test]
fn impossible_layouts_are_refused() {
    let out_of_place = |len, data: &[Range<u64>]| {
        let layout = Qcow2Layout::new(len, data.iter().cloned());
        assert!(matches!(layout, Err(LayoutError::RunOutOfPlace { .. })), "{layout:?}");
    };
    out_of_place(100, &[0..101]);
    out_of_place(100, &[50..60, 0..10]);
    out_of_place(100, &[0..20, 19..30]);
    #[allow(clippy::reversed_empty_ranges, reason = "the point of the test")]
    out_of_place(100, &[20..10]);
    let long = Qcow2Layout::new((64 << 40) + 1, []);
    assert_eq!(
        long.unwrap_err(),
        LayoutError::DiskTooLong {
            disk_len: (64 << 40) + 1,
            format: "qcow2",
            disk_len_max: 64 << 40
        }
    );
    assert!(Qcow2Layout::new(64 << 40, [0..64 << 40]).is_ok());

    let bench = Bench::new();
    std::fs::write(bench.path("used"), b"x").unwrap();
    let used = File::options().write(true).open(bench.path("used")).unwrap();
    assert!(write_metadata(&Qcow2Layout::new(0, []).unwrap(), &used).is_err());
}
