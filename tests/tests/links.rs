//! No command leaves a folder that others may write to: symbolic links, hard links, forged
//! journals.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use seawall_tests::{MIB, Noise, Run, World, raw, tool};
use serde_json::{Value, json};

/// Returns every name in a folder, with the contents of files and the targets of links.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let (path, kind) = entry.map(|it| (it.path(), it.file_type().unwrap())).unwrap();
            let bytes = if kind.is_dir() {
                folders.push(path.clone());
                Vec::new()
            } else if kind.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path).unwrap()
            };
            found.insert(path, bytes);
        }
    }
    found
}

/// Creates `shop:1` and `shop:2` with two machines each, of which `web` differs. `host` holds the
/// first.
fn world() -> World {
    let world = World::new();
    for version in [1, 2] {
        let bytes = Noise::new(format!("web {version}")).bytes(300_000);
        let shared = (MIB, Noise::new("shared").bytes(300_000));
        raw(&world.path(format!("web-{version}.raw")), 2 * MIB, &[(0, bytes), shared]);
    }
    raw(&world.path("db.raw"), MIB, &[(4096, Noise::new("db").bytes(200_000))]);
    for version in [1, 2] {
        let web = format!("web=root:web-{version}.raw");
        world.push(&format!("shop:{version}"), &[&web, "db=root:db.raw"]);
    }
    world.local("pull shop:1 --into host --as libvirt --format raw").succeeds();
    world
}

/// Moves a name of a folder outside, and replaces it by a link, so that a command that follows the
/// link finds what it expects. A missing name becomes a link to a foreign folder or file.
fn plant(folder: &Path, name: &str, outside: &Path) {
    let (path, target) = (folder.join(name), outside.join("planted"));
    if path.symlink_metadata().is_ok() {
        fs::rename(&path, &target).unwrap();
    } else {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let is_folder = !name.rsplit('/').next().unwrap()[1..].contains('.');
        if is_folder && !name.ends_with("journal") && !name.ends_with("pulling") {
            fs::create_dir(&target).unwrap();
            fs::write(target.join("file"), "somebody's").unwrap();
        } else {
            fs::write(&target, "somebody's").unwrap();
        }
    }
    symlink(&target, &path).unwrap();
}

/// Runs a command, which may fail with an explanation. Asserts that nothing outside changes.
#[track_caller]
fn harmless(run: Run, outside: &Path, context: &str) -> i32 {
    let before = snapshot(outside);
    let done = run.ends();
    assert!(snapshot(outside) == before, "{context}: something outside changed\n{done}");
    let code = done.status.code().unwrap_or_else(|| panic!("{context}: {done}"));
    if code != 0 {
        done.explains();
    }
    code
}

/// The names that a pulled folder has, or that a command creates in it.
const NAMES: [&str; 21] = [
    "web",
    "web/root.raw",
    "web/.root.raw.part",
    "web/root.raw.part",
    "web/root.part",
    "db/root.raw",
    "release.json",
    ".release.json.part",
    "seawall.lock",
    ".seawall.lock.part",
    ".seawall",
    ".seawall/indexes",
    ".seawall/origin.json",
    ".seawall/.origin.json.part",
    ".seawall/patch",
    ".seawall/patch/journal",
    ".seawall/patch/journal.part",
    "libvirt",
    "libvirt/web.xml",
    "libvirt/.web.xml.part",
    "xen",
];

#[test]
fn no_command_follows_a_link_out_of_a_pulled_folder() {
    let world = world();
    let outside = world.path("outside");
    fs::rename(world.path("host"), world.path("sound")).unwrap();
    for name in NAMES {
        for folder in ["host", "outside"] {
            let _ = fs::remove_dir_all(world.path(folder));
        }
        tool(
            "cp",
            ["-a", world.path("sound").to_str().unwrap(), world.path("host").to_str().unwrap()],
        );
        fs::create_dir(&outside).unwrap();
        plant(&world.path("host"), name, &outside);
        for command in [
            "verify host",
            "repair --from host",
            "pin shop:1 --name one --lockfile host/seawall.lock --reason x",
            "pull shop:1 --into host --locked",
            "patch host --to shop:2 --dry-run",
            "describe host --as libvirt --as xen --as qemu",
            "patch host --to shop:2",
            "status host",
        ] {
            let context = format!("{command} with a link {name}");
            harmless(world.local(command), &outside, &context);
        }
    }
}

#[test]
fn a_link_in_another_pulled_folder_is_no_seed() {
    let world = world();
    let outside = world.path("outside");
    for (at, name) in
        ["web/root.raw", "web", ".seawall/indexes", ".seawall"].into_iter().enumerate()
    {
        let (from, into) = (format!("from-{at}"), format!("into-{at}"));
        world.pull("shop:1", &from);
        let _ = fs::remove_dir_all(&outside);
        fs::create_dir(&outside).unwrap();
        plant(&world.path(&from), name, &outside);
        let pull = world.local(&format!("pull shop:1 --into {into}"));
        assert_eq!(harmless(pull, &outside, name), 0);
        world.holds(&into, "shop:1");
    }
}

