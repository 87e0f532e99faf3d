//! Mirrors: standing orders that copy by themselves, go on after faults, and do no harm in circles.

use std::fs;
use std::time::{Duration, Instant};

use seawall_tests::{MIB, Noise, Proxy, Registry, World, object_files, raw};
use serde_json::Value;

/// The time in which a mirror has to reach a state.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Creates a world with `shop:1.0` at channel `stable` in the registry of folder `registry`, and
/// the disk of a second version.
fn shop() -> World {
    let world = World::new();
    let same = Noise::new("same").bytes(4 * MIB);
    for name in ["old", "new"] {
        let own = Noise::new(name).bytes(MIB);
        raw(&world.path(format!("{name}.raw")), 16 * MIB, &[(0, same.clone()), (8 * MIB, own)]);
    }
    world.push("shop:1.0", &["web=root:old.raw"]);
    world.local("promote shop:1.0 stable").succeeds();
    world
}

/// Publishes `shop:1.1` in a registry and moves `stable` to it.
fn release(world: &World, registry: &Registry) {
    registry.client(world, "push shop:1.1 --machine web=root:new.raw").succeeds();
    registry.client(world, "promote shop:1.1 stable").succeeds();
}

/// Starts an empty registry in a folder.
fn site(world: &World, folder: &str) -> Registry {
    fs::create_dir_all(world.path(folder)).unwrap();
    Registry::start(world, &world.path(folder))
}

fn add(world: &World, at: &Registry, order: &str) {
    at.client(world, &format!("mirror add {order}")).succeeds();
}

fn status(world: &World, at: &Registry, name: &str) -> Value {
    at.client(world, &format!("mirror status {name} --json")).succeeds().json()["status"].clone()
}

