//! Every kind of qcow2 image that QEMU makes.

use std::fs::OpenOptions as FileOptions;
use std::os::unix::fs::FileExt;

use seawall_store::image::{Format, OpenOptions, open};

use super::qemu::{Bench, fails, forced, read_mapped, runs};

const DISK_LEN: u64 = (3 << 20) + 5 * 512;

#[test]
fn each_version_and_cluster_size_reads_as_qemu_does() {
    let bench = Bench::new();
    bench.raw("disk.raw", DISK_LEN);
    for compat in ["0.10", "1.1"] {
        for cluster in ["512", "4k", "64k", "2M"] {
            for flags in ["", "-c"] {
                bench.run(&format!(
                    "qemu-img convert {flags} -f raw -O qcow2 \
                     -o compat={compat},cluster_size={cluster} disk.raw disk.qcow2"
                ));
                bench.assert_same("disk.qcow2");
            }
        }
    }
}

#[test]
fn zstd_clusters_read_as_qemu_does() {
    let bench = Bench::new();
    bench.raw("disk.raw", DISK_LEN);
    for cluster in ["512", "4k", "64k", "2M"] {
        bench.run(&format!(
            "qemu-img convert -c -f raw -O qcow2 \
             -o compression_type=zstd,cluster_size={cluster} disk.raw disk.qcow2"
        ));
        bench.assert_same("disk.qcow2");
    }
}

#[test]
fn subclusters_read_as_qemu_does() {
    let bench = Bench::new();
    bench.raw("disk.raw", DISK_LEN);
    for cluster in ["16k", "64k", "2M"] {
        for flags in ["", "-c"] {
            bench.run(&format!(
                "qemu-img convert {flags} -f raw -O qcow2 \
                 -o extended_l2=on,cluster_size={cluster} disk.raw disk.qcow2"
            ));
            bench.assert_same("disk.qcow2");
            bench.io("disk.qcow2", &["write -P 7 513k 1k", "write -z 514k 6k", "discard 64k 2k"]);
            bench.assert_same("disk.qcow2");
        }
    }
}

#[test]
fn zero_clusters_are_holes() {
    let bench = Bench::new();
    for extended in ["off", "on"] {
        bench.run(&format!("qemu-img create -f qcow2 -o extended_l2={extended} disk.qcow2 4M"));
        bench.io(
            "disk.qcow2",
            &["write -P 1 0 2M", "write -z 64k 128k", "discard 512k 64k", "write -z -u 1M 128k"],
        );
        bench.assert_same("disk.qcow2");

        let opened = open(&bench.path("disk.qcow2"), &OpenOptions::default()).unwrap();
        let data: u64 = runs(&*opened).iter().map(|run| run.end - run.start).sum();
        assert_eq!(data, (2 << 20) - (128 + 64 + 128) * 1024);
    }
}

#[test]
fn internal_snapshots_do_not_show() {
    let bench = Bench::new();
    bench.run("qemu-img create -f qcow2 disk.qcow2 4M");
    bench.io("disk.qcow2", &["write -P 1 0 2M"]);
    bench.run("qemu-img snapshot -c first disk.qcow2");
    bench.io("disk.qcow2", &["write -P 2 1M 2M"]);
    bench.run("qemu-img snapshot -c second disk.qcow2");
    bench.io("disk.qcow2", &["write -P 3 100k 700k"]);
    bench.assert_same("disk.qcow2");
}

#[test]
fn preallocated_images_read_as_qemu_does() {
    let bench = Bench::new();
    for how in ["metadata", "falloc", "full"] {
        bench.run(&format!("qemu-img create -f qcow2 -o preallocation={how} disk.qcow2 3M"));
        bench.io("disk.qcow2", &["write -P 1 1M 100k"]);
        bench.assert_same("disk.qcow2");
    }
}

#[test]
fn clusters_that_were_preallocated_and_never_written_are_holes() {
    let bench = Bench::new();
    bench.run("qemu-img create -f qcow2 -o preallocation=metadata disk.qcow2 3M");
    bench.io("disk.qcow2", &["write -P 1 1M 64k"]);
    let opened = open(&bench.path("disk.qcow2"), &OpenOptions::default()).unwrap();
    let data: u64 = runs(&*opened).iter().map(|run| run.end - run.start).sum();
    // QEMU writes the last sector, or a byte of it, to give the file its length.
    assert!((64 << 10..256 << 10).contains(&data), "{data}");
}

#[test]
fn lazy_refcounts_and_an_unclean_shutdown_do_not_matter() {
    let bench = Bench::new();
    bench.run("qemu-img create -f qcow2 -o lazy_refcounts=on disk.qcow2 3M");
    bench.io("disk.qcow2", &["write -P 1 1M 100k", "flush"]);
    patch(&bench, "disk.qcow2", 79, &[1]);
    let opened = open(&bench.path("disk.qcow2"), &OpenOptions::default()).unwrap();
    assert_eq!(read_mapped(&*opened, 4 << 20)[1 << 20], 1);
}

