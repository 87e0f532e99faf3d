//! QEMU and our reader find the output of conversions sound and equal to the source.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use proptest::prelude::*;
use seawall_api::digest::ContentDigest;
use seawall_store::image::convert::{Convert, ConvertError, ConvertReport, Output};
use seawall_store::image::layout::{ExportFormat, LayoutError, Round};
use seawall_store::image::{OpenOptions, open};
use seawall_store::new_file::{NewFile, NewFileError, Overwrite};

use super::qemu::{Bench, content, read_mapped, runs};

/// Each output format, with its file extension and QEMU's name.
const FORMATS: [(ExportFormat, &str, &str); 10] = [
    (ExportFormat::Raw, "raw", "raw"),
    (ExportFormat::Qcow2, "qcow2", "qcow2"),
    (ExportFormat::Qcow2Zstd, "qcow2", "qcow2"),
    (ExportFormat::Qcow2Zlib, "qcow2", "qcow2"),
    (ExportFormat::Vmdk, "vmdk", "vmdk"),
    (ExportFormat::VmdkStream, "vmdk", "vmdk"),
    (ExportFormat::Vhd, "vhd", "vpc"),
    (ExportFormat::VhdFixed, "vhd", "vpc"),
    (ExportFormat::Vhdx, "vhdx", "vhdx"),
    (ExportFormat::VhdxFixed, "vhdx", "vhdx"),
];

fn convert(
    from: &Path,
    to: &Path,
    format: ExportFormat,
    threads: usize,
) -> Result<ConvertReport, ConvertError> {
    let image = open(from, &OpenOptions::default()).unwrap();
    let (begin, advance) = (&|_, _| (), &|_| ());
    let round = Round::Exact;
    let order = Convert { image: &*image, format, round, threads, begin, advance };
    let new = NewFile::create(to, Overwrite::Replace)?;
    let report = order.run(Output::File(new.file()))?;
    new.commit()?;
    assert_eq!(report.file_len, fs::metadata(to).unwrap().len(), "{format}");
    Ok(report)
}

fn piped(from: &Path, format: ExportFormat) -> Result<Vec<u8>, ConvertError> {
    let image = open(from, &OpenOptions::default()).unwrap();
    let (begin, advance) = (&|_, _| (), &|_| ());
    let round = Round::Exact;
    let order = Convert { image: &*image, format, round, threads: 2, begin, advance };
    let mut bytes = Vec::new();
    order.run(Output::Pipe(&mut bytes))?;
    Ok(bytes)
}

/// Creates a raw disk with noise and zeros in some sectors.
fn disk(bench: &Bench, sectors: u64, writes: &[(bool, u64, u64)]) {
    let file = fs::File::create(bench.path("disk.raw")).unwrap();
    file.set_len(sectors * 512).unwrap();
    for (seed, (zero, at, len)) in (1..).zip(writes) {
        let at = at % sectors;
        let len = usize::try_from((*len).min(sectors - at) * 512).unwrap();
        let bytes = if *zero { vec![0; len] } else { content(len, seed) };
        file.write_all_at(&bytes, at * 512).unwrap();
    }
}

