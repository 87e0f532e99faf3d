//! The life of a release: its holders, its hosts, its deletion, and the space freed.

use std::fs;
use std::path::Path;

use seawall_tests::{MIB, Noise, World, raw};
use serde_json::Value;

/// Creates a world with releases 1.0 to 1.3 of `shop` in its directory registry. Each has 1 MiB of
/// its own, and all share 1 MiB.
fn shop() -> World {
    let world = World::new();
    let shared = Noise::new("shared").bytes(MIB);
    for n in 0..4u64 {
        let own = Noise::new(n.to_le_bytes()).bytes(MIB);
        let pieces = [(0, shared.clone()), (8 * MIB, own)];
        raw(&world.path(format!("{n}.raw")), 16 * MIB, &pieces);
        world.push(&format!("shop:1.{n}"), &[&format!("web=root:{n}.raw")]);
    }
    world
}

#[track_caller]
fn promote(world: &World, version: &str) {
    world.local(&format!("promote shop:{version} stable")).succeeds();
}

/// Asserts that `rm` refuses each release with exit status 4 and names its holder.
#[test]
fn a_held_release_is_not_deleted_and_the_refusal_names_its_holders() {
    let world = shop();
    promote(&world, "1.2");
    promote(&world, "1.3");
    let pin = world.local("pin shop:1.0 --name audit --reason").arg("the auditors read it");
    pin.succeeds();
    world.pull("shop:1.1", "host");
    world.local("report host --host rack4").succeeds();
    for (reference, holder, remedy) in [
        ("shop:1.0", "pin audit: the auditors read it", "seawall unpin shop:1.0 --name audit"),
        ("shop:1.1", "host rack4 runs it", "seawall hosts shop --forget rack4"),
        ("shop:1.2", "channel stable pointed at it 1 move ago", "seawall channels shop stable"),
        ("shop:1.3", "channel stable points at it", "seawall promote shop:VERSION stable"),
        ("shop:stable", "channel stable points at it", "seawall promote shop:VERSION stable"),
    ] {
        let done = world.local(&format!("rm {reference}")).exits_with(4).explains();
        done.says(holder).says("help: ").says(remedy);
        let dry = world.local(&format!("rm {reference} --dry-run --json")).exits_with(4);
        assert_eq!(dry.json()["holders"].as_array().unwrap().len(), 1, "{dry}");
    }
    assert_eq!(world.versions("shop"), ["1.3", "1.2", "1.1", "1.0"]);
    let listed = world.local("list shop").succeeds().stdout;
    for mark in ["pin audit", "1 host", "recent on stable"] {
        assert!(listed.contains(mark), "{listed}");
    }
    let shown = world.local("show shop:1.0").succeeds().stdout;
    assert!(shown.contains("pin audit") && shown.contains("the auditors read it"), "{shown}");
    let shown = world.local("show shop:1.1 --json").succeeds().json();
    assert_eq!(shown["holders"][0]["host"], "rack4");

    world.local("unpin shop:1.0 --name audit").succeeds();
    world.local("unpin shop:1.0 --name audit").exits_with(3).explains();
    world.local("hosts --forget rack4").succeeds();
    world.local("rm shop:1.0 --dry-run").succeeds();
    world.local("rm shop:1.0").succeeds();
    world.local("rm shop:1.1").succeeds();
    assert_eq!(world.versions("shop"), ["1.3", "1.2"]);
}

#[test]
fn a_deleted_version_is_gone_for_ever_also_when_the_catalog_is_lost() {
    let world = shop();
    promote(&world, "1.3");
    world.local("rm shop:1.0").succeeds();
    for round in ["with its catalog", "with a rebuilt one"] {
        for command in ["show shop:1.0", "pull shop:1.0 --into x", "rm shop:1.0"] {
            let done = world.local(command).exits_with(3).explains();
            assert!(done.stderr.contains("was deleted"), "{round}: {done}");
        }
        // The same bytes, and then different ones.
        for disk in ["0.raw", "1.raw"] {
            let push = world.local(&format!("push shop:1.0 --machine web=root:{disk}"));
            let done = push.exits_with(4).explains();
            assert!(done.stderr.contains("was deleted"), "{round}: {done}");
        }
        assert_eq!(world.versions("shop"), ["1.3", "1.2", "1.1"], "{round}");
        world.local("gc").succeeds();
        world.pull("shop:1.1", &format!("pulled {round}").replace(' ', "-"));
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(world.path(format!("registry/catalog.sqlite{suffix}")));
        }
    }
    world.push("shop:1.4", &["web=root:0.raw"]);
}

#[track_caller]
fn behind(world: &World, dir: &str) -> Value {
    let told = world.local(&format!("report {dir} --host rack4 --json")).succeeds().json();
    assert_eq!(told["host"], "rack4");
    told["directories"][0].clone()
}