/// Waits until the status of a mirror is as wanted, and returns it.
fn until(world: &World, at: &Registry, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let status = status(world, at, name);
        if is_so(&status) {
            return status;
        }
        assert!(begun.elapsed() < TIME_MAX, "{status}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn is_complete(status: &Value) -> bool {
    status["running"] == false
        && status["lastSucceededAtSecs"].is_u64()
        && status["lastError"].is_null()
}

/// Waits until channel `stable` of `shop` is at a version.
fn until_stable_is(world: &World, at: &Registry, version: &str) {
    let begun = Instant::now();
    loop {
        let shown = at.client(world, "channels shop stable --json").ends();
        if shown.status.success() && shown.json()["moves"][0]["version"] == version {
            return;
        }
        assert!(begun.elapsed() < TIME_MAX, "{shown}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_mirror_brings_releases_and_channels_by_itself_in_either_direction() {
    let world = shop();
    let central = world.serve();
    let east = site(&world, "east");
    let west = site(&world, "west");
    add(&world, &east, &format!("central --from {} --apps * --every 1s", central.url()));
    add(&world, &central, &format!("west --to {} --apps * --every 1s", west.url()));
    for (site, folder) in [(&east, "in-east"), (&west, "in-west")] {
        until_stable_is(&world, site, "1.0");
        site.client(&world, &format!("pull shop:stable --into {folder}")).succeeds();
        world.holds(folder, "shop:1.0");
    }
    release(&world, &central);
    for (site, holder, name) in [(&east, &east, "central"), (&west, &central, "west")] {
        until_stable_is(&world, site, "1.1");
        let done = until(&world, holder, name, |it| it["copiedInAll"]["releases"] == 2);
        let bytes = done["copiedInAll"]["bytes"].as_u64().unwrap();
        assert!((6 * MIB..8 * MIB).contains(&bytes), "only the changes came: {done}");
        site.client(&world, "fsck").succeeds().prints("no damage was found");
    }
    let log = east.client(&world, "audit --action publish --json").succeeds().json();
    assert_eq!(log["entries"][0]["actor"], "mirror/central", "{log}");
}

#[test]
fn a_run_on_demand_waits_for_its_end_and_tells_what_it_copied() {
    let world = shop();
    let (central, east) = (world.serve(), site(&world, "east"));
    add(&world, &east, &format!("central --from {} --apps shop --every 7d", central.url()));
    until(&world, &east, "central", is_complete);
    release(&world, &central);
    let run = east.client(&world, "mirror run central --json").succeeds().json();
    assert_eq!(run["mirror"], "central");
    assert_eq!(run["status"]["copied"]["releases"], 1, "{run}");
    assert_eq!(run["status"]["behind"]["releases"], 0, "{run}");
    let listed = east.client(&world, "mirror list").succeeds();
    assert!(listed.stdout.contains("waiting") && listed.stdout.contains("central"), "{listed}");
    east.client(&world, "mirror remove central").succeeds();
    east.client(&world, "mirror status central").exits_with(3).explains();
    assert_eq!(
        east.client(&world, "list shop --json").succeeds().json()["releases"][1]["version"],
        "1.0"
    );
}

#[test]
fn only_the_named_applications_and_channels_are_copied() {
    let world = shop();
    world.push("team/blog:7", &["web=root:new.raw"]);
    world.push("shop:1.1", &["web=root:new.raw"]);
    let (central, east) = (world.serve(), site(&world, "east"));
    let order = "central --apps shop,absent/* --channels stable --every 7d";
    add(&world, &east, &format!("{order} --from {}", central.url()));
    let done = until(&world, &east, "central", is_complete);
    assert_eq!(done["copied"]["releases"], 1, "{done}");
    assert!(done["leftAlone"][0].as_str().unwrap().contains("absent/*"), "{done}");
    east.client(&world, "show team/blog:7").exits_with(3);
    east.client(&world, "show shop:1.1").exits_with(3);
}

#[test]
fn a_mirror_whose_registry_dies_in_the_middle_goes_on_in_the_next() {
    let world = World::new();
    raw(&world.path("big.raw"), 128 * MIB, &[(0, Noise::new("big").bytes(96 * MIB))]);
    world.push("shop:1.0", &["web=root:big.raw"]);
    let central = world.serve();
    let mut east = site(&world, "east");
    // At this rate, the whole takes half a minute.
    let order = "central --apps shop --every 1s --limit 4MiB/s";
    add(&world, &east, &format!("{order} --from {}", central.url()));
    let packs = || object_files(&world.path("east"), "packs").len();
    let mut seen = 0;
    for _ in 0..2 {
        let begun = Instant::now();
        while packs() <= seen {
            assert!(begun.elapsed() < TIME_MAX, "{} packs", packs());
            std::thread::sleep(Duration::from_millis(20));
        }
        seen = packs();
        east.kill();
        east = Registry::start(&world, &world.path("east"));
        east.client(&world, "show shop:1.0").exits_with(3);
    }
    let done = until(&world, &east, "central", is_complete);
    assert_eq!(done["copiedInAll"]["releases"], 1, "{done}");
    east.client(&world, "pull shop:1.0 --into there").succeeds();
    world.holds("there", "shop:1.0");
}

#[test]
fn a_target_that_is_away_is_told_in_the_status_and_caught_up_with() {
    let world = shop();
    let central = world.serve();
    fs::create_dir(world.path("west")).unwrap();
    let west = Registry::start(&world, &world.path("west"));
    let url = west.url().to_owned();
    add(&world, &central, &format!("west --to {url} --apps * --every 1s"));
    until(&world, &central, "west", is_complete);
    west.kill();
    release(&world, &central);
    let failing = until(&world, &central, "west", |it| it["lastError"].is_string());
    assert!(failing["behind"]["secs"].is_u64(), "{failing}");
    let listen = format!("serve --listen {}", url.strip_prefix("http://").unwrap());
    let west = Registry::start_by(world.seawall(&listen).arg(world.path("west")), &world);
    until_stable_is(&world, &west, "1.1");
    until(&world, &central, "west", is_complete);
    let log = central.client(&world, "audit --action mirror --json").succeeds().json();
    let entries = log["entries"].as_array().unwrap();
    let changes: Vec<_> = entries.iter().map(|it| &it["facts"]["change"]).collect();
    assert_eq!(changes, ["recovered", "failing", "added"], "{log}");
}

/// Nothing is written once all are equal: neither releases nor moves of channels.
#[test]
fn mirrors_in_a_circle_and_two_into_one_target_come_to_rest() {
    let world = shop();
    let central = world.serve();
    let (east, west) = (site(&world, "east"), site(&world, "west"));
    let urls = [central.url(), east.url(), west.url()];
    for (at, name, from) in [
        (&east, "central", urls[0]),
        (&west, "central", urls[0]),
        (&west, "east", urls[1]),
        (&central, "west", urls[2]),
    ] {
        add(&world, at, &format!("{name} --from {from} --apps * --every 1s"));
    }
    until_stable_is(&world, &west, "1.0");
    release(&world, &central);
    for site in [&east, &west] {
        until_stable_is(&world, site, "1.1");
    }
    let entries = |at: &Registry| {
        let log = at.client(&world, "audit --json").succeeds().json();
        let entries = log["entries"].as_array().unwrap().clone();
        let is_of_names = |it: &&Value| it["action"] == "publish" || it["action"] == "promote";
        entries.iter().filter(is_of_names).count()
    };
    let counts = [&central, &east, &west].map(entries);
    let requests: Vec<_> = [(&central, "west"), (&west, "central"), (&west, "east")].into();
    for (at, name) in requests.into_iter().cycle().take(6) {
        at.client(&world, &format!("mirror run {name}")).succeeds();
    }
    assert_eq!([&central, &east, &west].map(entries), counts);
    assert_eq!(counts, [4, 4, 4], "two releases and two moves each");
}

/// A person's move at the target stays, and is told; an order with `--override-channels` undoes it.
#[test]
fn a_channel_that_somebody_moved_at_the_target_is_left_alone() {
    let world = shop();
    let (central, east) = (world.serve(), site(&world, "east"));
    let url = central.url();
    add(&world, &east, &format!("central --from {url} --apps shop --every 7d"));
    until(&world, &east, "central", is_complete);
    release(&world, &central);
    east.client(&world, "mirror run central").succeeds();
    east.client(&world, "promote shop:1.0 stable").succeeds();
    let moves = || {
        let history = east.client(&world, "channels shop stable --json").succeeds().json();
        history["moves"].as_array().unwrap().len()
    };
    assert_eq!(moves(), 3);
    for _ in 0..2 {
        let run = east.client(&world, "mirror run central --json").succeeds().json();
        let left = run["status"]["leftAlone"][0].as_str().unwrap();
        assert!(left.contains("shop:stable"), "{run}");
    }
    assert_eq!(moves(), 3);
    // Once both agree again, the mirror moves the channel again.
    east.client(&world, "promote shop:1.1 stable").succeeds();
    east.client(&world, "mirror run central").succeeds();
    central.client(&world, "promote shop:1.0 stable").succeeds();
    east.client(&world, "mirror run central").succeeds();
    assert_eq!(moves(), 5);
    central.client(&world, "promote shop:1.1 stable").succeeds();
    let order = format!("strict --from {url} --apps shop --every 7d --override-channels");
    add(&world, &east, &order);
    until(&world, &east, "strict", is_complete);
    assert_eq!(moves(), 6);
}

#[test]
fn the_token_for_the_other_registry_is_kept_and_never_shown() {
    let world = shop();
    world.local("token create ops --role publisher --output ops-token").succeeds();
    world.local("token create site --role reader --output site-token").succeeds();
    let serve = world.seawall("serve registry --listen 127.0.0.1:0 --tokens");
    let central = Registry::start_by(serve, &world);
    let east = site(&world, "east");
    let url = central.url();
    add(&world, &east, &format!("bare --from {url} --apps shop --every 7d"));
    let refused = until(&world, &east, "bare", |it| it["lastError"].is_string());
    assert!(refused["lastError"].as_str().unwrap().contains("token"), "{refused}");
    let order = format!("central --from {url} --apps shop --every 7d");
    add(&world, &east, &format!("{order} --remote-token-file site-token"));
    until(&world, &east, "central", is_complete);
    let secret = fs::read_to_string(world.path("site-token")).unwrap();
    for args in ["mirror list", "mirror status central", "audit", "jobs"] {
        for args in [args.to_owned(), format!("{args} --json")] {
            let shown = east.client(&world, &args).succeeds();
            assert!(!shown.stdout.contains(secret.trim()), "{args}: {shown}");
        }
    }
    // Whoever manages mirrors can read and write everything.
    let run = |token: &str, args: &str| central.client(&world, args).args(["--token-file", token]);
    run("site-token", "mirror add x --from http://127.0.0.1:1 --apps *").exits_with(7);
    run("site-token", "mirror list").succeeds();
    run("ops-token", "mirror add x --from http://127.0.0.1:1 --apps *").succeeds();
}

#[test]
fn the_versions_that_the_target_deleted_or_has_otherwise_are_left_alone() {
    let world = shop();
    let (central, east) = (world.serve(), site(&world, "east"));
    east.client(&world, "push shop:1.1 --machine web=root:old.raw").succeeds();
    central.client(&world, "push shop:0.9 --machine web=root:new.raw").succeeds();
    add(&world, &east, &format!("central --from {} --apps shop --every 7d", central.url()));
    until(&world, &east, "central", is_complete);
    central.client(&world, "push shop:1.1 --machine web=root:new.raw").succeeds();
    central.client(&world, "push shop:1.2 --machine web=root:new.raw").succeeds();
    central.client(&world, "promote shop:1.2 stable").succeeds();
    east.client(&world, "mirror run central").succeeds();
    east.client(&world, "rm shop:0.9").succeeds();
    let run = east.client(&world, "mirror run central --json").succeeds().json();
    let left = run["status"]["leftAlone"].as_array().unwrap();
    assert_eq!(left.len(), 1, "{run}");
    assert!(left[0].as_str().unwrap().contains("shop:1.1"), "{run}");
    east.client(&world, "show shop:1.2").succeeds();
    assert_eq!(run["status"]["copied"]["releases"], 0);
}

#[test]
fn deletions_follow_only_where_asked_and_only_what_nothing_holds() {
    let world = shop();
    let (central, east, west) = (world.serve(), site(&world, "east"), site(&world, "west"));
    release(&world, &central);
    for version in ["0.8", "0.9"] {
        let push = format!("push shop:{version} --machine web=root:new.raw");
        central.client(&world, &push).succeeds();
    }
    let order = format!("central --from {} --apps shop --every 7d", central.url());
    add(&world, &east, &format!("{order} --delete"));
    add(&world, &west, &order);
    for place in [&east, &west] {
        until(&world, place, "central", is_complete);
        place.client(&world, "push shop:5 --machine web=root:new.raw").succeeds();
    }
    east.client(&world, "pin shop:0.8 --reason kept").succeeds();
    for version in ["0.8", "0.9"] {
        central.client(&world, &format!("rm shop:{version}")).succeeds();
    }
    let run = east.client(&world, "mirror run central --json").succeeds().json();
    west.client(&world, "mirror run central").succeeds();
    assert_eq!(run["status"]["deletedInAll"], 1, "{run}");
    let left = run["status"]["leftAlone"].to_string();
    assert!(left.contains("shop:0.8 was deleted in the source, and stays"), "{run}");
    east.client(&world, "show shop:0.9").exits_with(3);
    // The pinned one, and the one that the source never had.
    east.client(&world, "show shop:0.8").succeeds();
    east.client(&world, "show shop:5").succeeds();
    west.client(&world, "show shop:0.9").succeeds();
}

#[test]
fn a_limit_holds_the_rate_down() {
    let world = World::new();
    raw(&world.path("big.raw"), 64 * MIB, &[(0, Noise::new("big").bytes(48 * MIB))]);
    world.push("shop:1.0", &["web=root:big.raw"]);
    let (central, east) = (world.serve(), site(&world, "east"));
    let proxy = Proxy::start(&central, |_, answer| answer);
    let begun = Instant::now();
    let order = "central --apps shop --every 7d --limit 8MiB/s";
    add(&world, &east, &format!("{order} --from {}", proxy.url()));
    until(&world, &east, "central", is_complete);
    // Three packs of 16 MiB: the last one waits for the two before, which take 4 seconds.
    assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
    assert!(proxy.sent() < 60 * MIB, "{} bytes", proxy.sent());
}

#[test]
fn wrong_orders_are_refused_with_the_next_step() {
    let world = shop();
    let central = world.serve();
    let of = |args: &str| central.client(&world, &format!("mirror {args}"));
    for args in [
        "add a --from http://127.0.0.1:1",
        "add a --apps *",
        "add a --from http://127.0.0.1:1 --to http://127.0.0.1:1 --apps *",
        "add a --from ftp://127.0.0.1 --apps *",
        "add a --from http://me:secret@127.0.0.1 --apps *",
        "add A --from http://127.0.0.1:1 --apps *",
        "add a --from http://127.0.0.1:1 --apps team/*/x",
        "add a --from http://127.0.0.1:1 --apps * --every never",
        "add a --from http://127.0.0.1:1 --apps * --limit 1",
    ] {
        let refused = of(args).exits_with(2);
        assert!(!refused.stderr.contains("secret"), "{refused}");
    }
    of("add a --from http://127.0.0.1:1 --apps *").succeeds();
    of("add a --from http://127.0.0.1:1 --apps *").exits_with(2).explains();
    for args in ["run nobody", "status nobody", "remove nobody"] {
        of(args).exits_with(3);
    }
}