/// Converts `disk.raw` to each format, and checks the result with QEMU and our reader.
fn check_all(bench: &Bench) {
    let raw = fs::read(bench.path("disk.raw")).unwrap();
    for (format, extension, qemu) in FORMATS {
        let name = format!("{format}.{extension}");
        let path = bench.path(&name);
        let report = convert(&bench.path("disk.raw"), &path, format, 3).unwrap();
        assert_eq!(report.content, ContentDigest::of(&raw), "{format}");
        if qemu == "qcow2" {
            bench.run(&format!("qemu-img check -f qcow2 {name}"));
        }
        bench.run(&format!("qemu-img compare -f raw -F {qemu} disk.raw {name}"));
        let opened = open(&path, &OpenOptions::default()).unwrap();
        assert!(read_mapped(&*opened, 100_000) == raw, "{format}");
        // No more data than the disk has, in units of the format.
        let unit = match qemu {
            "raw" => 4096,
            "qcow2" | "vmdk" => 65_536,
            // A block may hold anything, and a fixed VHD ends with its footer.
            _ => 0,
        };
        let of_unit =
            |at: u64| raw[usize::try_from(at).unwrap()..].iter().take(unit).any(|b| *b != 0);
        for run in runs(&*opened).into_iter().filter(|_| unit > 0) {
            let unit = unit as u64;
            let first = run.start / unit * unit;
            for at in (first..run.end).step_by(usize::try_from(unit).unwrap()) {
                assert!(of_unit(at), "{format}: zeros at {at} are data");
            }
        }
        // The same file from another image of the disk, on another number of threads.
        let first = fs::read(&path).unwrap();
        let back = convert(&path, &bench.path("back.raw"), ExportFormat::Raw, 2).unwrap();
        assert_eq!((back.content, back.data_len), (report.content, report.data_len), "{format}");
        assert!(fs::read(bench.path("back.raw")).unwrap() == raw, "{format}");
        convert(&path, &bench.path("again"), format, 1).unwrap();
        assert!(fs::read(bench.path("again")).unwrap() == first, "{format} is not deterministic");
        match piped(&path, format) {
            Ok(bytes) => assert!(bytes == first, "{format}: a pipe gets other bytes"),
            Err(error) => assert!(matches!(error, ConvertError::NotForPipes { .. }), "{error}"),
        }
    }
}

#[test]
fn every_format_is_sound_equal_deterministic_and_comes_back() {
    let bench = Bench::new();
    bench.raw("disk.raw", (3 << 20) + 5 * 512);
    check_all(&bench);
}

#[test]
fn a_disk_of_zeros_has_no_data_in_any_format() {
    let bench = Bench::new();
    disk(&bench, 9000, &[(true, 0, 5000)]);
    check_all(&bench);
}

#[test]
fn data_past_the_first_tables_is_found() {
    let bench = Bench::new();
    // A table covers 32 MiB in VMDK and 512 MiB in qcow2; a leaf covers 256 MiB.
    let gib = 1 << 21;
    let writes =
        [(false, 0, 9), (false, gib / 2 - 3, 7), (false, gib - 200, 500), (false, 2 * gib - 1, 1)];
    disk(&bench, 2 * gib, &writes);
    for (format, extension, qemu) in FORMATS {
        let name = format!("{format}.{extension}");
        convert(&bench.path("disk.raw"), &bench.path(&name), format, 2).unwrap();
        bench.run(&format!("qemu-img compare -f raw -F {qemu} disk.raw {name}"));
        if qemu == "qcow2" {
            bench.run(&format!("qemu-img check -f qcow2 {name}"));
        }
        let opened = open(&bench.path(&name), &OpenOptions::default()).unwrap();
        let data: u64 = runs(&*opened).iter().map(|run| run.end - run.start).sum();
        assert!(data <= 10 << 16, "{format}: {data}");
    }
}

#[test]
fn data_that_does_not_shrink_is_stored_in_qcow2() {
    let bench = Bench::new();
    let mut noise = blake3::Hasher::new().finalize_xof();
    let mut bytes = vec![0; 3 << 20];
    noise.fill(&mut bytes);
    // Compressible bytes between clusters of noise.
    bytes[1 << 20..(1 << 20) + 100_000].fill(7);
    fs::write(bench.path("disk.raw"), bytes).unwrap();
    check_all(&bench);
}

#[test]
fn any_image_of_a_disk_by_qemu_converts_to_the_same_file() {
    let bench = Bench::new();
    bench.raw("disk.raw", (3 << 20) + 5 * 512);
    let sources = [
        ("qcow2", "-c -O qcow2"),
        ("vmdk", "-O vmdk -o subformat=streamOptimized"),
        ("vmdk", "-O vmdk -o subformat=twoGbMaxExtentFlat"),
    ];
    for (format, _, _) in FORMATS {
        convert(&bench.path("disk.raw"), &bench.path("expected"), format, 2).unwrap();
        let expected = fs::read(bench.path("expected")).unwrap();
        for (extension, how) in sources {
            bench.run(&format!("qemu-img convert -f raw {how} disk.raw source.{extension}"));
            convert(&bench.path(&format!("source.{extension}")), &bench.path("out"), format, 2)
                .unwrap();
            assert!(fs::read(bench.path("out")).unwrap() == expected, "{format} from {how}");
        }
    }
}

