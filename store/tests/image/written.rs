//! Layouts of every format: any order of writes gives the same file, and QEMU reads the same disk.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use seawall_api::digest::ContentDigest;
use seawall_store::image::layout::{ExportFormat, Layout, Part, Round, lay_out, write_metadata};
use seawall_store::image::{Format, OpenOptions, open};

use super::qemu::{Bench, content, qemu_format, read_mapped, runs};

const MIB: u64 = 1 << 20;

/// Writes `disk` in two ways, as files `one` and `two`: backwards at the offsets of the layout, and
/// by parts as through a pipe.
pub(super) fn write(bench: &Bench, layout: &dyn Layout, disk: &[u8], data: &[Range<u64>]) {
    let one = File::create(bench.path("one")).unwrap();
    write_metadata(layout, &one).unwrap();
    for run in data.iter().rev() {
        let mut at = run.start;
        while at < run.end {
            let host = layout.host_offset(at).unwrap();
            let end = run.end.min(at + host.len);
            one.write_all_at(&disk[place(&(at..end))], host.offset).unwrap();
            at = end;
        }
    }
    let mut two = File::create(bench.path("two")).unwrap();
    let mut len = 0;
    for part in layout.parts() {
        len += part.part_len();
        match part {
            Part::Bytes(bytes) => two.write_all(&bytes).unwrap(),
            Part::Zeros(len) => two.write_all(&vec![0; usize::try_from(len).unwrap()]).unwrap(),
            Part::Guest(range) => two.write_all(&disk[place(&range)]).unwrap(),
        }
    }
    assert_eq!(len, layout.file_len());
    let (one, two) = (std::fs::read(bench.path("one")), std::fs::read(bench.path("two")));
    assert!(one.unwrap() == two.unwrap(), "both ways give one file");
}

fn place(range: &Range<u64>) -> Range<usize> {
    usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()
}

/// Creates a disk with noise in these runs, also as `disk.raw`.
pub(super) fn disk(bench: &Bench, disk_len: u64, data: &[Range<u64>]) -> Vec<u8> {
    let mut disk = vec![0; usize::try_from(disk_len).unwrap()];
    for run in data {
        let range = place(run);
        disk[range.clone()].copy_from_slice(&content(range.len(), run.start + 1));
    }
    std::fs::write(bench.path("disk.raw"), &disk).unwrap();
    disk
}

/// Returns QEMU's name for a format.
fn named(bench: &Bench, format: ExportFormat) -> &'static str {
    let name = match format {
        ExportFormat::Raw => "disk.img",
        ExportFormat::Qcow2 => "disk.qcow2",
        ExportFormat::Vhd | ExportFormat::VhdFixed => "disk.vhd",
        _ => "disk.vhdx",
    };
    std::fs::rename(bench.path("two"), bench.path(name)).unwrap();
    name
}

/// Lays out a disk, writes the file, and reads it back with QEMU and our reader.
fn check(format: ExportFormat, disk_len: u64, data: &[Range<u64>]) {
    let bench = Bench::new();
    let bytes = disk(&bench, disk_len, data);
    let content = ContentDigest::of(&bytes);
    let layout = lay_out(format, Round::Exact, disk_len, &content, data.iter().cloned()).unwrap();
    write(&bench, &*layout, &bytes, data);
    let name = named(&bench, format);
    let qemu = qemu_format(name);
    // `qemu-img check` supports neither raw images nor VHD.
    if !matches!(qemu, "raw" | "vpc") {
        bench.run(&format!("qemu-img check -f {qemu} {name}"));
    }
    // Zeros past the end of one do not matter here; `assert_same` looks at the length.
    bench.run(&format!("qemu-img compare -f raw -F {qemu} disk.raw {name}"));
    // The file with all its zeros written has the map of its format, which is QEMU's.
    bench.assert_same(name);
    // The file with holes reads the same.
    let is_raw = qemu == "raw";
    let said = OpenOptions { format: is_raw.then_some(Format::Raw), ..OpenOptions::default() };
    let opened = open(&bench.path("one"), &said).unwrap();
    assert_eq!(opened.disk_len(), disk_len, "{format}");
    assert!(read_mapped(&*opened, 1 << 20) == bytes, "{format}: our reader");
    let covered = |at: &u64| runs(&*opened).iter().any(|run| run.contains(at));
    let data = data.iter().filter(|run| !run.is_empty());
    assert!(data.clone().all(|run| covered(&run.start) && covered(&(run.end - 1))), "{format}");
}

const FORMATS: [ExportFormat; 6] = [
    ExportFormat::Raw,
    ExportFormat::Qcow2,
    ExportFormat::Vhd,
    ExportFormat::VhdFixed,
    ExportFormat::Vhdx,
    ExportFormat::VhdxFixed,
];

#[test]
fn qemu_reads_every_format_as_the_same_disk() {
    for format in FORMATS {
        for (disk_len, data) in [
            (3578 * 512, vec![4472..261_209]),
            (512, vec![0..512]),
            (3 * MIB, vec![]),
            (5 * MIB + 512, vec![5..6, 70_000..200_000, 5 * MIB - 5..5 * MIB + 512]),
            (2 * MIB, vec![0..2 * MIB]),
            (9 * MIB, vec![0..100, 100..200, 2 * MIB - 1..2 * MIB + 1, 6 * MIB..7 * MIB]),
        ] {
            check(format, disk_len, &data);
        }
    }
}

#[test]
fn names_of_formats_are_read_as_they_are_written() {
    for format in ExportFormat::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    let unknown = "vdi".parse::<ExportFormat>().unwrap_err().to_string();
    assert!(unknown.contains("vhd-fixed") && unknown.contains("vdi"), "{unknown}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24, failure_persistence: None, max_shrink_iters: 40, ..ProptestConfig::default()
    })]

    #[test]
    fn random_disks_are_written_as_qemu_reads_them(
        format in prop::sample::select(FORMATS.to_vec()),
        sectors in 1u64..20_000,
        cuts in prop::collection::btree_set(0u64..10_240_000, 0..12),
    ) {
        let disk_len = sectors * 512;
        let cuts: Vec<u64> = cuts.into_iter().filter(|cut| *cut <= disk_len).collect();
        let data: Vec<_> = cuts.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
        check(format, disk_len, &data);
    }
}
