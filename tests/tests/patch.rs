//! A patch moves a pulled release to another one in place: exactly, cheaply, or not at all.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use seawall_tests::{
    KIB, MIB, Noise, Tree, World, b3sum, ext4, flip_bit, gpt, raw, same_bytes, tool,
};
use serde_json::Value;

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a number"))
}

/// Creates `shop:1` and `shop:2`: `web` is upgraded, and `db` is unchanged.
fn two_releases(world: &World) {
    let tree = Tree::system("base");
    gpt(&world.path("web-1.raw"), 96 * MIB, &tree);
    gpt(&world.path("web-2.raw"), 96 * MIB, &tree.upgraded("v2"));
    ext4(&world.path("db.raw"), 48 * MIB, &tree.with("srv/db", Noise::new("db").bytes(MIB)));
    for version in [1, 2] {
        let web = format!("web=root:web-{version}.raw");
        world.push(&format!("shop:{version}"), &[&web, "db=root:db.raw"]);
    }
}

fn patch(world: &World, dir: &str, to: &str) -> Value {
    world.local(&format!("patch {dir} --to {to} --json")).succeeds().json()
}

#[test]
fn a_patched_disk_is_the_new_release_and_back_again_the_old() {
    let world = World::new();
    two_releases(&world);
    world.pull("shop:1", "host");

    patch(&world, "host", "shop:2");
    world.holds("host", "shop:2");
    same_bytes(world.path("host/web/root.raw"), world.path("web-2.raw"));
    assert!(fs::metadata(world.path("host/web/root.raw")).unwrap().blocks() * 512 < 48 * MIB);
    world.local("verify host").succeeds();

    patch(&world, "host", "shop:1");
    world.holds("host", "shop:1");
    same_bytes(world.path("host/web/root.raw"), world.path("web-1.raw"));
    world.local("verify host").succeeds();
    // The directory's lockfile is right: a locked pull accepts it.
    world.local("pull shop:1 --into host --locked").succeeds();
}

#[test]
fn a_patch_fetches_only_what_the_disks_do_not_hold() {
    let world = World::new();
    two_releases(&world);
    world.pull("shop:1", "host");
    let diff = world.local("diff shop:1 shop:2 --json").succeeds().json();

    let report = patch(&world, "host", "shop:2");

    let fetched = number(&report["transfer"]["fetchedPlainBytes"]);
    assert_eq!(fetched, number(&diff["newPlainBytes"]), "{diff}\n{report}");
    assert!(fetched > 0 && fetched < 12 * MIB, "{report}");
    let stored = number(&report["transfer"]["fetchedStoredBytes"]);
    let promised = number(&diff["downloadBytes"]);
    assert!(stored <= promised + promised / 4, "diff says {promised}, patch fetched {stored}");
    assert!(number(&report["changes"]["inPlaceBytes"]) > 10 * MIB, "{report}");
}

#[test]
fn a_dry_run_of_a_patch_says_the_bytes_and_touches_nothing() {
    let world = World::new();
    two_releases(&world);
    world.pull("shop:1", "host");
    let before = fs::metadata(world.path("host/web/root.raw")).unwrap().mtime_nsec();

    let dry = world.local("patch host --to shop:2 --dry-run --json").succeeds().json();

    world.holds("host", "shop:1");
    assert_eq!(fs::metadata(world.path("host/web/root.raw")).unwrap().mtime_nsec(), before);
    let wet = patch(&world, "host", "shop:2");
    assert_eq!(dry["changes"], wet["changes"]);
    for key in ["fetchedChunks", "fetchedPlainBytes", "fetchedStoredBytes"] {
        assert_eq!(dry["transfer"][key], wet["transfer"][key], "{key}\n{dry}\n{wet}");
    }
}

#[test]
fn a_disk_that_was_changed_is_refused_untouched() {
    let world = World::new();
    two_releases(&world);
    world.pull("shop:1", "host");
    let disk = world.path("host/web/root.raw");
    flip_bit(&disk, 40 * MIB);
    let changed = b3sum(&disk);

    for args in ["patch host --to shop:2", "patch host --to shop:2 --dry-run"] {
        world.local(args).exits_with(4).explains().says("web/root.raw");
    }

    assert_eq!(b3sum(&disk), changed, "the change is not ours to lose");
    same_bytes(world.path("host/db/root.raw"), world.path("db.raw"));
    let told = world.local("verify host").exits_with(4).explains();
    told.says("is modified").says("cp -a host host.kept").says("seawall pull shop@blake3:");
    // After a patch back, the disks are as before.
    flip_bit(&disk, 40 * MIB);
    patch(&world, "host", "shop:2");
    world.holds("host", "shop:2");
}