#[test]
fn a_length_between_sectors_is_filled_up_in_formats_of_sectors() {
    let bench = Bench::new();
    fs::write(bench.path("disk.raw"), content(100_001, 3)).unwrap();
    for (format, extension, qemu) in FORMATS {
        let name = format!("{format}.{extension}");
        if matches!(extension, "vhd" | "vhdx") {
            let error = convert(&bench.path("disk.raw"), &bench.path(&name), format, 2);
            assert!(matches!(error, Err(ConvertError::Layout(_))), "{format}");
            continue;
        }
        convert(&bench.path("disk.raw"), &bench.path(&name), format, 2).unwrap();
        bench.run(&format!("qemu-img compare -f raw -F {qemu} disk.raw {name}"));
        if let Ok(bytes) = piped(&bench.path("disk.raw"), format) {
            assert!(bytes == fs::read(bench.path(&name)).unwrap(), "{format}");
        }
    }
}

#[test]
fn a_name_that_is_taken_is_kept_and_nothing_is_left_behind() {
    let bench = Bench::new();
    let names = || fs::read_dir(bench.path(".")).unwrap().count();
    fs::write(bench.path("taken"), b"precious").unwrap();
    let error = NewFile::create(&bench.path("taken"), Overwrite::Refuse).unwrap_err();
    let error = ConvertError::from(error);
    assert!(matches!(error, ConvertError::Exists { .. }) && error.remedy().is_some());
    for (path, overwrite) in
        [(".", Overwrite::Refuse), (".", Overwrite::Replace), ("/dev/null", Overwrite::Replace)]
    {
        assert!(NewFile::create(&bench.path(path), overwrite).is_err(), "{path}");
    }
    assert_eq!(names(), 1);

    // Taken while the file was written.
    let new = NewFile::create(&bench.path("new"), Overwrite::Refuse).unwrap();
    fs::write(bench.path("new"), b"first").unwrap();
    assert!(matches!(new.commit().unwrap_err(), NewFileError::Exists { .. }));
    assert_eq!(fs::read(bench.path("new")).unwrap(), b"first");
    drop(new);
    assert_eq!(names(), 2);

    let new = NewFile::create(&bench.path("taken"), Overwrite::Replace).unwrap();
    drop(new);
    assert_eq!(fs::read(bench.path("taken")).unwrap(), b"precious");
    let new = NewFile::create(&bench.path("taken"), Overwrite::Replace).unwrap();
    new.commit().unwrap();
    assert_eq!(fs::read(bench.path("taken")).unwrap(), b"");
    assert_eq!(names(), 2);
}

/// A pipe whose reader disconnects after some bytes.
struct Broken(usize);

impl io::Write for Broken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(self.0);
        self.0 -= len;
        if len == 0 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(len) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn vhds_alone_are_filled_up_to_whole_mib() {
    let bench = Bench::new();
    let disk = content((2 << 20) + 1537, 7);
    fs::write(bench.path("disk.raw"), &disk).unwrap();
    let image = open(&bench.path("disk.raw"), &OpenOptions::default()).unwrap();
    for (format, extension, _) in FORMATS {
        let (begin, advance) = (&|_, _| (), &|_| ());
        let round = Round::UpToMib;
        let order = Convert { image: &*image, format, round, threads: 2, begin, advance };
        let path = bench.path(&format!("new.{extension}"));
        let new = NewFile::create(&path, Overwrite::Replace).unwrap();
        let outcome = order.run(Output::File(new.file()));
        if !matches!(format, ExportFormat::Vhd | ExportFormat::VhdFixed) {
            let error = outcome.unwrap_err();
            let is_refused = matches!(error, ConvertError::Layout(LayoutError::NotRounded { .. }));
            assert!(is_refused, "{format}: {error}");
            continue;
        }
        assert_eq!(outcome.unwrap().disk_len, disk.len() as u64, "{format}");
        new.commit().unwrap();
        let mut bytes = Vec::new();
        order.run(Output::Pipe(&mut bytes)).unwrap();
        assert!(bytes == fs::read(&path).unwrap(), "{format}: a pipe gives the same file");
        let mut read = read_mapped(&*open(&path, &OpenOptions::default()).unwrap(), 1 << 20);
        assert_eq!(read.len(), 3 << 20, "{format}");
        assert!(read.split_off(disk.len()).iter().all(|byte| *byte == 0), "{format}");
        assert!(read == disk, "{format}");
    }
}