#[test]
fn empty_and_tiny_disks_open() {
    let bench = Bench::new();
    for len in ["0", "512", "1024"] {
        bench.run(&format!("qemu-img create -f qcow2 disk.qcow2 {len}"));
        bench.assert_same("disk.qcow2");
    }
    // QEMU's guests see whole sectors only.
    bench.run("qemu-img create -f qcow2 disk.qcow2 1M");
    bench.io("disk.qcow2", &["write -P 1 0 1M"]);
    patch(&bench, "disk.qcow2", 24, &1_000_000u64.to_be_bytes());
    bench.assert_same("disk.qcow2");
}

#[test]
fn a_large_sparse_disk_is_mapped_at_once() {
    let bench = Bench::new();
    bench.run("qemu-img create -f qcow2 disk.qcow2 1T");
    bench.io("disk.qcow2", &["write -P 1 0 64k", "write -P 2 700G 1M", "write -P 3 1023G 64k"]);
    let opened = open(&bench.path("disk.qcow2"), &OpenOptions::default()).unwrap();
    let starts: Vec<u64> = runs(&*opened).iter().map(|run| run.start >> 30).collect();
    assert_eq!(starts, [0, 700, 1023]);
}

#[test]
fn a_last_cluster_that_ends_past_the_file_reads_as_qemu_does() {
    let bench = Bench::new();
    bench.run("qemu-img create -f qcow2 disk.qcow2 1M");
    bench.io("disk.qcow2", &["write -P 1 0 256k"]);
    let file = FileOptions::new().write(true).open(bench.path("disk.qcow2")).unwrap();
    let len = file.metadata().unwrap().len();
    file.set_len(len - 10_240).unwrap();
    bench.assert_same_bytes("disk.qcow2");

    file.set_len(len - 65_536).unwrap();
    let opened = open(&bench.path("disk.qcow2"), &OpenOptions::default()).unwrap();
    let err = opened.read_at(0, &mut vec![0; 1 << 20]).unwrap_err().to_string();
    assert!(err.contains("L2 entry") && err.contains("past the end of file"), "{err}");
}

#[test]
fn many_threads_read_compressed_clusters_at_once() {
    let bench = Bench::new();
    bench.raw("disk.raw", DISK_LEN);
    bench.run("qemu-img convert -c -f raw -O qcow2 disk.raw disk.qcow2");
    let expected = std::fs::read(bench.path("disk.raw")).unwrap();
    let opened = open(&bench.path("disk.qcow2"), &OpenOptions::default()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (opened, expected) = (&opened, &expected);
            scope.spawn(move || {
                for part in (thread * 7_000..expected.len() - 50_000).step_by(23_456) {
                    let mut buf = vec![0; 50_000];
                    opened.read_at(u64::try_from(part).unwrap(), &mut buf).unwrap();
                    assert!(buf == expected[part..part + 50_000]);
                }
            });
        }
    });
}

#[test]
fn foreign_formats_are_refused_unless_raw_is_forced() {
    let bench = Bench::new();
    bench.raw("disk.raw", 1 << 20);
    for (format, options) in [("qed", ""), ("parallels", ""), ("qcow", "")] {
        bench.run(&format!("qemu-img convert -f raw -O {format} {options} disk.raw disk.img"));
        let message = fails(&bench.path("disk.img"), &OpenOptions::default());
        assert!(message.contains("qemu-img convert -O qcow2"), "{format}: {message}");
        assert!(open(&bench.path("disk.img"), &forced(Format::Raw)).is_ok());
    }
    let message = fails(&bench.path("disk.raw"), &forced(Format::Qcow2));
    assert!(message.contains("magic"), "{message}");
}

#[test]
fn encryption_and_external_data_files_are_refused_by_name() {
    let bench = Bench::new();
    // The method is written into the header (crypt_method, QEMU docs/interop/qcow2.txt), because
    // `qemu-img create` of a LUKS image measures the machine's speed and fails if it measures zero.
    bench.run("qemu-img create -q -f qcow2 luks.qcow2 1M");
    patch(&bench, "luks.qcow2", 32, &2u32.to_be_bytes());
    let message = fails(&bench.path("luks.qcow2"), &OpenOptions::default());
    assert!(message.contains("LUKS encryption") && message.contains("decrypt"), "{message}");

    bench.run("qemu-img create -f qcow2 -o data_file=data.raw outer.qcow2 1M");
    let message = fails(&bench.path("outer.qcow2"), &OpenOptions::default());
    assert!(message.contains("external data file"), "{message}");
}

fn patch(bench: &Bench, image: &str, at: u64, bytes: &[u8]) {
    let file = FileOptions::new().write(true).open(bench.path(image)).unwrap();
    file.write_all_at(bytes, at).unwrap();
}