#[test]
fn a_change_that_keeps_length_and_time_is_seen_all_the_same() {
    let world = World::new();
    two_releases(&world);
    world.pull("shop:1", "host");
    let disk = world.path("host/web/root.raw");
    let time = fs::metadata(&disk).unwrap().modified().unwrap();
    flip_bit(&disk, 40 * MIB);
    fs::File::open(&disk).unwrap().set_modified(time).unwrap();

    world.local("patch host --to shop:2").exits_with(4).explains();
}

#[test]
fn a_patch_moves_what_changed_places_without_fetching_it() {
    let world = World::new();
    // Blocks rotate, overlap their old places and swap, so that no order of copies alone is right.
    let piece = |i: u64| Noise::new(i.to_le_bytes()).bytes(512 * KIB);
    let disk = |order: &[u64]| -> Vec<(u64, Vec<u8>)> {
        order.iter().enumerate().map(|(at, i)| (at as u64 * 512 * KIB, piece(*i))).collect()
    };
    raw(&world.path("1.raw"), 8 * MIB, &disk(&[0, 1, 2, 3, 4, 5, 6, 7]));
    raw(&world.path("2.raw"), 8 * MIB, &disk(&[7, 0, 1, 2, 3, 4, 6, 5]));
    let mut shifted: Vec<u8> = Noise::new("new").bytes(64 * KIB);
    shifted.extend(disk(&[0, 1, 2, 3, 4, 5, 6, 7]).into_iter().flat_map(|(_, bytes)| bytes));
    raw(&world.path("3.raw"), 8 * MIB, &[(0, shifted)]);
    for version in 1..=3 {
        world.push(&format!("moved:{version}"), &[&format!("a=root:{version}.raw")]);
    }
    world.pull("moved:1", "host");

    for version in [2, 1, 3, 2, 3, 1] {
        let report = patch(&world, "host", &format!("moved:{version}"));
        same_bytes(world.path("host/a/root.raw"), world.path(format!("{version}.raw")));
        let fetched = number(&report["transfer"]["fetchedPlainBytes"]);
        // Chunks around a seam are cut differently; the rest of the pieces is on the disk already.
        assert!(fetched < 3 * MIB, "to {version}: {report}");
        assert!(number(&report["changes"]["movedBytes"]) > MIB, "to {version}: {report}");
    }
}

#[test]
fn machines_and_disks_come_go_grow_and_shrink() {
    let world = World::new();
    let disk = |name: &str, len: u64, seed: &str| {
        raw(&world.path(name), len, &[(MIB, Noise::new(seed).bytes(MIB))]);
    };
    disk("a.raw", 4 * MIB, "a");
    disk("a-grown.raw", 300 * MIB, "a");
    disk("a-shrunk.raw", 2 * MIB + 512, "a");
    disk("b.raw", 4 * MIB, "b");
    disk("c.raw", 4 * MIB, "c");
    world.push("shape:1", &["a=root:a.raw", "b=root:b.raw"]);
    world.push("shape:2", &["a=root:a-grown.raw,extra:c.raw", "c=root:c.raw"]);
    world.push("shape:3", &["a=root:a-shrunk.raw"]);
    world.pull("shape:1", "host");

    for version in [2, 3, 1, 3, 2] {
        let reference = format!("shape:{version}");
        patch(&world, "host", &reference);
        world.holds("host", &reference);
        world.local("verify host").succeeds();
        let disks = world.disks(&reference);
        for (name, gone) in [("a/extra", 2), ("b/root", 1), ("c/root", 2)] {
            let wanted = disks.iter().any(|(disk, _)| disk == name);
            let path = world.path(format!("host/{name}.raw"));
            assert_eq!(path.exists(), wanted, "{name} is of version {gone} only; now {version}");
        }
    }
}

#[test]
fn a_release_pulled_in_a_format_is_patched_in_it() {
    let world = World::new();
    two_releases(&world);
    for (format, extension, qemu) in
        [("qcow2", "qcow2", "qcow2"), ("vmdk", "vmdk", "vmdk"), ("vhdx", "vhdx", "vhdx")]
    {
        let host = format!("host-{format}");
        world.local(&format!("pull shop:1 --into {host} --format {format}")).succeeds();

        patch(&world, &host, "shop:2");

        let image = world.path(format!("{host}/web/root.{extension}"));
        tool("qemu-img", ["check", "-q", "-f", qemu, image.to_str().unwrap()]);
        let made = world.path("web-2.raw");
        let sides = [image.to_str().unwrap(), made.to_str().unwrap()];
        tool("qemu-img", ["compare", "-q", "-f", qemu, "-F", "raw"].into_iter().chain(sides));
        world.local(&format!("verify {host}")).succeeds();
    }
}