#[test]
fn an_output_that_fails_ends_the_conversion() {
    let bench = Bench::new();
    fs::write(bench.path("disk.raw"), content(20 << 20, 5)).unwrap();
    let image = open(&bench.path("disk.raw"), &OpenOptions::default()).unwrap();
    for format in [ExportFormat::Raw, ExportFormat::Vmdk, ExportFormat::VmdkStream] {
        for len in [0, 100_000, 3 << 20] {
            let (begin, advance) = (&|_, _| (), &|_| ());
            let round = Round::Exact;
            let order = Convert { image: &*image, format, round, threads: 2, begin, advance };
            let error = order.run(Output::Pipe(&mut Broken(len))).unwrap_err();
            assert!(matches!(error, ConvertError::Write(_)), "{format}: {error}");
        }
    }
}

#[test]
fn a_source_that_fails_ends_the_conversion() {
    let bench = Bench::new();
    fs::write(bench.path("disk.raw"), content(20 << 20, 5)).unwrap();
    bench.run("qemu-img convert -c -f raw -O qcow2 disk.raw source.qcow2");
    let bytes = fs::read(bench.path("source.qcow2")).unwrap();
    // The data is truncated, but the tables at the start are complete.
    fs::write(bench.path("source.qcow2"), &bytes[..bytes.len() / 2]).unwrap();
    for (format, ..) in FORMATS {
        let error =
            convert(&bench.path("source.qcow2"), &bench.path("out"), format, 2).unwrap_err();
        assert!(matches!(error, ConvertError::Image(_)), "{format}: {error}");
        assert_eq!(fs::read_dir(bench.path(".")).unwrap().count(), 2, "{format}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12, failure_persistence: None, max_shrink_iters: 30, ..ProptestConfig::default()
    })]

    #[test]
    fn random_disks_convert_to_every_format(
        sectors in 1u64..3000,
        writes in prop::collection::vec((any::<bool>(), 0u64..3000, 1u64..400), 0..10),
    ) {
        let bench = Bench::new();
        disk(&bench, sectors, &writes);
        check_all(&bench);
    }
}

/// In the first file, the second gibibyte is allocated zeros. A count of qcow2 tables from the
/// allocation differs from the final one, and so do the places of data.
#[test]
fn a_map_that_calls_zeros_data_does_not_show_in_the_file() {
    let bench = Bench::new();
    let (sectors, data) = (3 << 21, [(false, 5, 9000), (false, 40_000, 300)]);
    let zeros = [(true, (1 << 21) + 7, 5000), (true, 3 << 20, 20)];
    for (format, ..) in FORMATS.into_iter().filter(|(format, ..)| {
        let all_places = [ExportFormat::Raw, ExportFormat::VhdFixed, ExportFormat::VhdxFixed];
        !all_places.contains(format)
    }) {
        disk(&bench, sectors, &[&data[..], &zeros].concat());
        convert(&bench.path("disk.raw"), &bench.path("mapped"), format, 2).unwrap();
        disk(&bench, sectors, &data);
        convert(&bench.path("disk.raw"), &bench.path("plain"), format, 2).unwrap();
        let (mapped, plain) = (fs::read(bench.path("mapped")), fs::read(bench.path("plain")));
        assert!(mapped.unwrap() == plain.unwrap(), "{format}");
    }
}