#[test]
fn a_link_is_named_with_what_to_do_about_it() {
    for (name, command) in [
        ("web/root.raw", "patch host --to shop:2"),
        ("web", "patch host --to shop:2"),
        ("seawall.lock", "patch host --to shop:2"),
        (".seawall/patch/journal", "patch host --to shop:2"),
        ("libvirt", "describe host --as libvirt"),
    ] {
        let world = world();
        fs::create_dir(world.path("outside")).unwrap();
        plant(&world.path("host"), name, &world.path("outside"));
        let done = world.local(command).ends();
        assert!(matches!(done.status.code(), Some(4 | 5)), "{name}: {done}");
        done.explains().says("symbolic link");
    }
}

/// Creates the staging folder of an interrupted pull, with its mark.
fn staging(world: &World) -> PathBuf {
    let lock: Value =
        serde_json::from_slice(&fs::read(world.path("host/seawall.lock")).unwrap()).unwrap();
    let files = lock["disks"].as_array().unwrap().iter().map(|disk| disk["file"].as_str().unwrap());
    let mark =
        format!("{}\n{}", lock["release"].as_str().unwrap(), files.collect::<Vec<_>>().join("\n"));
    let staging = world.path(".new.seawall-pull");
    fs::create_dir_all(staging.join(".seawall")).unwrap();
    fs::write(staging.join(".seawall/pulling"), mark).unwrap();
    staging
}

#[test]
fn no_pull_follows_a_link_in_its_staging_folder() {
    let world = world();
    let outside = world.path("outside");
    for name in NAMES.into_iter().chain([".seawall/pulling", ".seawall/.pulling.part"]) {
        for folder in ["outside", "new", ".new.seawall-pull"] {
            let _ = fs::remove_dir_all(world.path(folder));
        }
        fs::create_dir(&outside).unwrap();
        plant(&staging(&world), name, &outside);
        let pull = "pull shop:1 --into new --as libvirt --format raw";
        let code = harmless(world.local(pull), &outside, name);
        if code == 0 {
            world.holds("new", "shop:1");
            // Names that a pull does not create may stay.
            let path = world.path("new").join(name);
            let is_made = !name.contains("part") && !name.contains("patch") && name != "xen";
            let is_link = path.symlink_metadata().is_ok_and(|found| found.is_symlink());
            assert!(!(is_made && is_link && !name.contains("origin")), "{name} is still a link");
        }
    }
}

#[test]
fn a_staging_folder_that_is_a_link_is_neither_emptied_nor_moved() {
    let world = world();
    let outside = world.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "somebody's").unwrap();
    symlink(&outside, world.path(".new.seawall-pull")).unwrap();
    let code = harmless(world.local("pull shop:1 --into new"), &outside, "staging");
    assert_eq!(code, 4);
    assert!(!world.path("new").exists());
}

#[test]
fn a_staging_folder_of_somebody_else_is_refused() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return; // only root can give a folder away
    }
    let world = world();
    let staging = world.path(".new.seawall-pull");
    fs::create_dir(&staging).unwrap();
    tool("chown", ["12345", staging.to_str().unwrap()]);
    let done = world.local("pull shop:1 --into new").exits_with(4);
    done.explains().says("belongs to the user 12345");
    // The owner of the parent folder may own the staging folder, whoever pulls.
    fs::create_dir(world.path("theirs")).unwrap();
    fs::create_dir(world.path("theirs/.new.seawall-pull")).unwrap();
    tool("chown", ["-R", "12345", world.path("theirs").to_str().unwrap()]);
    world.local("pull shop:1 --into theirs/new").succeeds();
    world.holds("theirs/new", "shop:1");
}

/// The names that commands open in a registry's directory, each with a command.
const REGISTRY_NAMES: [(&str, &str); 7] = [
    ("catalog.sqlite", "list"),
    ("catalog.sqlite-journal", "list"),
    ("catalog.sqlite-wal", "list"),
    ("catalog.sqlite-collecting", "gc"),
    ("registry.lock", "list"),
    ("backup.lock", "backup registry copy"),
    ("reserve", "recover registry"),
];

#[test]
fn no_command_follows_a_link_of_a_registrys_directory_or_waits_for_a_pipe() {
    let world = world();
    let outside = world.path("outside");
    fs::create_dir(&outside).unwrap();
    for (name, command) in REGISTRY_NAMES {
        let path = world.path("registry").join(name);
        let kept = world.path("kept");
        let was_there = fs::rename(&path, &kept).is_ok();
        symlink(outside.join("made"), &path).unwrap();
        let done = world.local(command).exits_with(4);
        done.explains().says("refusing to use").says(&format!("registry/{name}"));
        assert!(!outside.join("made").exists(), "{command}: {name} was followed");
        fs::remove_file(&path).unwrap();
        tool("mkfifo", [path.to_str().unwrap()]);
        world.local(command).exits_with(4).explains().says("not a regular file");
        fs::remove_file(&path).unwrap();
        if was_there {
            fs::rename(&kept, &path).unwrap();
        }
    }
    world.local("list").succeeds();
}