/// Staged files are named by content, and two machines may have the same content.
#[test]
fn machines_with_the_same_disk_are_all_patched() {
    let world = World::new();
    for version in [1, 2] {
        let disk = world.path(format!("{version}.raw"));
        raw(&disk, 4 * MIB, &[(0, Noise::new([version]).bytes(MIB))]);
    }
    world.push("twins:1", &["a=root:1.raw", "b=root:1.raw"]);
    let machines = ["a", "b", "c", "d"].map(|name| format!("{name}=root:2.raw"));
    world.push("twins:2", &machines.each_ref().map(String::as_str));
    for format in ["raw", "qcow2"] {
        world.local(&format!("pull twins:1 --into {format} --format {format}")).succeeds();

        patch(&world, format, "twins:2");

        world.local(&format!("verify {format}")).succeeds();
        assert!(world.path(format!("{format}/d/root.{format}")).exists());
    }
}

#[test]
fn a_directory_without_a_pulled_release_is_not_patched() {
    let world = World::new();
    two_releases(&world);
    fs::create_dir(world.path("mine")).unwrap();
    fs::write(world.path("mine/letter"), "dear").unwrap();
    world.pull("shop:1", "host");

    world.local("patch mine --to shop:2").exits_with(3).explains();
    world.local("patch nowhere --to shop:2").exits_with(3).explains();
    world.local("patch host --to shop:9").exits_with(3).explains().says("shop:9");
    world.local("patch host --to nosuch:1").exits_with(3).explains();

    assert_eq!(files(&world.path("mine")), 1);
    assert!(!world.path("nowhere").exists());
    world.holds("host", "shop:1");
}

#[test]
fn a_directory_of_one_machine_does_not_move_to_a_release_without_it() {
    let world = World::new();
    two_releases(&world);
    world.push("shop:3", &["db=root:db.raw"]);
    world.local("pull shop:1 --into host --machine web").succeeds();

    let refused = world.local("patch host --to shop:3").ends().explains();
    assert!(!refused.status.success() && refused.stderr.contains("web"), "{refused}");
    same_bytes(world.path("host/web/root.raw"), world.path("web-1.raw"));
    world.local("verify host").succeeds();

    patch(&world, "host", "shop:2");
    same_bytes(world.path("host/web/root.raw"), world.path("web-2.raw"));
    assert!(!world.path("host/db").exists(), "what was not pulled does not come with a patch");
}

#[test]
fn a_disk_that_ends_within_a_sector_is_refused_in_formats_of_sectors() {
    let world = World::new();
    raw(&world.path("1.raw"), MIB + 100, &[(0, Noise::new("odd").bytes(MIB + 100))]);
    raw(&world.path("2.raw"), MIB, &[(0, Noise::new("even").bytes(MIB))]);
    world.push("odd:1", &["a=root:1.raw"]);
    world.push("odd:2", &["a=root:2.raw"]);
    for format in ["qcow2", "vmdk", "vhd", "vhdx"] {
        let pull = format!("pull odd:1 --into odd-{format} --format {format}");
        let refused = world.local(&pull).ends().explains();
        assert!(!refused.status.success() && refused.stderr.contains("sector"), "{refused}");
        let host = format!("host-{format}");
        world.local(&format!("pull odd:2 --into {host} --format {format}")).succeeds();
        let refused = world.local(&format!("patch {host} --to odd:1")).ends().explains();
        assert!(!refused.status.success() && refused.stderr.contains("sector"), "{refused}");
        world.local(&format!("verify {host}")).succeeds();
    }
    world.pull("odd:1", "raw");
    same_bytes(world.path("raw/a/root.raw"), world.path("1.raw"));
}

