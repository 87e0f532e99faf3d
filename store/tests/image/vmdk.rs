//! VMDK disks of every kind, made by QEMU or by hand, and compared with QEMU's reads.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use seawall_store::image::{Format, OpenOptions, VmdkImage, open};

use super::qemu::{Bench, content, fails, read_mapped, runs};

const DISK_LEN: u64 = (3 << 20) + 5 * 512;

#[test]
fn each_kind_of_vmdk_reads_as_qemu_does() {
    let bench = Bench::new();
    bench.raw("disk.raw", DISK_LEN);
    for kind in [
        "monolithicSparse",
        "streamOptimized",
        "monolithicFlat",
        "twoGbMaxExtentSparse",
        "twoGbMaxExtentFlat",
    ] {
        bench.run(&format!(
            "qemu-img convert -f raw -O vmdk -o subformat={kind} disk.raw {kind}.vmdk"
        ));
        bench.assert_same(&format!("{kind}.vmdk"));
        let opened = open(&bench.path(&format!("{kind}.vmdk")), &OpenOptions::default()).unwrap();
        let is_one_file = matches!(kind, "monolithicSparse" | "streamOptimized");
        assert_eq!(opened.files().len(), if is_one_file { 1 } else { 2 }, "{kind}");
        assert!(opened.files().iter().all(|file| file.exists()), "{kind}");
        // The map of a flat extent comes from the file system, and is finer.
        let data: u64 = runs(&*opened).iter().map(|run| run.end - run.start).sum();
        assert!((900_000..1_300_000).contains(&data), "{kind}: {data}");
    }
}

#[test]
fn disks_of_several_extents_read_as_qemu_does() {
    let bench = Bench::new();
    let disk_len = 5 << 30;
    let disk = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(bench.path("disk.raw"))
        .unwrap();
    disk.set_len(disk_len).unwrap();
    let places = [0, (2 << 30) - 70_000, (4 << 30) - 1, disk_len - 100_000];
    for (seed, at) in (1..).zip(places) {
        disk.write_all_at(&content(100_000, seed), at).unwrap();
    }
    for kind in ["twoGbMaxExtentSparse", "twoGbMaxExtentFlat"] {
        bench.run(&format!(
            "qemu-img convert -f raw -O vmdk -o subformat={kind} disk.raw {kind}.vmdk"
        ));
        let opened = open(&bench.path(&format!("{kind}.vmdk")), &OpenOptions::default()).unwrap();
        assert_eq!((opened.disk_len(), opened.files().len()), (disk_len, 4), "{kind}");
        let (mut expected, mut read) = (vec![0; 200_000], vec![1; 200_000]);
        for at in places {
            let at = at.saturating_sub(50_000).min(disk_len - 200_000);
            disk.read_exact_at(&mut expected, at).unwrap();
            opened.read_at(at, &mut read).unwrap();
            assert!(read == expected, "{kind} {at}");
        }
        let found = runs(&*opened);
        let data: u64 = found.iter().map(|run| run.end - run.start).sum();
        assert!((400_000..1_000_000).contains(&data), "{kind}: {data}");
        let covered = |at: u64| found.iter().any(|run| run.contains(&at));
        assert!(places.iter().all(|at| covered(*at) && covered(at + 99_999)), "{kind}");
    }
}

/// Returns a descriptor with these extent lines.
fn descriptor(kind: &str, extents: &str) -> String {
    format!(
        "# Disk DescriptorFile\r\nversion=1\r\nCID=12345678\r\nparentCID=ffffffff\r\n\
         createType=\"{kind}\"\r\n\r\n{extents}\r\nddb.adapterType = \"lsilogic\"\r\n"
    )
}

