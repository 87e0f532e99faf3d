//! A registry moves between a directory, a bucket, SQLite and PostgreSQL, and arrives whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use seawall_tests::{
    CephBucket, Done, Gate, Harm, MIB, Noise, Postgres, Registry, Run, Signal, World, flip_bit,
    object_files, raw, same_bytes, tool,
};
use serde_json::Value;

/// The time in which a registry has to notice that it was moved.
const NOTICE_TIME_MAX: Duration = Duration::from_secs(60);

/// Tables that a check of the target changes, or that belong to one home.
const OWN_TABLES: [&str; 3] = ["relocation", "jobs", "findings"];

/// Makes a registry with something in every corner, in the directory `registry`.
fn furnished() -> World {
    let world = World::new();
    let shared = Noise::new("shared").bytes(18 * MIB);
    for n in 1..=4u64 {
        let own = Noise::new(n.to_le_bytes()).bytes(MIB);
        let pieces = [(0, shared.clone()), (32 * MIB, own)];
        raw(&world.path(format!("{n}.raw")), 64 * MIB, &pieces);
    }
    fs::write(world.path("secret"), "whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IDEyMzQ=\n")
        .unwrap();
    for args in [
        "push shop:1 --machine a=root:1.raw",
        "push shop:2 --machine a=root:2.raw,data:1.raw",
        "push team/app:3 --machine m=root:3.raw",
        "push shop:4 --machine a=root:4.raw",
        "promote shop:1 stable",
        "promote shop:2 stable",
        "pin shop:1 --name audit --reason kept",
        "retention set shop --keep-last 9",
        "quota shop --releases 9",
        "webhooks add http://127.0.0.1:1/ --events promote --secret-file secret",
        "token create ci --role publisher --apps shop,team/* --expires 90d",
        "pull shop:2 --into host",
        "report host --host rack4",
        "rm shop:4",
        "gc",
        "fsck --rate 0",
    ] {
        world.local(args).succeeds();
    }
    world
}

/// Runs `seawall relocate` in a world, with the keys of buckets.
fn relocate(world: &World, args: &[&str]) -> Run {
    CephBucket::with_keys(world.seawall("relocate --json").arg(world.path("registry")).args(args))
}

/// The options that name a bucket and a schema as the new home.
fn to<'a>(bucket: &'a str, endpoint: &'a str, place: &'a str) -> [&'a str; 7] {
    ["--store", bucket, "--s3-endpoint", endpoint, "--s3-allow-http", "--catalog", place]
}

/// The options that name them as the present home.
fn from<'a>(bucket: &'a str, endpoint: &'a str, place: &'a str) -> [&'a str; 7] {
    let (store, catalog) = ("--from-store", "--from-catalog");
    [store, bucket, "--from-s3-endpoint", endpoint, "--from-s3-allow-http", catalog, place]
}

/// Returns the address of a schema, which is made if need be.
fn schema(postgres: &Postgres, name: &str) -> String {
    let make = "SET client_min_messages = error; CREATE SCHEMA IF NOT EXISTS";
    postgres.sql("postgres", &format!("{make} {name}"));
    postgres.address("postgres", &format!("&options=-csearch_path%3D{name}"))
}

/// Serves the directory `registry` with options of a home.
fn serve(world: &World, options: &[&str]) -> Registry {
    let run = world.seawall("serve --listen 127.0.0.1:0").args(options);
    Registry::start_by(CephBucket::with_keys(run.arg(world.path("registry"))), world)
}

type Table = BTreeSet<String>;

/// Reads every row of every table of a file, as text.
fn rows_of_file(path: &Path) -> BTreeMap<String, Table> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let list = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let tables = list("SELECT name FROM sqlite_master WHERE type = 'table'");
    let rows = |table: &str| {
        let columns = list(&format!("SELECT name FROM pragma_table_info('{table}') ORDER BY name"));
        let columns = columns.iter().map(|column| {
            format!(
                "CASE typeof({column}) WHEN 'blob' THEN '\\x' || lower(hex({column}))
                 WHEN 'null' THEN 'NULL' ELSE replace({column}, char(10), ' ') END"
            )
        });
        let columns = columns.collect::<Vec<_>>().join(" || '|' || ");
        list(&format!("SELECT {columns} FROM {table}"))
    };
    tables.into_iter().map(|table| (table.clone(), rows(&table).into_iter().collect())).collect()
}