fn files(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

#[test]
fn a_patch_to_the_release_that_is_there_changes_nothing() {
    let world = World::new();
    two_releases(&world);
    world.pull("shop:1", "host");
    let report = patch(&world, "host", "shop:1");
    assert_eq!(number(&report["transfer"]["fetchedPlainBytes"]), 0);
    assert_eq!(number(&report["changes"]["movedBytes"]), 0);
    world.holds("host", "shop:1");
}

#[test]
fn any_two_releases_are_patched_into_each_other() {
    let world = World::new();
    let mut noise = Noise::new("any two");
    for version in 0..6u64 {
        // Six of nine pieces, anywhere on the disk, on and off the grid.
        let piece = |noise: &mut Noise| {
            let at = noise.below(12 * MIB) / 512 * 512;
            let seed = noise.below(9).to_le_bytes();
            (at, Noise::new(seed).bytes(400 * KIB))
        };
        let pieces: Vec<_> = (0..6).map(|_| piece(&mut noise)).collect();
        raw(&world.path(format!("{version}.raw")), 13 * MIB, &pieces);
        world.push(&format!("any:{version}"), &[&format!("a=root:{version}.raw")]);
    }
    world.pull("any:0", "host");
    for version in [1, 2, 3, 4, 5, 3, 1, 4, 0, 2, 5, 0] {
        patch(&world, "host", &format!("any:{version}"));
        same_bytes(world.path("host/a/root.raw"), world.path(format!("{version}.raw")));
    }
}

#[test]
fn a_file_in_the_way_of_a_new_disk_is_refused_untouched() {
    let world = World::new();
    raw(&world.path("root.raw"), 2 * MIB, &[(0, Noise::new("root").bytes(MIB))]);
    raw(&world.path("data.raw"), 2 * MIB, &[(0, Noise::new("data").bytes(MIB))]);
    world.push("shop:1", &["web=root:root.raw"]);
    world.push("shop:2", &["web=root:root.raw,data:data.raw"]);
    world.pull("shop:1", "host");
    fs::write(world.path("host/web/data.raw"), b"mine").unwrap();

    world.local("patch host --to shop:2").exits_with(4).explains().says("in the way");

    assert_eq!(fs::read(world.path("host/web/data.raw")).unwrap(), b"mine");
    world.holds("host", "shop:1");
}

/// A new disk is staged in the patch's folder, which may be on another file system than the
/// machine's folder.
#[test]
fn a_new_disk_of_a_machine_on_another_file_system_is_brought_there() {
    let world = World::new();
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    // A link at that place is not followed, but a mount is accepted. Only root can mount.
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    if device(elsewhere.path()) == device(&world.path(".")) {
        return;
    }
    raw(&world.path("root.raw"), 8 * MIB, &[(0, Noise::new("root").bytes(MIB))]);
    raw(&world.path("data.raw"), 8 * MIB, &[(3 * MIB, Noise::new("data").bytes(MIB))]);
    world.push("shop:1", &["a=root:root.raw"]);
    world.push("shop:2", &["a=root:root.raw,data:data.raw"]);
    for format in ["raw", "qcow2"] {
        let host = format!("host-{format}");
        world.local(&format!("pull shop:1 --into {host} --format {format}")).succeeds();
        let (inside, outside) = (world.path(&host).join("a"), elsewhere.path().join(format));
        tool("cp", ["-r".as_ref(), inside.as_os_str(), outside.as_os_str()]);
        fs::remove_dir_all(&inside).unwrap();
        fs::create_dir(&inside).unwrap();
        tool("mount", ["--bind".as_ref(), outside.as_os_str(), inside.as_os_str()]);

        let patched = world.local(&format!("patch {host} --to shop:2")).ends();
        let verified = world.local(&format!("verify {host}")).ends();
        tool("umount", [&inside]);
        assert!(patched.status.success(), "{patched}");
        assert!(verified.status.success(), "{verified}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 2, "nothing else is left there");
        if format == "raw" {
            same_bytes(outside.join("data.raw"), world.path("data.raw"));
        }
    }
}

/// On FUSE and NFS, a folder keeps the name of a removed file that is still open.
#[test]
fn a_patch_that_cannot_clean_up_after_itself_is_done_and_says_what_stays() {
    let world = World::new();
    two_releases(&world);
    world.pull("shop:1", "host");
    let folder = fs::canonicalize(world.path("host")).unwrap().join(".seawall/patch");
    let in_the_way = |run: seawall_tests::Run| {
        run.with_fault("rmdir,unlinkat", "ENOTEMPTY", [Path::new("patch")])
    };

    let run = in_the_way(world.local("patch host --to shop:2"));
    run.succeeds().says("warning: cannot remove").says(".seawall/patch");

    world.holds("host", "shop:2");
    world.local("verify host").succeeds();
    assert!(folder.exists());
    in_the_way(world.local("patch host --to shop:2")).succeeds().says("warning: cannot remove");
    world.local("patch host --to shop:1").succeeds();
    assert!(!folder.exists());
}

/// The old file belongs to a hypervisor that runs as another user.
#[test]
fn a_disk_that_is_replaced_keeps_its_owner_and_mode() {
    let world = World::new();
    two_releases(&world);
    world.local("pull shop:1 --into host --format qcow2").succeeds();
    let disks = || {
        let folder = fs::read_dir(world.path("host/web")).unwrap();
        let files = folder.map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|it| it == "qcow2")).collect::<Vec<_>>()
    };
    let mine = fs::metadata(world.path("host")).unwrap().uid();
    let owner = if mine == 0 { 65534 } else { mine };
    for disk in disks() {
        fs::set_permissions(&disk, Permissions::from_mode(0o660)).unwrap();
        chown(&disk, Some(owner), None).unwrap();
    }
    world.local("patch host --to shop:2").succeeds();
    for disk in disks() {
        let found = fs::metadata(&disk).unwrap();
        assert_eq!((found.uid(), found.mode() & 0o777), (owner, 0o660), "{}", disk.display());
    }
}
