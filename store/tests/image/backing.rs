//! Chains of backing files, sound and unsound.

use seawall_store::image::{OpenOptions, open};

use super::qemu::{Bench, fails, runs};

#[test]
fn a_chain_of_three_reads_as_qemu_does() {
    for extended in ["off", "on"] {
        for cluster in ["16k", "64k", "2M"] {
            let bench = Bench::new();
            let options = format!("extended_l2={extended},cluster_size={cluster}");
            bench.raw("base.raw", (3 << 20) + 512);
            bench.run(&format!(
                "qemu-img create -f qcow2 -o {options} -b base.raw -F raw middle.qcow2"
            ));
            bench.io("middle.qcow2", &["write -P 1 10k 40k", "write -z 1100k 200k"]);
            bench.run(&format!(
                "qemu-img create -f qcow2 -o {options} -b middle.qcow2 -F qcow2 top.qcow2"
            ));
            bench.io("top.qcow2", &["write -P 2 20k 3k", "write -z 0 8k", "discard 2M 100k"]);
            bench.assert_same("middle.qcow2");
            bench.assert_same("top.qcow2");

            let opened = open(&bench.path("top.qcow2"), &OpenOptions::default()).unwrap();
            let names: Vec<_> = opened.files().iter().filter_map(|it| it.file_name()).collect();
            assert_eq!(names, ["top.qcow2", "middle.qcow2", "base.raw"]);
        }
    }
}

#[test]
fn compressed_layers_below_smaller_clusters_read_as_qemu_does() {
    let bench = Bench::new();
    bench.raw("base.raw", 3 << 20);
    bench.run("qemu-img convert -c -f raw -O qcow2 -o cluster_size=2M base.raw base.qcow2");
    bench.run("qemu-img create -f qcow2 -o cluster_size=512 -b base.qcow2 -F qcow2 top.qcow2");
    bench.io("top.qcow2", &["write -P 2 20k 3k", "write -z 0 8k", "write -P 4 2047k 2k"]);
    bench.assert_same("top.qcow2");
}

#[test]
fn a_backing_file_of_another_length_reads_as_qemu_does() {
    let bench = Bench::new();
    bench.raw("base.raw", 3 << 20);
    for (middle, top) in [("1M", "4M"), ("5M", "2M"), ("1100k", "2900k"), ("4M", "1025k")] {
        bench.run(&format!("qemu-img create -f qcow2 -b base.raw -F raw middle.qcow2 {middle}"));
        bench.io("middle.qcow2", &["write -P 9 1020k 4k"]);
        bench.run(&format!("qemu-img create -f qcow2 -b middle.qcow2 -F qcow2 top.qcow2 {top}"));
        bench.assert_same("top.qcow2");
    }
}

#[test]
fn a_zero_cluster_above_data_is_a_hole() {
    let bench = Bench::new();
    bench.run("qemu-img create -f qcow2 base.qcow2 1M");
    bench.io("base.qcow2", &["write -P 1 0 1M"]);
    bench.run("qemu-img create -f qcow2 -b base.qcow2 -F qcow2 top.qcow2");
    bench.io("top.qcow2", &["write -z 64k 64k"]);
    let opened = open(&bench.path("top.qcow2"), &OpenOptions::default()).unwrap();
    assert_eq!(runs(&*opened), [0..64 << 10, 128 << 10..1 << 20]);
}

#[test]
fn a_declared_format_beats_the_content_of_the_backing_file() {
    let bench = Bench::new();
    bench.run("qemu-img create -f qcow2 inner.qcow2 1M");
    bench.run("qemu-img create -f qcow2 -b inner.qcow2 -F raw top.qcow2 1M");
    bench.assert_same("top.qcow2");
}

#[test]
fn a_compressed_backing_file_is_refused_and_never_taken_for_the_disk() {
    let bench = Bench::new();
    bench.raw("base.raw", 1 << 20);
    bench.run("gzip -k base.raw");
    bench.run("qemu-img create -f qcow2 -u -b base.raw.gz -F raw top.qcow2 1M");
    // QEMU no longer writes images without the format of their backing file.
    let path = bench.path("top.qcow2");
    let mut bytes = std::fs::read(&path).unwrap();
    let extension = bytes.windows(4).position(|it| *it == 0xe279_2aca_u32.to_be_bytes()).unwrap();
    bytes[extension..extension + 4].copy_from_slice(&0x1234_5678_u32.to_be_bytes());
    std::fs::write(&path, bytes).unwrap();
    let message = fails(&path, &OpenOptions::default());
    assert!(message.contains("it is compressed by gzip"), "{message}");
}