#[test]
fn extents_of_different_kinds_make_one_disk() {
    let bench = Bench::new();
    for (name, seed) in [("a", 1), ("b", 2)] {
        fs::write(bench.path(&format!("{name}.raw")), content(200 * 512, seed)).unwrap();
    }
    bench.run("qemu-img convert -f raw -O vmdk -o adapter_type=lsilogic b.raw b-s001.vmdk");
    // Sectors 100 to 199 of one file, another whole file, and a part of the first again.
    let lines =
        "RW 100 FLAT \"a.raw\" 100\nRW 200 SPARSE \"b-s001.vmdk\"\nRDONLY 7 FLAT \"a.raw\" 3";
    fs::write(bench.path("disk.vmdk"), descriptor("custom", lines)).unwrap();
    let (a, b) = (content(200 * 512, 1), content(200 * 512, 2));
    let expected = [&a[100 * 512..], &b, &a[3 * 512..10 * 512]].concat();
    let opened = open(&bench.path("disk.vmdk"), &OpenOptions::default()).unwrap();
    assert!(read_mapped(&*opened, 99_999) == expected);

    // Zeros, which QEMU does not know, have no file.
    let lines = "RW 100 ZERO\nRW 200 SPARSE \"b-s001.vmdk\"\nRW 1000000 ZERO";
    fs::write(bench.path("disk.vmdk"), descriptor("custom", lines)).unwrap();
    let opened = open(&bench.path("disk.vmdk"), &OpenOptions::default()).unwrap();
    assert_eq!(opened.disk_len(), 1_000_300 * 512);
    assert_eq!(runs(&*opened), [51_200..51_200 + 200 * 512]);
    assert!(read_mapped(&*opened, 1 << 20)[51_200..][..200 * 512] == b);
}

#[test]
fn zeroed_grains_are_holes() {
    let bench = Bench::new();
    bench.run("qemu-img create -f vmdk -o zeroed_grain=on disk.vmdk 4M");
    bench.io("disk.vmdk", &["write -P 1 0 2M", "write -z 64k 128k", "write -z 1M 64k"]);
    bench.assert_same("disk.vmdk");
    let opened = open(&bench.path("disk.vmdk"), &OpenOptions::default()).unwrap();
    let data: u64 = runs(&*opened).iter().map(|run| run.end - run.start).sum();
    assert_eq!(data, (2 << 20) - (128 + 64) * 1024);
}

#[test]
fn snapshots_read_as_qemu_does() {
    let bench = Bench::new();
    bench.raw("disk.raw", DISK_LEN);
    bench.run("qemu-img convert -f raw -O vmdk disk.raw base.vmdk");
    bench.run("qemu-img create -q -f vmdk -b base.vmdk -F vmdk -o zeroed_grain=on one.vmdk");
    bench.io("one.vmdk", &["write -P 7 65k 70k", "write -z 1M 128k"]);
    bench.run("qemu-img create -q -f vmdk -b one.vmdk -F vmdk two.vmdk");
    bench.io("two.vmdk", &["write -P 8 1088k 3k", "write -P 9 3M 1k"]);
    bench.assert_same("one.vmdk");
    bench.assert_same_bytes("two.vmdk");
    let opened = open(&bench.path("two.vmdk"), &OpenOptions::default()).unwrap();
    let names: Vec<_> = opened.files().iter().map(|it| it.file_name().unwrap()).collect();
    assert_eq!(names, ["two.vmdk", "one.vmdk", "base.vmdk"]);

    let alone = OpenOptions { allow_backing: false, ..OpenOptions::default() };
    assert!(fails(&bench.path("two.vmdk"), &alone).contains("not allowed"));
    assert!(open(&bench.path("base.vmdk"), &alone).is_ok());

    // A base that was written to after the snapshot does not match.
    let base = fs::read(bench.path("base.vmdk")).unwrap();
    let at = base.windows(4).position(|word| word == b"CID=").unwrap() + 4;
    let file = File::options().write(true).open(bench.path("base.vmdk")).unwrap();
    // QEMU writes as many digits as the number has.
    let digits = base[at..].iter().position(|byte| *byte == b'\n').unwrap();
    file.write_all_at(&b"00000001"[8 - digits..], at as u64).unwrap();
    let message = fails(&bench.path("two.vmdk"), &OpenOptions::default());
    assert!(message.contains("its CID is 00000001") && message.contains("base.vmdk"), "{message}");
    fs::remove_file(bench.path("base.vmdk")).unwrap();
    let message = fails(&bench.path("two.vmdk"), &OpenOptions::default());
    assert!(message.contains("cannot be opened") && message.contains("one.vmdk"), "{message}");
}

