//! Chains of random images, written by QEMU and read by our reader.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::qemu::Bench;

/// The effect of one `qemu-io` command on a layer.
#[derive(Clone, Debug)]
enum Change {
    Write,
    Compress,
    Zero,
    Unmap,
    Discard,
}

#[derive(Clone, Debug)]
struct LayerPlan {
    options: &'static str,
    disk_sectors: u64,
    changes: Vec<(Change, u64, u64)>,
}

fn layer() -> impl Strategy<Value = LayerPlan> {
    let options = prop::sample::select(vec![
        "compat=0.10",
        "cluster_size=512",
        "cluster_size=4k",
        "cluster_size=64k",
        "extended_l2=on,cluster_size=16k",
        "extended_l2=on,cluster_size=64k",
        "compression_type=zstd,cluster_size=8k",
    ]);
    let change = prop_oneof![
        3 => Just(Change::Write),
        2 => Just(Change::Compress),
        1 => Just(Change::Zero),
        1 => Just(Change::Unmap),
        1 => Just(Change::Discard),
    ];
    let changes = prop::collection::vec((change, 0u64..2000, 1u64..300), 0..8);
    (options, 1u64..2000, changes).prop_map(|(options, disk_sectors, changes)| LayerPlan {
        options,
        disk_sectors,
        changes,
    })
}

fn build(bench: &Bench, plans: &[LayerPlan]) -> String {
    bench.raw("base.raw", 600_064);
    let mut below = ("base.raw".to_owned(), "raw");
    for (i, plan) in plans.iter().enumerate() {
        let name = format!("{i}.qcow2");
        bench.run(&format!(
            "qemu-img create -f qcow2 -o {} -b {} -F {} {name} {}",
            plan.options,
            below.0,
            below.1,
            plan.disk_sectors * 512
        ));
        let commands = commands(plan);
        bench.io(&name, &commands.iter().map(String::as_str).collect::<Vec<_>>());
        below = (name, "qcow2");
    }
    below.0
}

/// Returns the commands of a layer. Compressed writes come first, once for each place, because QEMU
/// refuses them on an existing cluster.
fn commands(plan: &LayerPlan) -> Vec<String> {
    let (mut packed, mut others) = (BTreeSet::new(), Vec::new());
    for (seed, (change, at, len)) in plan.changes.iter().enumerate() {
        let at = at % plan.disk_sectors;
        let range = format!("{} {}", at * 512, (*len).min(plan.disk_sectors - at) * 512);
        match change {
            Change::Write => others.push(format!("write -P {} {range}", seed + 1)),
            Change::Compress => {
                packed.insert(at * 512 / 65_536 * 65_536);
            }
            Change::Zero => others.push(format!("write -z {range}")),
            Change::Unmap => others.push(format!("write -z -u {range}")),
            Change::Discard => others.push(format!("discard {range}")),
        }
    }
    let whole = packed.iter().filter(|at| **at + 65_536 <= plan.disk_sectors * 512);
    whole.map(|at| format!("write -c -P {} {at} 65536", 100 + at / 65_536)).chain(others).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24, failure_persistence: None, max_shrink_iters: 60, ..ProptestConfig::default()
    })]

    #[test]
    fn random_chains_read_as_qemu_does(plans in prop::collection::vec(layer(), 1..4)) {
        let bench = Bench::new();
        let top = build(&bench, &plans);
        bench.assert_same(&top);
    }
}
