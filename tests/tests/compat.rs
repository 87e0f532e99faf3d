//! This version reads the data of released versions (`tests/golden`), with the same meaning.

use std::fs;
use std::path::{Path, PathBuf};

use seawall_tests::{World, b3sum, tool};
use serde_json::Value;

/// The digest and the disks of the release, as printed by the version that pushed it.
const RELEASE: &str = "blake3:df59624542a2c41d0342910527820b1eeb0f35623b49c14576bafba78c4eff4d";
const DISKS: [(&str, &str); 2] = [
    ("web/root", "blake3:0836e557d3ea91d176556a963cca35b5fbd3fbd4f3830693e7574985540a2212"),
    ("web/data", "blake3:783b2c49bafbb7e47985dbfbeb2ed71a09397666ed1c59d09ef707093711bb42"),
];

/// Creates a world whose registry is a copy of the golden registry of epoch 1.
fn epoch_1() -> World {
    golden_world("epoch-1")
}

fn golden_world(name: &str) -> World {
    let world = World::new();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name).join("registry");
    let registry: PathBuf = world.path("registry");
    tool("cp", ["-r".as_ref(), golden.as_os_str(), registry.as_os_str()]);
    world
}

#[test]
fn a_release_of_epoch_1_is_shown_pulled_and_verified() {
    let world = epoch_1();
    let shown = world.local("show golden:stable --json").succeeds().json();
    assert_eq!(shown["digest"], RELEASE);
    let disks = world.disks("golden:1.0.0");
    let disks: Vec<_> = disks.iter().map(|(name, content)| (&**name, &**content)).collect();
    assert_eq!(disks, DISKS);

    world.pull("golden:stable", "host");

    for (name, content) in DISKS {
        assert_eq!(b3sum(world.path(format!("host/{name}.raw"))), content, "{name}");
    }
    world.local("verify golden:1.0.0").succeeds();
    world.local("verify host").succeeds();
}

/// Chunk cuts, leaves, lists and the document must be identical to those of the first version.
#[test]
fn the_disks_of_epoch_1_are_the_same_release_when_they_are_pushed_again() {
    let world = epoch_1();
    world.pull("golden:stable", "host");
    let push = "push golden:1.0.0 --full-scan --json --machine";
    let machine = "web=root:host/web/root.raw,data:host/web/data.raw";
    let again = world.local(push).arg(machine).succeeds().json();
    assert_eq!(again["alreadyPresent"], true, "{again}");
    assert_eq!(again["digest"], RELEASE);

    // A new registry gets the same digests from the same disks.
    let fresh = world.seawall(push).arg(machine).env("SEAWALL_REGISTRY", world.path("fresh"));
    assert_eq!(fresh.succeeds().json()["digest"], RELEASE);
}

#[test]
fn a_registry_of_epoch_1_takes_new_releases() {
    let world = epoch_1();
    world.pull("golden:stable", "host");
    let push = "push golden:2.0.0 --json --machine web=root:host/web/root.raw";
    let pushed = world.local(push).succeeds().json();
    assert_eq!(pushed["reuse"]["sentChunks"], 0, "its chunks are found: {pushed}");
    assert_eq!(world.versions("golden").len(), 2);
}

/// A catalog of every past schema is migrated and agrees with the store: nothing is damaged or
/// lost, and a catalog rebuilt from the store is the same.
#[test]
fn catalogs_of_past_schemas_are_migrated_and_found_sound() {
    for (golden, newest) in [("epoch-1", "1.0.0"), ("catalog-2", "2.0.0")] {
        let world = golden_world(golden);
        let told = || {
            [
                "list",
                "list golden",
                "show golden:1.0.0",
                "channels golden",
                "channels golden stable",
            ]
            .map(|args| world.local(&format!("{args} --json")).succeeds().json())
        };
        let migrated = told();
        assert_eq!(migrated[0]["applications"][0]["newest"], newest, "{golden}");
        assert!(!migrated[1].to_string().contains("\"lost\""), "{golden}: {}", migrated[1]);
        // The second run finds the state that the first run saved.
        for _ in 0..2 {
            let fsck = world.local("fsck --json").succeeds().json();
            assert_eq!(fsck["damageCount"], 0, "{golden}: {fsck}");
            assert_eq!(fsck["reclaimableCount"], 0, "{golden}: {fsck}");
        }
        world.local("pull golden:1.0.0 --into host").succeeds();
        for (name, content) in DISKS {
            assert_eq!(b3sum(world.path(format!("host/{name}.raw"))), content, "{name}");
        }
        world.seawall("recover registry").succeeds();
        assert_eq!(told(), migrated, "{golden}");
    }
}

/// The schema of this version.
const SCHEMA: u32 = 16;

