//! Pull is the inverse of push: for any mixture of data, zeros and holes, in both formats.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use seawall_tests::{KIB, Noise, World, b3sum, qcow2, raw, same_bytes, tool};

/// A stretch of a disk.
#[derive(Clone, Debug)]
enum Run {
    /// Bytes from one of a few seeds, so that runs repeat.
    Data(u8, u64),
    /// Zeros that the file allocates.
    Zeros(u64),
    /// Nothing.
    Hole(u64),
}

fn run() -> impl Strategy<Value = Run> {
    // Lengths in sectors: on and off the grid of blocks, some longer than the longest chunk.
    let len = prop_oneof![1u64..20, 1u64..200, 400u64..700].prop_map(|sectors| sectors * 512);
    prop_oneof![
        3 => (0u8..4, len.clone()).prop_map(|(seed, len)| Run::Data(seed, len)),
        1 => len.clone().prop_map(Run::Zeros),
        1 => len.prop_map(Run::Hole),
    ]
}

/// Returns a disk's length and its pieces.
fn pieces(runs: &[Run]) -> (u64, Vec<(u64, Vec<u8>)>) {
    let mut at = 0;
    let mut pieces = Vec::new();
    for run in runs {
        match *run {
            Run::Data(seed, len) => {
                pieces.push((at, Noise::new([seed]).bytes(len)));
                at += len;
            }
            Run::Zeros(len) => {
                pieces.push((at, vec![0; usize::try_from(len).unwrap()]));
                at += len;
            }
            Run::Hole(len) => at += len,
        }
    }
    (at, pieces)
}

/// One world for all cases: as in practice, later disks meet the chunks, seeds and registries of
/// earlier ones.
#[test]
fn a_pull_restores_any_pushed_disk_in_both_formats() {
    let world = World::new();
    let cases = Config { cases: 14, max_shrink_iters: 20, ..Config::default() };
    let count = Cell::new(0);
    let mut runner = TestRunner::new(cases);
    let outcome = runner.run(&prop::collection::vec(run(), 1..12), |runs| {
        count.set(count.get() + 1);
        check(&world, count.get(), &runs);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// The formats of a pull besides raw: format, extension, QEMU's name, whether QEMU can check it.
const FORMATS: [(&str, &str, &str, bool); 6] = [
    ("qcow2", "qcow2", "qcow2", true),
    ("vmdk", "vmdk", "vmdk", true),
    ("vhd", "vhd", "vpc", false),
    ("vhd-fixed", "vhd", "vpc", false),
    ("vhdx", "vhdx", "vhdx", true),
    ("vhdx-fixed", "vhdx", "vhdx", true),
];

/// Asserts that in another format the disk is the same, for QEMU and for the next push.
fn in_format(
    world: &World,
    count: u32,
    (format, extension, qemu, is_checked): (&str, &str, &str, bool),
    made: &Path,
) {
    let into = format!("{format}-{count}");
    let pull = format!("pull any:{count} --into {into} --format {format} --machine raw");
    world.local(&pull).succeeds();
    let file = format!("{into}/raw/root.{extension}");
    let pulled = world.path(&file);
    if is_checked {
        tool("qemu-img", ["check", "-q", "-f", qemu, pulled.to_str().unwrap()]);
    }
    let sides = [pulled.to_str().unwrap(), made.to_str().unwrap()];
    tool("qemu-img", ["compare", "-q", "-f", qemu, "-F", "raw"].into_iter().chain(sides));
    world.local(&format!("verify {into}")).succeeds();
    let pushed = world.push(&format!("again:{count}-{format}"), &[&format!("raw=root:{file}")]);
    assert_eq!(pushed["disks"][0]["content"], *b3sum(made), "{format}");
    fs::remove_dir_all(world.path(&into)).unwrap();
}

fn check(world: &World, count: u32, runs: &[Run]) {
    let (len, pieces) = pieces(runs);
    let (made, image) = (world.path("made.raw"), world.path("made.qcow2"));
    raw(&made, len, &pieces);
    qcow2(&made, &image, &["-c", "-o", "cluster_size=4096"]);
    let reference = format!("any:{count}");
    let machines = ["raw=root:made.raw", "qcow=root:made.qcow2"];
    let pushed = world.push(&reference, &machines);

    let want = b3sum(&made);
    for disk in pushed["disks"].as_array().unwrap() {
        assert_eq!(disk["content"], *want, "{disk}");
    }
    let raw_dir = format!("raw-{count}");
    world.local(&format!("pull {reference} --into {raw_dir}")).succeeds();
    for machine in ["raw", "qcow"] {
        same_bytes(world.path(&raw_dir).join(machine).join("root.raw"), &made);
    }
    for format in FORMATS {
        in_format(world, count, format, &made);
    }
    let report = world.local(&format!("verify {raw_dir} --json")).succeeds().json();
    assert_eq!(report["damage"].as_array().map(Vec::len), Some(0), "{report}");
    for path in [made, image, world.path(raw_dir).join("qcow/root.raw")] {
        fs::remove_file(path).unwrap();
    }
    assert!(len >= KIB / 2);
}
