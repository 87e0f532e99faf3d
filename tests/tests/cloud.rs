//! `seawall cloud` against a strict stand-in of EC2: what AWS would refuse fails here, and the
//! volumes that snapshots make are compared with the disks byte by byte.

mod faults;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use seawall_tests::ec2::{BLOCK_LEN, Ec2Fake};
use seawall_tests::{Done, MIB, Noise, Tree, World, gpt, raw};
use serde_json::Value;

/// Runs a command on the images of the fake.
#[track_caller]
fn cloud(world: &World, fake: &Ec2Fake, args: &str) -> Value {
    run(world, fake, args, 0).json()
}

#[track_caller]
fn run(world: &World, fake: &Ec2Fake, args: &str, status: i32) -> Done {
    fake.opened(world.local(&format!("cloud {args} --json"))).exits_with(status)
}

/// Asserts that the image of a machine starts from exactly these disks, and returns its name.
#[track_caller]
fn holds(world: &World, fake: &Ec2Fake, report: &Value, machine: &str, disks: &[&str]) -> String {
    let images = report["images"].as_array().unwrap();
    let id = images.iter().find(|it| it["machine"] == machine).expect("a machine")["image"].clone();
    let id = id.as_str().unwrap().to_owned();
    let image = fake.with(|account| account.images[&id].clone());
    assert_eq!(image.mappings.len(), disks.len(), "{image:?}");
    for ((device, snapshot, _), disk) in image.mappings.iter().zip(disks) {
        let bytes = fs::read(world.path(disk)).unwrap();
        let volume = fake.volume(snapshot, bytes.len() as u64);
        assert!(volume == bytes, "{device} of {id} is not {disk}");
    }
    id
}

/// Copies a disk, and changes some bytes and makes some zero, as an upgrade in place does.
fn upgrade(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
    let disk = fs::OpenOptions::new().write(true).open(to).unwrap();
    disk.write_all_at(&Noise::new("upgrade").bytes(5000), 9 * MIB + 700).unwrap();
    disk.write_all_at(&[0; 512 << 10], 12 * MIB).unwrap();
}

/// A system disk in two versions and a data disk, pushed as `shop:1` and `shop:2`.
fn shop() -> World {
    let world = World::new();
    let tree = Tree::system("cloud").with("usr/lib/big", Noise::new("big").bytes(40 * MIB));
    gpt(&world.path("web1.raw"), 96 * MIB, &tree);
    upgrade(&world.path("web1.raw"), &world.path("web2.raw"));
    raw(&world.path("data.raw"), 40 * MIB, &[(7 * MIB, Noise::new("data").bytes(MIB))]);
    for version in [1, 2] {
        world.push(
            &format!("shop:{version}"),
            &[&format!("web=root:web{version}.raw,data:data.raw")],
        );
    }
    world
}

#[test]
fn an_update_sends_only_the_blocks_that_changed_and_volumes_are_the_disks() {
    let (world, fake) = (shop(), Ec2Fake::default());
    let plan = cloud(&world, &fake, "publish shop:1 --to ec2:eu-test-1 --dry-run");
    assert_eq!(fake.block_bytes(), 0, "a plan sends nothing");
    let first = cloud(&world, &fake, "publish shop:1 --to ec2:eu-test-1");
    assert_eq!(plan["blockCount"], first["blockCount"]);
    let id = holds(&world, &fake, &first, "web", &["web1.raw", "data.raw"]);
    let full = fake.block_bytes();
    assert_eq!(full, first["sentBytes"].as_u64().unwrap());
    let image = fake.with(|account| account.images[&id].clone());
    let parameter = |name: &str| image.parameters.get(name).map(String::as_str);
    assert_eq!(parameter("Architecture"), Some("x86_64"));
    assert_eq!(parameter("VirtualizationType"), Some("hvm"));
    assert_eq!(parameter("ImdsSupport"), Some("v2.0"));
    assert_eq!(image.tags["seawall:application"], "shop");

    let second = cloud(&world, &fake, "publish shop:2 --to ec2:eu-test-1");
    holds(&world, &fake, &second, "web", &["web2.raw", "data.raw"]);
    let update = fake.block_bytes() - full;
    assert!(update * 10 <= full && update > 0, "{update} of {full} bytes");
    assert_eq!(update % BLOCK_LEN as u64, 0);

    let again = cloud(&world, &fake, "publish shop:2 --to ec2:eu-test-1");
    assert_eq!(again["images"][0]["alreadyPresent"], true, "{again}");
    assert_eq!(again["blockCount"], 0);
    assert_eq!(fake.with(|account| (account.images.len(), account.snapshots.len())), (2, 3));
    assert_eq!(fake.refused(), Vec::<String>::new());
}

#[test]
fn images_are_shared_deprecated_disabled_and_removed_with_what_no_other_uses() {
    let (world, fake) = (shop(), Ec2Fake::default());
    for version in [1, 2] {
        cloud(&world, &fake, &format!("publish shop:{version} --to ec2:test-1"));
    }
    let id = |version: &str| {
        let image = fake.with(|account| {
            let mut images = account.images.values();
            images.find(|it| it.tags["seawall:version"] == version).cloned()
        });
        image.unwrap()
    };
    cloud(&world, &fake, "share 444455556666 shop:1 --at ec2:test-1");
    assert!(id("1").shared_with.contains("444455556666"));
    assert!(id("2").shared_with.is_empty());
    run(&world, &fake, "share nobody shop:1 --at ec2:test-1", 2).explains();
    cloud(&world, &fake, "share 444455556666 shop:1 --at ec2:test-1 --end");
    assert!(id("1").shared_with.is_empty());
    cloud(&world, &fake, "deprecate shop:1 --at ec2:test-1 --on 2099-01-01");
    assert_eq!(id("1").deprecated_at.as_deref(), Some("2099-01-01T00:00:00Z"));
    cloud(&world, &fake, "disable shop:1 --at ec2:test-1");
    assert!(!id("1").enabled);
    let shown = cloud(&world, &fake, "status shop --at ec2:test-1");
    assert_eq!(shown["images"][0]["state"], "disabled", "{shown}");
    assert_eq!(shown["unusedVolumes"].as_array().unwrap().len(), 0, "{shown}");
    cloud(&world, &fake, "enable shop:1 --at ec2:test-1");
    assert!(id("1").enabled);

    fake.with(|account| {
        let image = account.images.values().find(|it| it.tags["seawall:version"] == "1");
        let image = image.unwrap().id.clone();
        account.instances.push(("i-1".to_owned(), image));
    });
    run(&world, &fake, "rm shop:1 --at ec2:test-1", 4).explains().says("i-1");
    fake.with(|account| account.instances.clear());
    let removed = cloud(&world, &fake, "rm shop:1 --at ec2:test-1");
    // The data disk is the same in both releases, and the other image uses its volume.
    assert_eq!(removed["keptVolumes"].as_array().unwrap().len(), 1, "{removed}");
    assert_eq!(removed["removedVolumes"].as_array().unwrap().len(), 1, "{removed}");
    let bytes = fs::read(world.path("web2.raw")).unwrap();
    let root = id("2").mappings[0].1.clone();
    assert!(fake.volume(&root, bytes.len() as u64) == bytes, "a child keeps all that it needs");
    cloud(&world, &fake, "rm shop:2 --at ec2:test-1");
    assert_eq!(fake.with(|account| (account.images.len(), account.snapshots.len())), (0, 0));
}