#[test]
fn a_snapshot_of_itself_ends() {
    let bench = Bench::new();
    let text =
        descriptor("custom", "RW 100 ZERO").replace("parentCID=ffffffff", "parentCID=12345678");
    let text = text + "parentFileNameHint=\"disk.vmdk\"\n";
    fs::write(bench.path("disk.vmdk"), text).unwrap();
    let message = fails(&bench.path("disk.vmdk"), &OpenOptions::default());
    assert!(message.contains("comes back to it"), "{message}");
}

#[test]
fn a_qcow2_image_may_have_a_vmdk_for_its_base() {
    let bench = Bench::new();
    bench.raw("disk.raw", DISK_LEN);
    bench.run("qemu-img convert -f raw -O vmdk -o subformat=monolithicFlat disk.raw base.vmdk");
    bench.run("qemu-img create -q -f qcow2 -b base.vmdk -F vmdk top.qcow2");
    bench.io("top.qcow2", &["write -P 7 65k 70k", "write -z 1M 128k"]);
    bench.assert_same_bytes("top.qcow2");
    let opened = open(&bench.path("top.qcow2"), &OpenOptions::default()).unwrap();
    assert_eq!(opened.files().len(), 3);
}

/// Returns an extent of ESX with grains of one sector, of which every third is present.
fn cowd(sectors: u32, seed: u64) -> (Vec<u8>, Vec<u8>) {
    let mut file = vec![0; 4 * 512];
    let tables = sectors.div_ceil(4096);
    for (at, value) in
        [(0, 0x4457_4f43), (4, 1), (8, 3), (12, sectors), (16, 1), (20, 4), (24, tables)]
    {
        file[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
    }
    let noise = content(sectors as usize * 512, seed);
    let mut disk = vec![0; noise.len()];
    file.resize(4 * 512 + (tables as usize * 4).next_multiple_of(512), 0);
    for table in 0..tables {
        let sector = u32::try_from(file.len() / 512).unwrap();
        file[2048 + table as usize * 4..][..4].copy_from_slice(&sector.to_le_bytes());
        let at = file.len();
        file.resize(at + 4096 * 4, 0);
        for grain in (table * 4096..sectors.min((table + 1) * 4096)).filter(|it| it % 3 == 0) {
            let host = u32::try_from(file.len() / 512).unwrap();
            file[at + (grain % 4096) as usize * 4..][..4].copy_from_slice(&host.to_le_bytes());
            let range = grain as usize * 512..(grain as usize + 1) * 512;
            disk[range.clone()].copy_from_slice(&noise[range.clone()]);
            file.extend_from_slice(&noise[range]);
        }
    }
    (file, disk)
}

#[test]
fn esx_snapshots_read_as_qemu_does() {
    let bench = Bench::new();
    let (file, disk) = cowd(9000, 5);
    fs::write(bench.path("disk-delta.vmdk"), file).unwrap();
    let text = descriptor("vmfsSparse", "RW 9000 VMFSSPARSE \"disk-delta.vmdk\"");
    fs::write(bench.path("disk.vmdk"), text).unwrap();
    let opened = open(&bench.path("disk.vmdk"), &OpenOptions::default()).unwrap();
    assert!(read_mapped(&*opened, 77_777) == disk);
    // QEMU 7.2 counts such an extent twice, and has a disk of twice the length.
    bench.run("qemu-img convert -f vmdk -O raw disk.vmdk expected.raw");
    assert!(fs::read(bench.path("expected.raw")).unwrap()[..disk.len()] == disk);
    let message = fails(&bench.path("disk-delta.vmdk"), &OpenOptions::default());
    assert!(message.contains("without its descriptor"), "{message}");
}

/// Bytes within other bytes, like a member of a tar file.
struct Window(Vec<u8>, u64, u64);

impl seawall_store::image::Source for Window {
    fn source_len(&self) -> u64 {
        self.2
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        assert!(offset + buf.len() as u64 <= self.2, "a read past the end of the window");
        self.0.read_exact_at(self.1 + offset, buf)
    }

    fn next_run(&self, from: u64) -> std::io::Result<Option<std::ops::Range<u64>>> {
        Ok((from < self.2).then_some(from..self.2))
    }
}

#[test]
fn an_image_inside_another_file_is_read() {
    let bench = Bench::new();
    bench.raw("disk.raw", DISK_LEN);
    bench.run("qemu-img convert -f raw -O vmdk -o subformat=streamOptimized disk.raw disk.vmdk");
    let image = fs::read(bench.path("disk.vmdk")).unwrap();
    let len = image.len() as u64;
    let tar = [vec![0xaa; 1536], image, vec![0xbb; 3000]].concat();
    let image =
        VmdkImage::from_source("disk.ova".into(), Box::new(Window(tar, 1536, len))).unwrap();
    assert!(read_mapped(&image, 100_000) == fs::read(bench.path("disk.raw")).unwrap());
}

#[test]
fn one_extent_of_several_is_no_disk() {
    let bench = Bench::new();
    bench.run("qemu-img create -q -f vmdk -o subformat=twoGbMaxExtentSparse disk.vmdk 3G");
    let message = fails(&bench.path("disk-s001.vmdk"), &OpenOptions::default());
    assert!(
        message.contains("without its descriptor") && message.contains("disk.vmdk"),
        "{message}"
    );
    assert!(open(&bench.path("disk-s001.vmdk"), &super::qemu::forced(Format::Raw)).is_ok());
    fs::remove_file(bench.path("disk-s002.vmdk")).unwrap();
    let message = fails(&bench.path("disk.vmdk"), &OpenOptions::default());
    assert!(message.contains("disk-s002.vmdk") && message.contains("all of them"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24, failure_persistence: None, max_shrink_iters: 60, ..ProptestConfig::default()
    })]

    #[test]
    fn random_vmdk_chains_read_as_qemu_does(
        sectors in 1u64..2000,
        kind in prop::sample::select(vec!["monolithicSparse", "twoGbMaxExtentSparse"]),
        layers in prop::collection::vec(
            (prop::sample::select(vec!["on", "off"]),
             prop::collection::vec((any::<bool>(), 0u64..2000, 1u64..300), 0..8)),
            1..4,
        ),
    ) {
        let bench = Bench::new();
        let mut below = String::new();
        for (i, (zeroed, changes)) in layers.iter().enumerate() {
            let name = format!("{i}.vmdk");
            let base = if i == 0 {
                format!("-o subformat={kind},zeroed_grain={zeroed} {name} {}", sectors * 512)
            } else {
                format!("-o zeroed_grain={zeroed} -b {below} -F vmdk {name}")
            };
            bench.run(&format!("qemu-img create -q -f vmdk {base}"));
            let commands: Vec<_> = (1..).zip(changes).map(|(seed, (zero, at, len))| {
                let at = at % sectors;
                let how = if *zero { "-z".to_owned() } else { format!("-P {seed}") };
                format!("write {how} {} {}", at * 512, len.min(&(sectors - at)) * 512)
            }).collect();
            bench.io(&name, &commands.iter().map(String::as_str).collect::<Vec<_>>());
            below = name;
        }
        bench.assert_same(&below);
    }
}