/// Reads every row of these tables of a schema, as text.
fn rows_of_schema(
    postgres: &Postgres,
    schema: &str,
    tables: impl Iterator<Item = String>,
) -> BTreeMap<String, Table> {
    let rows = |table: String| {
        let sql = format!(
            "SET search_path = {schema};
             SELECT string_agg(format('COALESCE(replace(%I::text, chr(10), '' ''), ''NULL'')',
                 column_name), ' || ''|'' || ' ORDER BY column_name COLLATE \"C\")
             FROM information_schema.columns
             WHERE table_schema = '{schema}' AND table_name = '{table}'"
        );
        let columns = postgres.sql("postgres", &sql);
        let sql = format!("SET search_path = {schema}; SELECT {} FROM {table}", columns.trim());
        let rows = postgres.sql("postgres", &sql);
        (table, rows.lines().map(str::to_owned).collect())
    };
    tables.map(rows).collect()
}

/// Asserts that both catalogs have the same rows, apart from those of one home.
#[track_caller]
fn same_rows(mut one: BTreeMap<String, Table>, mut other: BTreeMap<String, Table>) {
    for rows in [&mut one, &mut other] {
        rows.retain(|table, _| !OWN_TABLES.contains(&table.as_str()));
        // The store, which is the last column by name.
        let identity = rows.get_mut("identity").unwrap();
        *identity = identity.iter().map(|row| row.rsplit_once('|').unwrap().0.to_owned()).collect();
        assert_eq!(identity.len(), 1);
    }
    assert!(one.len() > 25, "{:?}", one.keys());
    for table in ["releases", "channels", "pins", "policies", "webhooks", "tokens", "audit"] {
        assert!(!one[table].is_empty(), "{table}");
    }
    for (table, rows) in &one {
        assert_eq!(Some(rows), other.get(table), "{table}");
    }
}

/// Returns the files below a folder, relative to it.
fn files(root: &Path) -> BTreeSet<String> {
    let (mut folders, mut found) = (vec![root.to_owned()], BTreeSet::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.retain(|name| name.contains('/') && !name.starts_with("probe"));
    found
}

/// Asserts that the bucket has the objects of a folder, byte for byte, and no others.
#[track_caller]
fn same_objects(world: &World, store: &Path, bucket: &CephBucket) {
    let mut keys: BTreeSet<String> = bucket.keys("").into_iter().collect();
    assert!(keys.contains("registry.json") && !keys.contains("arriving.json"), "{keys:?}");
    keys.retain(|key| key.contains('/'));
    let own = files(store);
    assert!(own.len() > 10, "{own:?}");
    assert_eq!(own, keys);
    for key in own {
        bucket.get(&key, &world.path("object"));
        same_bytes(store.join(key), world.path("object"));
    }
}

fn count(answer: &Value, pointer: &str) -> u64 {
    answer.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer}: {answer}"))
}

#[test]
fn a_registry_moves_out_and_back_with_every_row_and_every_object() {
    let Some(postgres) = Postgres::start() else { return };
    let (world, bucket) = (furnished(), CephBucket::new());
    let (store, place) = (bucket.store(), schema(&postgres, "own"));
    let home = to(&store, bucket.endpoint(), &place);
    let dry = [&home[..], &["--dry-run"]].concat();
    let plan = relocate(&world, &dry).succeeds().json();
    assert!(count(&plan, "/toCopy/objectBytes") > 20 * MIB && count(&plan, "/rows/rowCount") > 100);
    assert_eq!(bucket.keys(""), [""; 0], "a plan changes nothing");
    world.local("promote shop:1 stable").succeeds();

    let done = relocate(&world, &home).succeeds().json();
    assert_eq!(count(&done, "/copied/objectCount"), count(&plan, "/toCopy/objectCount") + 1);
    let former = world.path("registry/catalog.sqlite");
    let rows = rows_of_file(&former);
    let tables = rows.keys().cloned();
    same_rows(rows.clone(), rows_of_schema(&postgres, "own", tables));
    same_objects(&world, &world.path("registry/store"), &bucket);

    // The former home stays closed, and says where the registry is.
    let closed = world.seawall("serve --listen 127.0.0.1:0").arg(world.path("registry"));
    closed.exits_with(6).explains().says("the catalog of this registry is postgres://");
    let only_store = world.seawall("serve --listen 127.0.0.1:0 --catalog");
    let only_store = only_store.arg(&place).arg(world.path("registry"));
    only_store.exits_with(4).explains().says("was moved to").says(&store);
    assert_eq!(relocate(&world, &home).succeeds().json()["alreadyPresent"], true);

    let registry = serve(&world, &home);
    registry.client(&world, "pull shop:2 --into out").succeeds();
    same_bytes(world.path("out/a/root.raw"), world.path("2.raw"));
    same_bytes(world.path("out/a/data.raw"), world.path("1.raw"));
    registry.client(&world, "audit --verify").succeeds();
    registry.client(&world, "push shop:5 --machine a=root:4.raw").succeeds();
    registry.client(&world, "rm team/app:3").succeeds();
    registry.kill();

    let back = relocate(&world, &from(&store, bucket.endpoint(), &place)).succeeds().json();
    assert!(back["oldCatalog"].as_str().unwrap().contains("catalog.sqlite.old-1"), "{back}");
    assert!(count(&back, "/present/objectCount") > 10, "the folder had them: {back}");
    let rows = rows_of_file(&former);
    let tables = rows.keys().cloned();
    same_rows(rows.clone(), rows_of_schema(&postgres, "own", tables));
    same_objects(&world, &world.path("registry/store"), &bucket);
    world.pull("shop:5", "back");
    same_bytes(world.path("back/a/root.raw"), world.path("4.raw"));
    world.local("audit --verify").succeeds();
    world.local("fsck --rate 0").succeeds();
    world.local("pin shop:5 --reason back").succeeds();
    let gone = CephBucket::with_keys(world.seawall("serve --listen 127.0.0.1:0").args(home));
    gone.arg(world.path("elsewhere")).exits_with(4).explains().says("was moved to");
}

/// Starts a relocation through a proxy, which reports and hangs at the request that `is_last`
/// chooses.
fn stuck(
    world: &World,
    bucket: &CephBucket,
    place: &str,
    is_last: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
) -> seawall_tests::Started {
    let (send, reached) = mpsc::channel();
    let send = Mutex::new(send);
    let gate = Gate::start(bucket.endpoint(), move |asked| {
        let path = asked.target.split('?').next().unwrap_or_default();
        let key = path.splitn(3, '/').nth(2).unwrap_or_default();
        if !is_last(&asked.method, key) {
            return Harm::Nothing;
        }
        let _ = send.lock().unwrap().send(());
        Harm::Hang
    });
    let store = bucket.store();
    let mut started = relocate(world, &to(&store, gate.url(), place)).start();
    while reached.recv_timeout(Duration::from_millis(20)).is_err() {
        assert!(started.is_running(), "{}", started.ends());
    }
    started
}

#[test]
fn a_registry_that_is_being_moved_is_read_and_takes_no_writes() {
    let Some(postgres) = Postgres::start() else { return };
    let (world, bucket) = (furnished(), CephBucket::new());
    let (store, place) = (bucket.store(), schema(&postgres, "own"));
    let home = to(&store, bucket.endpoint(), &place);
    let registry = world.serve();
    let packs = AtomicU32::new(0);
    let moving = stuck(&world, &bucket, &place, move |method, key| {
        method == "PUT" && key.starts_with("packs/") && packs.fetch_add(1, Relaxed) == 1
    });

    registry.client(&world, "pull shop:2 --into meanwhile").succeeds();
    same_bytes(world.path("meanwhile/a/root.raw"), world.path("2.raw"));
    let refused = |done: Done| {
        assert_eq!(done.status.code(), Some(6), "{done}");
        done.explains().says("it is being moved to another place");
    };
    refused(registry.client(&world, "promote shop:1 stable").ends());
    refused(registry.client(&world, "push shop:9 --machine a=root:3.raw").ends());
    refused(world.local("pin shop:2 --reason late").ends());
    let url = registry.at("/v1/applications/shop/channels/stable");
    let shown = world.local("show shop:1 --json").succeeds().json();
    let body = format!("{{\"release\":{}}}", shown["digest"]);
    let put = reqwest::blocking::Client::new().put(url).body(body);
    let put = put.header("if-match", "\"2\"").header("content-type", "application/json");
    let answer = put.send().unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert_eq!(registry.status("/readyz"), Some(200), "it still serves readers");

    // Half a registry is never served, and a second relocation waits for the first one.
    let half = CephBucket::with_keys(world.seawall("serve --listen 127.0.0.1:0").args(home));
    half.arg(world.path("other")).exits_with(4).explains().says("not all of it has arrived");
    let abort = || relocate(&world, &["--abort"]);
    abort().exits_with(6).explains().says("another process is moving this registry");
    assert!(moving.kill().was_killed());
    let elsewhere = schema(&postgres, "elsewhere");
    let other = relocate(&world, &to(&store, bucket.endpoint(), &elsewhere)).exits_with(4);
    other.explains().says("is being moved to").says("--abort");

    // Given up, and begun again.
    abort().succeeds();
    registry.client(&world, "promote shop:1 stable").succeeds();
    let done = relocate(&world, &home).succeeds().json();
    assert!(count(&done, "/present/objectCount") >= 1, "{done}");
    same_objects(&world, &world.path("registry/store"), &bucket);
    let rows = rows_of_file(&world.path("registry/catalog.sqlite"));
    same_rows(rows.clone(), rows_of_schema(&postgres, "own", rows.keys().cloned()));

    // The process that served the source ends by itself.
    let begun = Instant::now();
    while registry.status("/healthz").is_some() {
        assert!(begun.elapsed() < NOTICE_TIME_MAX, "the former registry still serves");
        std::thread::sleep(Duration::from_millis(50));
    }
    let moved = serve(&world, &home);
    let stable = moved.client(&world, "channels shop --json").succeeds().json();
    assert_eq!(stable["channels"][0]["version"], "1");
}

fn copy(world: &World, from: &str, to: &str) {
    tool("cp", ["-a".as_ref(), world.path(from).as_os_str(), world.path(to).as_os_str()]);
}

/// `kill -9` at every stage: the next run completes the relocation, and nothing is lost.
#[test]
fn a_relocation_killed_at_any_stage_is_completed_by_the_next_run() {
    let Some(postgres) = Postgres::start() else { return };
    let world = furnished();
    copy(&world, "registry", "kept");
    for (round, (method, folder, at)) in [
        ("PUT", "arriving.json", 1),
        ("PUT", "registry.json", 1),
        ("PUT", "packs/", 2),
        ("PUT", "names/", 2),
        ("GET", "packs/", 2),
        ("GET", "releases/", 1),
        ("DELETE", "arriving.json", 2),
    ]
    .into_iter()
    .enumerate()
    {
        fs::remove_dir_all(world.path("registry")).unwrap();
        copy(&world, "kept", "registry");
        let (bucket, name) = (CephBucket::new(), format!("s{round}"));
        let (store, place) = (bucket.store(), schema(&postgres, &name));
        let seen = AtomicU32::new(0);
        let moving = stuck(&world, &bucket, &place, move |asked, key| {
            asked == method && key.starts_with(folder) && seen.fetch_add(1, Relaxed) + 1 == at
        });
        assert!(moving.kill().was_killed());
        let home = to(&store, bucket.endpoint(), &place);
        if round > 0 {
            let half = world.seawall("serve --listen 127.0.0.1:0").args(home);
            CephBucket::with_keys(half).arg(world.path("other")).exits_with(4).explains();
        }
        relocate(&world, &home).succeeds();
        let rows = rows_of_file(&world.path("registry/catalog.sqlite"));
        same_rows(rows.clone(), rows_of_schema(&postgres, &name, rows.keys().cloned()));
        same_objects(&world, &world.path("registry/store"), &bucket);
        let left = "SELECT COUNT(*) FROM pg_namespace WHERE nspname LIKE '%rebuild'";
        assert_eq!(postgres.sql("postgres", left), "0", "round {round}");
    }
}

/// A relocation that is ended at moments all over its time, by each signal in turn, is completed by
/// the next run, or given up.
#[test]
fn a_relocation_that_a_signal_ends_is_completed_or_given_up() {
    const ROUNDS: u32 = 9;
    let Some(postgres) = Postgres::start() else { return };
    let world = furnished();
    copy(&world, "registry", "kept");
    let mut whole = Duration::ZERO;
    let mut ended = 0;
    for round in 0..=ROUNDS {
        fs::remove_dir_all(world.path("registry")).unwrap();
        copy(&world, "kept", "registry");
        let (bucket, name) = (CephBucket::new(), format!("t{round}"));
        let (store, place) = (bucket.store(), schema(&postgres, &name));
        let home = to(&store, bucket.endpoint(), &place);
        let begun = Instant::now();
        let started = relocate(&world, &home).start();
        if round > 0 {
            // The first round showed how long it takes.
            std::thread::sleep(whole * round / (ROUNDS + 1));
            let (signal, status) =
                [(Signal::INT, 130), (Signal::TERM, 143), (Signal::KILL, 137)][round as usize % 3];
            started.signal(signal);
            let done = started.ends();
            let code = done.status.code().unwrap_or(137);
            assert!([0, status].contains(&code), "{done}");
            ended += u32::from(code != 0);
            if code != 0 && round > ROUNDS / 2 {
                let aborted = relocate(&world, &["--abort"]).ends();
                // Before it closes the source and after its end, nothing is to be given up.
                assert!(matches!(aborted.status.code(), Some(0 | 4)), "{aborted}");
            }
            relocate(&world, &home).succeeds();
        } else {
            assert!(started.ends().status.success());
            whole = begun.elapsed();
        }
        let rows = rows_of_file(&world.path("registry/catalog.sqlite"));
        same_rows(rows.clone(), rows_of_schema(&postgres, &name, rows.keys().cloned()));
        same_objects(&world, &world.path("registry/store"), &bucket);
    }
    assert!(ended > ROUNDS / 2, "only {ended} signals came in time");
}

#[test]
fn damage_of_the_source_is_reported_and_known_at_the_target() {
    let (world, bucket) = (furnished(), CephBucket::new());
    let pack = object_files(&world.path("registry"), "packs").remove(0);
    flip_bit(&pack, fs::metadata(&pack).unwrap().len() / 2);
    let leaf = object_files(&world.path("registry"), "indexes/leaves").remove(0);
    fs::write(&leaf, "other bytes").unwrap();
    let store = bucket.store();
    let home = ["--store", &store, "--s3-endpoint", bucket.endpoint(), "--s3-allow-http"];
    let done = relocate(&world, &home).exits_with(5).explains();
    let damage = done.json()["damage"].as_array().unwrap().clone();
    let objects: Vec<_> = damage.iter().map(|it| it["object"].as_str().unwrap()).collect();
    assert!(objects.iter().any(|it| it.starts_with("packs/")), "{done}");
    assert!(objects.iter().any(|it| it.starts_with("indexes/leaves/")), "{done}");
    assert!(!bucket.keys("packs/").is_empty(), "the sound part of the pack is kept");
    let registry = serve(&world, &home);
    registry.client(&world, "fsck --rate 0").exits_with(5);
    for n in 1..=3 {
        let (name, machine) = if n == 3 { ("team/app", "m") } else { ("shop", "a") };
        let disks = if n == 2 { "root:2.raw,data:1.raw" } else { &format!("root:{n}.raw") };
        let push = format!("push {name}:{n} --full-scan --machine {machine}={disks}");
        registry.client(&world, &push).succeeds();
    }
    registry.client(&world, "fsck --rate 0").succeeds();
}

#[test]
fn the_store_or_the_catalog_moves_alone() {
    let Some(postgres) = Postgres::start() else { return };
    let (world, bucket) = (furnished(), CephBucket::new());
    let (store, place) = (bucket.store(), schema(&postgres, "own"));
    let in_bucket = ["--store", &store, "--s3-endpoint", bucket.endpoint(), "--s3-allow-http"];
    let registry = world.serve();
    let moved = relocate(&world, &in_bucket).succeeds().json();
    assert_eq!(count(&moved, "/rows/rowCount"), 0, "the catalog stays: {moved}");
    // The process over the former store writes no more, and ends.
    let late = registry.client(&world, "promote shop:1 stable").ends();
    assert!(!late.status.success(), "{late}");
    same_objects(&world, &world.path("registry/store"), &bucket);
    world.local("list").exits_with(4).explains().says(&store);

    let home = to(&store, bucket.endpoint(), &place);
    let from_file = ["--from-store", &store, "--from-s3-endpoint", bucket.endpoint()];
    let args = [&home[..], &from_file, &["--from-s3-allow-http"]].concat();
    let moved = relocate(&world, &args).succeeds().json();
    assert_eq!(count(&moved, "/copied/objectCount"), 0, "the store stays: {moved}");
    let registry = serve(&world, &home);
    registry.client(&world, "pull team/app:3 --into out").succeeds();
    same_bytes(world.path("out/m/root.raw"), world.path("3.raw"));
    registry.client(&world, "promote shop:1 stable").succeeds();
    registry.client(&world, "backup copy.sqlite").succeeds();
    let drill = CephBucket::with_keys(world.seawall("drill --json").args(&home[..5]));
    let drill = drill.arg(world.path("registry")).succeeds().json();
    assert_eq!(drill["verified"].as_array().unwrap().len(), 3, "{drill}");
    registry.kill();

    // The database is lost: a backup takes its place, or the store alone.
    let drop = "SET client_min_messages = error; DROP SCHEMA own CASCADE";
    postgres.sql("postgres", drop);
    let again = schema(&postgres, "own");
    let copy = format!("sqlite:{}", world.path("copy.sqlite").display());
    let args = [&home[..], &from_file, &["--from-s3-allow-http", "--from-catalog", &copy]].concat();
    assert_eq!(place, again);
    relocate(&world, &args).succeeds();
    let registry = serve(&world, &home);
    registry.client(&world, "token list --json").succeeds().prints("\"ci\"");
    registry.kill();
    let recover = CephBucket::with_keys(world.seawall("recover --json").args(home));
    let recovered = recover.arg(world.path("registry")).succeeds().json();
    assert_eq!(recovered["oldCatalog"], "the schema own_old_1", "{recovered}");
    assert_eq!(recovered["found"]["releases"], 3, "{recovered}");
    let registry = serve(&world, &home);
    registry.client(&world, "pull shop:stable --into last").succeeds();
    same_bytes(world.path("last/a/root.raw"), world.path("1.raw"));
    registry.client(&world, "fsck --rate 0").succeeds();
}

#[test]
fn a_registry_moves_only_to_where_nothing_else_is() {
    let (world, bucket) = (furnished(), CephBucket::new());
    let store = bucket.store();
    let home = ["--store", &store, "--s3-endpoint", bucket.endpoint(), "--s3-allow-http"];
    let run = |args: &[&str]| relocate(&world, args);
    run(&[]).exits_with(2).explains().says("the registry is already at");
    let other = CephBucket::with_keys(world.seawall("serve --listen 127.0.0.1:0").args(home));
    drop(Registry::start_by(other.arg(world.path("other")), &world));
    run(&home).exits_with(4).explains().says("belongs to registry");
    bucket.delete("registry.json");
    fs::write(world.path("stray"), "stray").unwrap();
    bucket.put("names/shop/@1", &world.path("stray"));
    run(&home).exits_with(4).explains().says("it holds objects of an unknown registry");
    run(&["--catalog", &format!("sqlite:{}", world.path("registry/x.sqlite").display())])
        .exits_with(4)
        .explains()
        .says("its folder has the present catalog");
    run(&["--abort"]).exits_with(4).explains().says("is not being moved");
    let absent = world.seawall("relocate absent --store objects").exits_with(3).explains();
    absent.says("there is no registry in");
    // Nothing was closed.
    world.local("promote shop:1 stable").succeeds();
}
