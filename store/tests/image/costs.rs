//! The number of reads of the file per read of the disk.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use seawall_store::image::{DiskImage, Qcow2Image, Source};

use super::qemu::{Bench, runs};

/// Bytes in memory that count how often they are read.
struct Counted {
    bytes: Vec<u8>,
    reads: Arc<AtomicUsize>,
}

impl Source for Counted {
    fn source_len(&self) -> u64 {
        self.bytes.source_len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes.read_exact_at(offset, buf)
    }

    fn next_run(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        self.bytes.next_run(from)
    }
}

/// Opens an image; the second value counts reads, from zero.
fn counted(bench: &Bench) -> (Qcow2Image, Arc<AtomicUsize>) {
    let bytes = std::fs::read(bench.path("disk.qcow2")).unwrap();
    let reads = Arc::new(AtomicUsize::new(0));
    let source = Counted { bytes, reads: reads.clone() };
    let image = Qcow2Image::from_source("disk.qcow2".into(), Box::new(source)).unwrap();
    reads.store(0, Ordering::Relaxed);
    (image, reads)
}

#[test]
fn clusters_side_by_side_are_one_read() {
    let bench = Bench::new();
    bench.raw("disk.raw", 4 << 20);
    bench.run("qemu-img convert -f raw -O qcow2 disk.raw disk.qcow2");
    let (image, reads) = counted(&bench);
    assert_eq!(runs(&image).len(), 4);
    assert_eq!(reads.swap(0, Ordering::Relaxed), 1, "one L2 slice has the whole map");
    image.read_at(1 << 20, &mut vec![0; 900_000]).unwrap();
    assert_eq!(reads.load(Ordering::Relaxed), 1);
}

#[test]
fn a_compressed_cluster_read_in_parts_is_inflated_once() {
    for options in ["compression_type=zlib", "compression_type=zstd"] {
        let bench = Bench::new();
        bench.raw("disk.raw", 4 << 20);
        bench.run(&format!("qemu-img convert -c -f raw -O qcow2 -o {options} disk.raw disk.qcow2"));
        let (image, reads) = counted(&bench);
        // Windows that cut each cluster but the first.
        let window = 96 << 10;
        for i in 0..8 {
            image.read_at((1 << 20) + i * window, &mut vec![0; 96 << 10]).unwrap();
        }
        assert_eq!(reads.load(Ordering::Relaxed), 1 + 12, "the L2 slice, and 12 clusters");
    }
}

#[test]
fn a_gap_in_l1_costs_no_read() {
    let bench = Bench::new();
    bench.run("qemu-img create -f qcow2 disk.qcow2 1T");
    bench.io("disk.qcow2", &["write -P 1 0 64k", "write -P 2 700G 64k"]);
    let (image, reads) = counted(&bench);
    assert_eq!(runs(&image).len(), 2);
    assert_eq!(reads.load(Ordering::Relaxed), 2);
}