#[test]
fn a_host_is_told_how_far_it_is_behind_its_channel_and_the_registry_knows() {
    let world = shop();
    promote(&world, "1.0");
    world.pull("shop:stable", "host");
    let now = behind(&world, "host");
    assert_eq!((&now["channel"], &now["version"]), (&"stable".into(), &"1.0".into()));
    assert_eq!((&now["noted"]["movesBehind"], &now["diskCount"]), (&0.into(), &1.into()));
    promote(&world, "1.1");
    promote(&world, "1.2");
    let now = behind(&world, "host");
    assert_eq!(now["noted"]["movesBehind"], 2);
    assert_eq!(now["noted"]["channelVersion"], "1.2");
    let listed = world.local("hosts shop").succeeds().stdout;
    assert!(
        listed.contains("rack4")
            && listed.contains("on 1.0, channel stable at 1.2, 2 moves behind"),
        "{listed}"
    );

    // A patch without `--to` catches up with the channel. A patch to a version follows no channel.
    world.local("patch host --to shop:stable").succeeds();
    assert_eq!(behind(&world, "host")["noted"]["movesBehind"], 0);
    world.local("patch host --to shop:1.3").succeeds();
    let now = behind(&world, "host");
    assert!(now.get("channel").is_none() && now["noted"].get("movesBehind").is_none(), "{now}");
    // The host no longer holds its previous release.
    let done = world.local("rm shop:1.3").exits_with(4);
    assert!(done.stderr.contains("rack4"), "{done}");
    let all = world.local("hosts --json").succeeds().json();
    assert_eq!(all["hosts"].as_array().unwrap().len(), 1, "one directory is one instance");

    // Neither directory nor registry is named, because this host remembers both.
    let told = world.seawall("report --all --json").succeeds().json();
    assert_eq!(told["directories"][0]["application"], "shop");
    assert_eq!(told["directories"][0]["noted"]["version"], "1.3");
    world.seawall("report nosuch").exits_with(3).explains();
    world.seawall("report").exits_with(2).says("DIR");
    world.local("report host --ttl 5").exits_with(2).explains();
    world.local("report host --ttl 1s").exits_with(2).explains();
    world.on_host("elsewhere", "report --all").exits_with(3).explains();
    world.on_host("elsewhere", "status").exits_with(3).explains();
}

#[test]
fn a_status_changes_nothing_and_says_how_far_a_folder_is_behind() {
    let world = shop();
    promote(&world, "1.0");
    world.pull("shop:stable", "host");
    world.pull("shop:1.1", "pinned");
    promote(&world, "1.1");
    promote(&world, "1.2");

    // Neither directory nor registry is named, because this host remembers both.
    let shown = world.seawall("status").succeeds().stdout;

    assert!(shown.contains("on 1.0, channel stable at 1.2, 2 moves behind"), "{shown}");
    assert!(
        shown.lines().any(|line| line.contains("/pinned") && line.contains("on 1.1 ")),
        "{shown}"
    );
    let hosts = world.local("hosts --json").succeeds().json();
    assert!(hosts["hosts"].as_array().unwrap().is_empty(), "nobody reported: {hosts}");
    world.local("rm shop:1.1 --dry-run").exits_with(4).explains();
    let told = world.seawall("status host --json").succeeds().json();
    let entry = &told["directories"][0];
    assert_eq!((&entry["movesBehind"], &entry["channelVersion"]), (&2.into(), &"1.2".into()));
    // The channel moved back, which no distance between versions shows.
    world.seawall("patch host").succeeds();
    promote(&world, "1.0");
    let shown = world.seawall("status host").succeeds().stdout;
    assert!(shown.contains("on 1.2, channel stable at 1.0, 1 move behind"), "{shown}");
    // Without an answer from the registry, the local state is still shown.
    std::fs::rename(world.path("registry"), world.path("away")).unwrap();
    let told = world.seawall("status host").exits_with(3).explains();
    assert!(told.stdout.contains("on 1.2") && told.stdout.contains("unmodified"), "{told}");
}

#[test]
fn hosts_are_counted_by_application_and_channel() {
    let world = shop();
    promote(&world, "1.0");
    world.pull("shop:stable", "one");
    world.pull("shop:stable", "two");
    promote(&world, "1.1");
    world.local("patch two").succeeds();
    for host in ["one", "two"] {
        world.local(&format!("report {host} --host {host}")).succeeds();
    }
    let told = world.local("hosts --json").succeeds().json();
    let summary = &told["summary"][0];
    assert_eq!(
        (&summary["channel"], &summary["channelVersion"]),
        (&"stable".into(), &"1.1".into())
    );
    assert_eq!(summary["hostCount"], 2);
    assert_eq!(
        summary["versions"],
        serde_json::json!([{"version": "1.1", "hostCount": 1}, {"version": "1.0", "hostCount": 1}])
    );
    let shown = world.local("hosts shop").succeeds().stdout;
    assert!(shown.contains("1 on 1.1, 1 on 1.0"), "{shown}");
}

