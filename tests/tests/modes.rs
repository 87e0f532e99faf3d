//! Files with secrets are readable by their owner only, whatever the umask.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use seawall_tests::{MIB, Noise, Registry, World, raw};

fn mode(path: impl AsRef<Path>) -> u32 {
    let metadata = fs::symlink_metadata(&path);
    metadata.unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display())).permissions().mode()
        & 0o777
}

/// Returns everything in a folder, and the folder itself.
fn all(folder: &Path) -> Vec<PathBuf> {
    let (mut all, mut at) = (vec![folder.to_owned()], 0);
    while let Some(path) = all.get(at).cloned() {
        at += 1;
        if path.is_dir() {
            all.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    all
}

#[test]
fn pulled_disks_and_what_the_host_remembers_are_their_owners_alone() {
    let world = World::new();
    for version in [1, 2] {
        let bytes = Noise::new(format!("{version}")).bytes(200_000);
        raw(&world.path(format!("{version}.raw")), MIB, &[(0, bytes)]);
        world.push(&format!("shop:{version}"), &[&format!("web=root:{version}.raw")]);
    }
    for (format, patched) in [("raw", "raw"), ("qcow2", "qcow2")] {
        let into = format!("host-{format}");
        let run = |args: String| world.local(&args).with_umask("000").succeeds();
        run(format!("pull shop:1 --into {into} --format {format} --as qemu"));
        let check = |when: &str| {
            let host = world.path(&into);
            for path in all(&host) {
                let is_others = mode(&path) & 0o022 != 0;
                assert!(!is_others, "{when}: others may write {}", path.display());
            }
            for path in all(&host.join(".seawall")) {
                assert_eq!(mode(&path) & 0o077, 0, "{when}: {}", path.display());
            }
            let disk = host.join(format!("web/root.{patched}"));
            assert_eq!(mode(&disk), 0o600, "{when}: {}", disk.display());
            // A hypervisor under another user can traverse the folders above its disks.
            assert_eq!((mode(&host), mode(host.join("web"))), (0o755, 0o755), "{when}");
            assert_eq!(mode(host.join("qemu/start-all.sh")), 0o755, "{when}");
        };
        check("pull");
        run(format!("patch {into} --to shop:2"));
        check("patch");
    }
    for path in all(&world.path("home/state")) {
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
}

#[test]
fn a_registry_is_its_users_alone_and_an_older_one_is_closed_when_it_is_opened() {
    let world = World::new();
    raw(&world.path("1.raw"), MIB, &[(0, Noise::new("1").bytes(200_000))]);
    let push = |to: &str| {
        let push = format!("push {to} --machine web=root:1.raw --registry ./registry");
        world.seawall(&push).with_umask("000").succeeds();
    };
    push("shop:1");
    let closed = |when: &str| {
        for path in all(&world.path("registry")) {
            assert_eq!(mode(&path) & 0o077, 0, "{when}: {}", path.display());
        }
    };
    closed("push");
    let served = world.seawall("serve registry --listen 127.0.0.1:0").with_umask("000");
    let registry = Registry::start_by(served, &world);
    registry.client(&world, "push shop:2 --machine web=root:1.raw").succeeds();
    closed("serve");
    drop(registry);
    for name in ["", "catalog.sqlite"] {
        let path = world.path("registry").join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    world.seawall("list --registry ./registry").with_umask("000").succeeds();
    closed("list");
}

#[test]
fn only_a_push_and_serve_make_a_registry_and_only_where_nothing_else_is() {
    let world = World::new();
    raw(&world.path("1.raw"), MIB, &[(0, Noise::new("1").bytes(1000))]);
    fs::create_dir(world.path("empty")).unwrap();
    fs::create_dir(world.path("photos")).unwrap();
    fs::write(world.path("photos/cat.jpg"), "meow").unwrap();
    for dir in ["absent", "empty", "photos"] {
        for command in
            ["list", "show shop:1", "pull shop:1", "gc", "fsck", "quota shop --bytes 1GiB", "hosts"]
        {
            let run = world.seawall(command).env("SEAWALL_REGISTRY", world.path(dir));
            run.exits_with(3).explains().says("no registry in").says("seawall serve");
        }
    }
    assert!(!world.path("absent").exists());
    assert_eq!(all(&world.path("empty")).len(), 1);
    let push = "push shop:1 --machine web=root:1.raw --registry ./photos";
    world.seawall(push).exits_with(4).explains().says("not empty");
    world.seawall("serve photos --listen 127.0.0.1:0").exits_with(4).explains().says("not empty");
    assert_eq!(all(&world.path("photos")).len(), 2);
    for dir in ["absent", "empty"] {
        let push = push.replace("photos", dir);
        world.seawall(&push).succeeds();
        world.seawall(&format!("list --registry ./{dir}")).succeeds().prints("shop");
    }
}