#[test]
fn a_chain_that_comes_back_to_a_file_is_refused() {
    let bench = Bench::new();
    bench.run("qemu-img create -f qcow2 -u -b ./self.qcow2 -F qcow2 self.qcow2 1M");
    let message = fails(&bench.path("self.qcow2"), &OpenOptions::default());
    assert!(message.contains("comes back"), "{message}");

    // Also by another name of the same file.
    bench.run("qemu-img create -f qcow2 -u -b b.qcow2 -F qcow2 a.qcow2 1M");
    bench.run("qemu-img create -f qcow2 -u -b link.qcow2 -F qcow2 b.qcow2 1M");
    std::os::unix::fs::symlink(bench.path("a.qcow2"), bench.path("link.qcow2")).unwrap();
    let message = fails(&bench.path("a.qcow2"), &OpenOptions::default());
    assert!(message.contains("comes back"), "{message}");
}

#[test]
fn a_chain_that_is_too_long_is_refused() {
    let bench = Bench::new();
    bench.run("qemu-img create -f qcow2 -o cluster_size=512 0.qcow2 1k");
    for i in 1..=64 {
        let below = i - 1;
        bench.run(&format!(
            "qemu-img create -u -f qcow2 -o cluster_size=512 \
             -b {below}.qcow2 -F qcow2 {i}.qcow2 1k"
        ));
    }
    assert!(open(&bench.path("63.qcow2"), &OpenOptions::default()).is_ok());
    let message = fails(&bench.path("64.qcow2"), &OpenOptions::default());
    assert!(message.contains("more than 64"), "{message}");
}

#[test]
fn a_backing_name_that_is_not_a_path_is_refused() {
    let bench = Bench::new();
    for name in ["json:{\"driver\":\"null-co\"}", "nbd://h/x", "http://h/x", "file:x", "a:b.raw"] {
        let args =
            ["create", "-q", "-u", "-f", "qcow2", "-b", name, "-F", "raw", "top.qcow2", "1M"];
        bench.run_args("qemu-img", &args);
        let message = fails(&bench.path("top.qcow2"), &OpenOptions::default());
        assert!(message.contains("URI") && message.contains("qemu-img"), "{name}: {message}");
    }
}

#[test]
fn a_backing_file_that_is_not_a_disk_is_refused() {
    let bench = Bench::new();
    bench.run("mkfifo pipe");
    for (name, found) in [("/dev/zero", "character device"), ("pipe", "pipe"), (".", "directory")] {
        bench.run(&format!("qemu-img create -q -u -f qcow2 -b {name} -F raw top.qcow2 1M"));
        let message = fails(&bench.path("top.qcow2"), &OpenOptions::default());
        assert!(message.contains(found), "{name}: {message}");
    }
    bench.run("qemu-img create -q -u -f qcow2 -b missing.raw -F raw top.qcow2 1M");
    let message = fails(&bench.path("top.qcow2"), &OpenOptions::default());
    assert!(message.contains("missing.raw") && message.contains("top.qcow2"), "{message}");
    bench.run("qemu-img create -q -u -f qcow2 -b base.vmdk -F vmdk top.qcow2 1M");
    let message = fails(&bench.path("top.qcow2"), &OpenOptions::default());
    assert!(message.contains("vmdk"), "{message}");
}

#[test]
fn a_backing_file_is_refused_where_none_is_allowed() {
    let bench = Bench::new();
    bench.raw("base.raw", 1 << 20);
    bench.run("qemu-img create -f qcow2 -b base.raw -F raw top.qcow2");
    let alone = OpenOptions { allow_backing: false, ..OpenOptions::default() };
    let message = fails(&bench.path("top.qcow2"), &alone);
    assert!(message.contains("not allowed") && message.contains("convert"), "{message}");
    bench.run("qemu-img convert -O qcow2 top.qcow2 flat.qcow2");
    assert!(open(&bench.path("flat.qcow2"), &alone).is_ok());
}

/// A guest that owned a raw base may have written a qcow2 header into it, which would name any
/// file of the host.
#[test]
fn an_undeclared_backing_file_is_raw_or_refused() {
    let bench = Bench::new();
    bench.raw("base.raw", 1 << 20);
    bench.run("qemu-img create -f qcow2 inner.qcow2 1M");
    for (base, format) in [("base.raw", "raw"), ("inner.qcow2", "qcow2")] {
        bench.run(&format!("qemu-img create -f qcow2 -b {base} -F {format} top.qcow2"));
        undeclare(&bench.path("top.qcow2"));
        let opened = open(&bench.path("top.qcow2"), &OpenOptions::default());
        match (format, opened) {
            ("raw", Ok(_)) => {}
            ("qcow2", Err(error)) => {
                assert!(error.to_string().contains("looks like qcow2"), "{error}");
                assert!(error.remedy().unwrap().contains("qemu-img rebase -u -b"));
            }
            (_, other) => panic!("{format}: {:?}", other.err()),
        }
    }
}

/// Makes the header extension that declares the backing format an unknown one.
fn undeclare(path: &std::path::Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let extension = [0xE2, 0x79, 0x2A, 0xCA];
    let at = bytes.windows(4).position(|window| window == extension).unwrap();
    bytes[at..at + 4].copy_from_slice(&[0x12, 0x34, 0x56, 0x78]);
    std::fs::write(path, bytes).unwrap();
}
