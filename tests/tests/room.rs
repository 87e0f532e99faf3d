//! A file system with little room, and one that is mounted where a release is to go: what cannot be
//! is said before anything is written, and what can be is done.

use seawall_tests::{Done, MIB, Noise, World, can_mount, raw};

/// `shop:1` has 6 MiB of data on a disk of 32 MiB; an empty folder `vol` waits for a volume.
fn world() -> Option<World> {
    if !can_mount() {
        println!("skipped: no file system can be mounted here");
        return None;
    }
    let world = World::new();
    raw(&world.path("a.raw"), 32 * MIB, &[(4 * MIB, Noise::new("a").bytes(6 * MIB))]);
    world.push("shop:1", &["a=a.raw"]);
    std::fs::create_dir(world.path("vol")).unwrap();
    Some(world)
}

/// Runs a command with an empty volume of `mib` MiB on `vol`, which it prints at the end.
fn in_volume(world: &World, mib: u64, command: &str) -> Done {
    world.local(command).with_volume(&world.path("vol"), mib).ends()
}

#[test]
fn what_does_not_fit_is_said_before_the_first_byte() {
    let Some(world) = world() else { return };
    for command in ["convert a.raw vol/a.qcow2", "export shop:1/a/disk0 -o vol/a.raw"] {
        let done = in_volume(&world, 3, command);
        assert_eq!(done.status.code(), Some(8), "{done}");
        let done = done.explains().says("6.0 MiB is needed in").says("is free").says("help: ");
        assert_eq!(done.stdout, "", "nothing is left there: {done}");
        let done = in_volume(&world, 12, command);
        assert!(done.status.success(), "the holes need no room: {done}");
    }
}
