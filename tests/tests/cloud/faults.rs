//! Faults: kills at every write, throttling, failures before and after the effect, lost answers,
//! clocks that disagree, objects of others.

use std::time::Duration;

use seawall_tests::ec2::{BLOCK_LEN, Ec2Fake, Ec2Fault};
use seawall_tests::{MIB, Noise, World, raw};

use super::{cloud, holds, run};

const PUBLISH: &str = "publish shop:1 --to ec2:test-1";

/// A small disk with data at both ends, pushed as `shop:1`: 11 blocks.
fn small() -> World {
    let world = World::new();
    let pieces = [(0, Noise::new("small").bytes(5 * MIB)), (19 * MIB, vec![7; 1000])];
    raw(&world.path("disk.raw"), 20 * MIB, &pieces);
    world.push("shop:1", &["web=root:disk.raw"]);
    world
}

/// Asserts that the account has one image and one snapshot, which is the disk.
#[track_caller]
fn is_whole(world: &World, fake: &Ec2Fake) {
    let report = cloud(world, fake, PUBLISH);
    holds(world, fake, &report, "web", &["disk.raw"]);
    let counts = fake.with(|account| (account.images.len(), account.snapshots.len()));
    assert_eq!(counts, (1, 1), "{:?}", fake.calls());
}

#[test]
fn killed_at_each_write_in_turn_a_publication_goes_on() {
    let world = small();
    let writes = [
        ("StartSnapshot", 1),
        ("PutSnapshotBlock", 1),
        ("PutSnapshotBlock", 6),
        ("PutSnapshotBlock", 11),
        ("CompleteSnapshot", 1),
        ("RegisterImage", 1),
    ];
    for (write, call) in writes {
        for fault in [Ec2Fault::HoldBefore, Ec2Fault::HoldAfter] {
            let fake = Ec2Fake::default();
            fake.harms(write, call..call + 1, fault);
            let line = format!("cloud {PUBLISH}");
            let started = fake.opened(world.local(&line)).start();
            fake.waits_for_hold();
            started.kill();
            fake.heals();
            fake.forgets_holds();
            let before = fake.block_bytes();
            is_whole(&world, &fake);
            if ["CompleteSnapshot", "RegisterImage"].contains(&write) {
                assert_eq!(fake.block_bytes(), before, "{write}: blocks were sent again");
            }
        }
    }
}

#[test]
fn failures_before_and_after_the_effect_make_no_second_object() {
    let world = small();
    let calls = ["StartSnapshot", "PutSnapshotBlock", "CompleteSnapshot", "RegisterImage"];
    let faults =
        [Ec2Fault::ErrorBefore, Ec2Fault::ErrorAfter, Ec2Fault::ResetBefore, Ec2Fault::ResetAfter];
    for fault in faults {
        let fake = Ec2Fake::default();
        fake.with(|account| account.looks_until_complete = 2);
        for call in calls {
            fake.harms(call, 1..3, fault);
        }
        for call in ["DescribeSnapshots", "DescribeImages", "GetCallerIdentity"] {
            fake.harms(call, 1..2, fault);
        }
        is_whole(&world, &fake);
    }
}

#[test]
fn throttling_is_told_by_its_name_and_slows_a_publication_down() {
    let (world, fake) = (small(), Ec2Fake::default());
    for call in ["StartSnapshot", "CompleteSnapshot", "RegisterImage", "DescribeImages"] {
        fake.harms(call, 1..3, Ec2Fault::Throttle);
    }
    fake.harms("PutSnapshotBlock", 3..9, Ec2Fault::Throttle);
    fake.with(|account| account.puts_per_sec = 20.0);
    is_whole(&world, &fake);
    assert!(fake.refused().iter().any(|it| it.contains("RequestThrottledException")));
}

#[test]
fn a_publication_uses_the_latency_of_the_service() {
    let (world, fake) = (World::new(), Ec2Fake::default());
    let bytes = Noise::new("large").bytes(64 * MIB);
    raw(&world.path("disk.raw"), 64 * MIB, &[(0, bytes)]);
    world.push("shop:1", &["web=root:disk.raw"]);
    fake.set_latency(Duration::from_millis(100));
    is_whole(&world, &fake);
    // A busy machine may not read fast enough for the 64 that are permitted at the start.
    assert!(fake.in_flight_max() >= 24, "{} blocks in flight", fake.in_flight_max());
    assert_eq!(fake.block_bytes(), 128 * BLOCK_LEN as u64);
}

#[test]
fn lists_that_lag_make_no_second_object() {
    let (world, fake) = (small(), Ec2Fake::default());
    fake.with(|account| account.shown_after = Duration::from_secs(3600));
    is_whole(&world, &fake);
}

#[test]
fn clocks_that_disagree_are_named_and_nothing_is_made() {
    let (world, fake) = (small(), Ec2Fake::default());
    fake.set_clock_error(3600);
    run(&world, &fake, PUBLISH, 7).explains().says("clock");
    fake.set_clock_error(-200);
    is_whole(&world, &fake);
}

#[test]
fn objects_of_others_are_neither_used_nor_removed() {
    let (world, fake) = (small(), Ec2Fake::default());
    cloud(&world, &fake, PUBLISH);
    // Somebody else's from now on: the same name and bytes, but none of our tags.
    fake.with(|account| {
        account.images.values_mut().for_each(|image| image.tags.clear());
        account.snapshots.values_mut().for_each(|snapshot| snapshot.tags.clear());
        account.tokens_are_forgotten();
    });
    let report = cloud(&world, &fake, PUBLISH);
    holds(&world, &fake, &report, "web", &["disk.raw"]);
    assert_eq!(fake.with(|account| (account.images.len(), account.snapshots.len())), (2, 2));
    cloud(&world, &fake, "rm shop:1 --at ec2:test-1");
    assert_eq!(fake.with(|account| (account.images.len(), account.snapshots.len())), (1, 1));
    run(&world, &fake, "rm shop:1 --at ec2:test-1", 3).explains();
}

#[test]
fn a_snapshot_that_the_service_gave_up_is_made_anew() {
    let (world, fake) = (small(), Ec2Fake::default());
    fake.harms("CompleteSnapshot", 1..2, Ec2Fault::HoldBefore);
    let started = fake.opened(world.local(&format!("cloud {PUBLISH}"))).start();
    fake.waits_for_hold();
    started.kill();
    fake.heals();
    fake.forgets_holds();
    fake.with(|account| {
        account.snapshots.values_mut().for_each(|it| it.stage = seawall_tests::ec2::Stage::Error);
    });
    is_whole(&world, &fake);
}