#[test]
fn a_directory_that_cannot_be_read_does_not_let_the_others_lapse() {
    let world = shop();
    world.pull("shop:1.0", "broken");
    world.pull("shop:1.1", "host");
    fs::copy(world.path("host/release.json"), world.path("broken/release.json")).unwrap();

    let told = world.local("report --all --host rack4 --json").exits_with(5).explains();

    let entries = told.json()["directories"].clone();
    let of = |name: &str| {
        let mut entries = entries.as_array().unwrap().iter();
        entries.find(|entry| entry["directory"].as_str().unwrap().ends_with(name)).unwrap().clone()
    };
    let (broken, sound) = (of("/broken"), of("/host"));
    assert!(broken["problem"].as_str().unwrap().contains("release.json"), "{told}");
    assert!(broken.get("noted").is_none() && broken.get("version").is_none(), "{told}");
    assert_eq!((&sound["version"], &sound["noted"]["version"]), (&"1.1".into(), &"1.1".into()));
    world.local("rm shop:1.1").exits_with(4).says("rack4");
    let shown =
        world.local("report --all --host rack4").exits_with(5).says("pull the release again");
    assert!(shown.stdout.contains("/broken  -") && shown.stdout.contains("1.1"), "{shown}");

    // A patch that died between its last two files is not damage.
    fs::create_dir_all(world.path("broken/.seawall/patch")).unwrap();
    fs::write(world.path("broken/.seawall/patch/journal"), "").unwrap();
    for command in ["report --all --host rack4", "repair --from broken"] {
        world.local(command).exits_with(4).explains().says("run `seawall patch` again");
    }
}

#[test]
fn the_release_in_a_lockfile_can_be_pinned() {
    let world = shop();
    world.pull("shop:1.0", "host");
    let pin = world.local("pin --lockfile host/seawall.lock --reason deployed");
    pin.succeeds();
    world.local("rm shop:1.0").exits_with(4).says("pin manual: deployed");
    world.local("pin --lockfile nosuch --reason x").exits_with(3).explains();
    world.local("pin shop:1.0").exits_with(2);
    world.local("pin shop:1.0 --name Not_a_name --reason x").exits_with(2).explains();
    world.local("unpin shop:1.0").succeeds();
    world.local("rm shop:1.0").succeeds();
}

/// Returns the total length of all objects except records, which are kept for ever.
fn store_bytes(dir: &Path) -> u64 {
    let mut sum = 0;
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && entry.file_name() != "names" {
            sum += store_bytes(&entry.path());
        } else if kind.is_file() {
            sum += entry.metadata().unwrap().len();
        }
    }
    sum
}

#[test]
fn retention_frees_exactly_the_bytes_that_its_plan_says_and_keeps_what_is_held() {
    let world = shop();
    promote(&world, "1.3");
    world.local("pin shop:1.0 --reason kept").succeeds();
    let none = world.local("retention show shop").succeeds().stdout;
    assert!(none.contains("nothing is deleted"), "{none}");
    let plan = world.local("retention plan shop --json").succeeds().json();
    let fates = |plan: &Value| -> Vec<(String, String)> {
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        let verdicts = plan["verdicts"].as_array().unwrap().iter();
        verdicts.map(|verdict| (word(&verdict["version"]), word(&verdict["fate"]))).collect()
    };
    assert!(fates(&plan).iter().all(|(_, fate)| fate == "stays"), "{plan}");
    world.local("retention set shop").exits_with(2);
    world.local("retention set shop --keep-younger soon").exits_with(2).explains();
    world.local("retention set shop --channel nosuch --keep-last 1").exits_with(3).explains();
    world.local("retention set shop --keep-last 1 --keep-superseded 1h").succeeds();
    let plan = world.local("retention plan shop --json").succeeds().json();
    let want = [("1.3", "stays"), ("1.2", "goes"), ("1.1", "goes"), ("1.0", "stays")];
    assert_eq!(fates(&plan), want.map(|(version, fate)| (version.to_owned(), fate.to_owned())));
    let text = world.local("retention plan shop").succeeds().stdout;
    assert!(text.contains("2 of 4 releases would be deleted, which frees"), "{text}");
    let freed = plan["freedBytes"].as_u64().unwrap();
    // Twice 1 MiB of unique noise, without the data that all releases share.
    assert!((2 * MIB..3 * MIB).contains(&freed), "{freed}");

    let store = world.path("registry/store");
    let before = store_bytes(&store);
    let outcome = world.local("retention apply shop --json").succeeds().json();
    assert_eq!(outcome["deleted"].as_array().unwrap().len(), 2, "{outcome}");
    assert_eq!(outcome["plannedBytes"].as_u64(), Some(freed), "{outcome}");
    assert_eq!(outcome["freedBytes"].as_u64(), Some(freed), "{outcome}");
    assert_eq!(before - store_bytes(&store), freed, "as `du` sees it");
    assert_eq!(world.versions("shop"), ["1.3", "1.0"]);
    for version in ["1.0", "1.3"] {
        world.local(&format!("verify shop:{version}")).succeeds();
        world.pull(&format!("shop:{version}"), version);
        world.holds(version, &format!("shop:{version}"));
    }
    let again = world.local("retention apply shop").succeeds().stdout;
    assert!(again.contains("nothing was deleted"), "{again}");
    world.local("retention set shop --none").succeeds();
    let none = world.local("retention show shop").succeeds().stdout;
    assert!(none.contains("nothing is deleted"), "{none}");
}
