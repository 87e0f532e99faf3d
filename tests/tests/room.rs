//! File systems with little space, and file systems mounted at the destination: an impossible
//! operation fails before anything is written, and a possible one succeeds.

use seawall_tests::{Done, MIB, Noise, World, can_mount, raw};

/// Creates `shop:1` with 6 MiB of data on a disk of 32 MiB, and `b.raw`, another such disk.
fn world_of_files() -> World {
    let world = World::new();
    for name in ["a", "b"] {
        let data = Noise::new(name).bytes(6 * MIB);
        raw(&world.path(format!("{name}.raw")), 32 * MIB, &[(4 * MIB, data)]);
    }
    world.push("shop:1", &["a=a.raw"]);
    world
}

/// As [`world_of_files`], with an empty folder `vol` as a mount point.
fn world() -> Option<World> {
    if !can_mount() {
        println!("skipped: no file system can be mounted here");
        return None;
    }
    let world = world_of_files();
    std::fs::create_dir(world.path("vol")).unwrap();
    Some(world)
}

/// Runs a command with an empty volume of `mib` MiB on `vol`, whose contents are printed at the
/// end.
fn in_volume(world: &World, mib: u64, command: &str) -> Done {
    world.local(command).with_volume(&world.path("vol"), mib).ends()
}

#[test]
fn a_lack_of_space_is_reported_before_the_first_byte() {
    let Some(world) = world() else { return };
    for command in ["convert a.raw vol/a.qcow2", "export shop:1/a/disk0 -o vol/a.raw"] {
        let done = in_volume(&world, 3, command);
        assert_eq!(done.status.code(), Some(8), "{done}");
        let done = done.explains().says("6.0 MiB is needed").says("is free").says("help: ");
        assert_eq!(done.stdout, "", "nothing is left there: {done}");
        let done = in_volume(&world, 12, command);
        assert!(done.status.success(), "the holes need no room: {done}");
    }
}

#[test]
fn a_dry_run_says_what_is_needed_and_what_is_free() {
    let world = world_of_files();
    let plan = world.local("pull shop:1 --into host --dry-run --json").succeeds().json();
    assert_eq!(plan["neededBytes"], 6 * MIB, "{plan}");
    assert!(plan["freeBytes"].as_u64().is_some_and(|free| free > 0), "{plan}");
    world.local("pull shop:1 --into host --dry-run").succeeds().prints("needs 6.0 MiB, ");
    world.pull("shop:1", "host");
    world.push("shop:2", &["a=b.raw"]);
    world.local("patch host --to shop:2 --dry-run").succeeds().prints("needs ");
}

/// While a patch is applied, disks grow beside the journal. Without space for both, the disks would
/// stay between two releases.
#[test]
fn a_patch_is_refused_where_its_disks_cannot_grow() {
    let Some(world) = world() else { return };
    let data = ["a", "c"].map(|name| Noise::new(name).bytes(6 * MIB));
    let [old, new] = data;
    raw(&world.path("c.raw"), 32 * MIB, &[(4 * MIB, old), (20 * MIB, new)]);
    world.push("shop:2", &["a=c.raw"]);
    for format in ["raw", "qcow2"] {
        let run = |mib| {
            let pull = world.local(&format!("pull shop:1 --into vol/host --format {format}"));
            pull.then("patch vol/host --to shop:2").with_volume(&world.path("vol"), mib).ends()
        };
        let done = run(16);
        assert_eq!(done.status.code(), Some(8), "{done}");
        done.explains().says("12.0 MiB is needed").says("help: nothing was changed");
        let done = run(22);
        assert!(done.status.success(), "what is needed is enough: {done}");
    }
}

#[test]
fn a_release_is_pulled_into_a_mount_point() {
    let Some(world) = world() else { return };
    let done = in_volume(&world, 3, "pull shop:1 --into vol");
    assert_eq!(done.status.code(), Some(8), "{done}");
    done.explains().says("6.0 MiB is needed");
    assert!(!world.path(".vol.seawall-pull").exists(), "nothing is fetched beside it");
    let done = in_volume(&world, 16, "pull shop:1 --into vol");
    assert!(done.status.success(), "{done}");
    let names: Vec<_> = done.stdout.lines().rev().take(4).collect();
    assert_eq!(names, ["seawall.lock", "release.json", "a", ".seawall"], "{done}");
    assert!(!world.path(".vol.seawall-pull").exists());
}

#[test]
fn a_release_is_pulled_through_a_link_and_into_the_working_directory() {
    let world = world_of_files();
    for name in ["target", "here"] {
        std::fs::create_dir(world.path(name)).unwrap();
    }
    std::os::unix::fs::symlink("target", world.path("link")).unwrap();
    world.local("pull shop:1 --into link").succeeds();
    world.holds("target", "shop:1");
    assert!(world.path("link").is_symlink());
    world.local("pull shop:1 --into .").inside(world.path("here")).succeeds();
    world.holds("here", "shop:1");
    world.local("verify here").succeeds();
    world.local("pull shop:1 --into link").succeeds().prints("was there already");
}

#[test]
fn files_in_the_way_are_reported_before_anything_is_fetched() {
    let world = world_of_files();
    std::fs::write(world.path("file"), "x").unwrap();
    std::os::unix::fs::symlink("nowhere", world.path("dangling")).unwrap();
    for into in ["file", "dangling", "/etc/passwd"] {
        for dry in ["", " --dry-run"] {
            let run = world.local(&format!("pull shop:1 --into {into}{dry}"));
            run.exits_with(4).explains().says("is in the way").says("help: name another directory");
        }
    }
}