#[test]
fn links_that_others_could_put_into_a_store_are_not_followed() {
    let world = world();
    let registry = world.path("registry");
    let outside = world.path("outside");
    fs::rename(registry.join("store/packs"), &outside).unwrap();
    symlink(&outside, registry.join("store/packs")).unwrap();
    world.local("verify shop:1").succeeds();
    // While the directory is closed to others, only this user can have made the link. Once it is
    // open to others, that is unknown.
    let open = |mode| fs::set_permissions(&registry, fs::Permissions::from_mode(mode)).unwrap();
    for command in ["list", "verify shop:1", "gc", "push shop:3 --machine web=web-1.raw"] {
        open(0o777);
        let code = harmless(world.local(command), &outside, command);
        assert_eq!(code, 4, "{command}");
    }
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        open(0o700);
        tool("chown", ["12345", registry.to_str().unwrap()]);
        let done = world.local("list").exits_with(4);
        done.explains().says("belongs to the user 12345").says("sudo -u '#12345'");
    }
}

#[test]
fn a_disk_with_a_second_name_is_not_written_in_place() {
    let world = world();
    fs::create_dir(world.path("outside")).unwrap();
    fs::hard_link(world.path("host/web/root.raw"), world.path("outside/copy")).unwrap();
    let patch = || world.local("patch host --to shop:2");
    assert_eq!(harmless(patch(), &world.path("outside"), "patch"), 4);
    patch().ends().explains().says("hard links").says("cp -p");
    world.holds("host", "shop:1");
    world.local("verify host").succeeds();
    fs::remove_file(world.path("outside/copy")).unwrap();
    patch().succeeds();
    world.holds("host", "shop:2");
}

#[test]
fn files_that_a_pull_staged_get_no_bytes_while_they_have_a_second_name() {
    let world = world();
    fs::create_dir(world.path("outside")).unwrap();
    fs::write(world.path("outside/file"), vec![0; 2 << 20]).unwrap();
    let staging = staging(&world);
    fs::create_dir(staging.join("web")).unwrap();
    fs::hard_link(world.path("outside/file"), staging.join("web/root.raw")).unwrap();
    let code = harmless(world.local("pull shop:1 --into new"), &world.path("outside"), "pull");
    assert_eq!(code, 0);
    world.holds("new", "shop:1");
}

/// Returns a committed journal with this header and no record but its end.
fn journal(header: &Value) -> Vec<u8> {
    let json = serde_json::to_vec(header).unwrap();
    let mut bytes = b"SWJRNL\0\x03".to_vec();
    bytes.extend_from_slice(&(json.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&json);
    let mut end = vec![0; 48];
    end[0] = 4;
    bytes.extend_from_slice(&end);
    bytes.extend_from_slice(&blake3::hash(&end).as_bytes()[..8]);
    bytes
}

#[test]
fn a_forged_journal_writes_and_removes_nothing_outside() {
    let forgeries: [(&str, &str, &str); 7] = [
        ("new", "file", "../outside/victim"),
        ("old", "file", "../outside/victim"),
        ("new", "file", "OUTSIDE/victim"),
        ("old", "file", "web/../../outside/victim"),
        ("new", "format", "raw/../../../outside/victim"),
        ("old", "machine", "../outside"),
        ("new", "disk", "../../outside/victim"),
    ];
    for (side, field, forged) in forgeries {
        let world = world();
        let outside = world.path("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("victim"), "somebody's").unwrap();
        let read = |name: &str| fs::read_to_string(world.path("host").join(name)).unwrap();
        let lock: Value = serde_json::from_str(&read("seawall.lock")).unwrap();
        let mut header = json!({
            "old": lock, "new": lock, "release": read("release.json"),
            "disk_lens": [4096, 4096], "replaced": [],
        });
        let forged = forged.replace("OUTSIDE", outside.to_str().unwrap());
        header[side]["disks"][0][field] = forged.clone().into();
        if side == "old" {
            // Files that the new release lacks are removed.
            header["new"]["disks"] = json!([]);
            header["disk_lens"] = json!([]);
        }
        let patch = world.path("host/.seawall/patch");
        fs::create_dir_all(&patch).unwrap();
        fs::write(patch.join("journal"), journal(&header)).unwrap();
        for command in ["patch host --to shop:2", "verify host", "describe host --as qemu"] {
            let context = format!("{command} with {side} {field} {forged}");
            assert_ne!(harmless(world.local(command), &outside, &context), 0, "{context}");
        }
    }
}

#[test]
fn the_folder_that_is_named_may_be_a_link() {
    let world = world();
    symlink("host", world.path("alias")).unwrap();
    world.local("patch alias --to shop:2").succeeds();
    world.local("verify alias").succeeds();
    world.local("describe alias --as qemu").succeeds();
    world.local("pull shop:2 --into alias --locked").succeeds();
    world.local("status alias").succeeds();
    world.holds("host", "shop:2");
    // So may a folder above it.
    fs::create_dir(world.path("disks")).unwrap();
    symlink("disks", world.path("srv")).unwrap();
    world.pull("shop:1", "srv/shop");
    world.holds("disks/shop", "shop:1");
}