/// Creates a registry with a catalog of schema `n`, and the store of `catalog-2`.
fn world_of_schema(n: u32) -> World {
    let world = golden_world("catalog-2");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/catalog-{n}"));
    fs::copy(golden.join("catalog.sqlite"), world.path("registry/catalog.sqlite")).unwrap();
    world
}

fn open_catalog(world: &World) -> rusqlite::Connection {
    rusqlite::Connection::open(world.path("registry/catalog.sqlite")).unwrap()
}

fn column<T: rusqlite::types::FromSql>(catalog: &rusqlite::Connection, sql: &str) -> Vec<T> {
    let mut statement = catalog.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// Every table of a past schema has a row, and no row obstructs the migration, a pull, a collection
/// or a check.
#[test]
fn catalogs_with_a_row_in_every_table_are_migrated_pulled_collected_and_checked() {
    for schema in [3, 4, 5, 6] {
        let world = world_of_schema(schema);
        let before = open_catalog(&world);
        assert_eq!(column::<u32>(&before, "PRAGMA user_version"), [schema]);
        for table in
            column::<String>(&before, "SELECT name FROM sqlite_master WHERE type = 'table'")
        {
            let count = column::<u32>(&before, &format!("SELECT COUNT(*) FROM {table}"));
            assert!(count[0] > 0, "{table} of schema {schema} is empty");
        }
        drop(before);

        let newest = |list: Value| list["releases"][0]["version"].clone();
        assert_eq!(newest(world.local("list golden --json").succeeds().json()), "2.0.0");
        let migrated = open_catalog(&world);
        assert_eq!(column::<u32>(&migrated, "PRAGMA user_version"), [SCHEMA]);
        assert_eq!(column::<String>(&migrated, "PRAGMA integrity_check"), ["ok"]);
        assert_eq!(column::<String>(&migrated, "PRAGMA foreign_key_check"), [""; 0]);
        drop(migrated);

        let held = world.local("rm golden:1.0.0").exits_with(4).stderr;
        assert!(held.contains("pin audit"), "{schema}: {held}");
        world.local("push golden:0.9.0 --machine web=root:x.raw").exits_with(3);
        // Content condemned by schema 3 and later is removed, and no visible content.
        let collected = world.local("gc --json").succeeds().json();
        assert_eq!(collected["last"]["hasLooked"], true, "{schema}: {collected}");
        assert_eq!(collected["phase"], "idle", "{schema}: {collected}");
        for _ in 0..2 {
            let fsck = world.local("fsck --json").succeeds().json();
            assert_eq!(fsck["damageCount"], 0, "{schema}: {fsck}");
            assert_eq!(fsck["reclaimableCount"], 0, "{schema}: {fsck}");
        }
        let shown = world.local("show golden:1.0.0").succeeds().stdout;
        assert!(!shown.contains("DAMAGED"), "{schema}: what was noted is over: {shown}");
        world.local("pull golden:1.0.0 --into host").succeeds();
        for (name, content) in DISKS {
            assert_eq!(b3sum(world.path(format!("host/{name}.raw"))), content, "{name}");
        }
        let healed = world.local("audit --action repair --json").succeeds().json();
        let healed = healed["entries"].as_array().unwrap().len();
        assert_eq!(healed, usize::from(schema >= 4), "{schema}: damage is noted since schema 4");
        world.local("audit --verify").succeeds();
    }
}

/// A check that a registry of an older schema left unfinished resumes, with its number, findings
/// and counts.
#[test]
fn an_interrupted_check_of_an_older_catalog_goes_on() {
    let world = world_of_schema(6);
    let unfinished = "UPDATE checks SET completed_at_secs = NULL, phase = 6, objects = 1000";
    assert_eq!(open_catalog(&world).execute(unfinished, []).unwrap(), 1);
    let fsck = world.local("fsck --json").ends().json();
    assert_eq!(fsck["run"], 1, "{fsck}");
    assert_eq!(fsck["state"], "complete", "{fsck}");
    assert_eq!(fsck["damageCount"], 1, "the leaf that it had repaired: {fsck}");
    assert!(fsck["objectCount"].as_u64() > Some(1000), "{fsck}");
    let next = world.local("fsck --json").succeeds().json();
    assert_eq!((&next["run"], &next["damageCount"]), (&2.into(), &0.into()), "{next}");
}

/// After a migration, the releases that need a damaged pack are known.
#[test]
fn damage_of_a_migrated_registry_is_marked() {
    for golden in ["epoch-1", "catalog-2"] {
        let world = golden_world(golden);
        let pack = seawall_tests::object_files(&world.path("registry"), "packs").remove(0);
        seawall_tests::flip_bit(&pack, 40);
        let fsck = world.local("fsck --json").exits_with(5).json();
        assert_eq!(fsck["damageCount"], 1, "{golden}: {fsck}");
        let listed = world.local("list golden").succeeds().stdout;
        assert!(listed.contains("golden:1.0.0 is DAMAGED"), "{golden}: {listed}");
    }
}
