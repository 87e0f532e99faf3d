//! The catalog in a real PostgreSQL server: every statement, and registries that share it.

use std::fs;
use std::thread;

use seawall_tests::{MIB, Postgres, Registry, Tree, World, ext4, same_bytes};

use crate::tidy::source::root;

#[test]
fn postgresql_takes_the_tables_and_every_statement_of_the_catalog() {
    let Some(postgres) = Postgres::start() else { return };
    let golden = root().join("server/src/catalog/conformance/postgresql.sql");
    let mut script = fs::read_to_string(golden).unwrap();
    assert!(script.matches("\nPREPARE ").count() > 150, "the catalog has more statements");
    // Parameters have the types of values, and flags are integers.
    script.push_str(
        "SELECT DISTINCT t FROM pg_prepared_statements, unnest(parameter_types) t
         WHERE t NOT IN ('bigint'::regtype, 'text'::regtype, 'bytea'::regtype);\n",
    );
    let other = postgres.sql("postgres", &script);
    assert!(other.lines().all(|kind| kind == "integer"), "parameters of another type: {other}");
}

/// Starts a registry over a data directory of its own, with the catalog and the store of others.
fn serve(world: &World, data: &str, place: &str) -> Registry {
    let run = world.seawall("serve --listen 127.0.0.1:0").args(["--catalog", place, "--store"]);
    Registry::start_by(run.arg(world.path("objects")).arg(world.path(data)), world)
}

#[test]
fn two_registries_share_a_catalog_in_postgresql_and_a_store() {
    let Some(postgres) = Postgres::start() else { return };
    let place = postgres.address("postgres", "");
    let world = World::new();
    let disk = world.path("disk.raw");
    ext4(&disk, 32 * MIB, &Tree::system("shared"));
    // Started at once, one makes the catalog and claims the store, and the other finds both.
    let [one, other] = thread::scope(|scope| {
        ["one", "other"]
            .map(|data| scope.spawn(|| serve(&world, data, &place)))
            .map(|start| start.join().unwrap())
    });
    one.client(&world, "push team/app:1 --machine m=root:disk.raw").succeeds();
    other.client(&world, "pull team/app:1 --into pulled").succeeds();
    same_bytes(&disk, world.path("pulled/m/root.raw"));
    assert!(!world.path("one/catalog.sqlite").exists());

    // The directory is not given a second catalog.
    other.kill();
    let error = world.seawall("serve --listen 127.0.0.1:0 --store").arg(world.path("objects"));
    error
        .arg(world.path("other"))
        .exits_with(6)
        .says("the catalog of this registry is postgres://");

    // A copy of it is a catalog file, whatever the engine.
    one.client(&world, "backup copied.sqlite").succeeds();
    let copy = rusqlite::Connection::open(world.path("copied.sqlite")).unwrap();
    let count = "SELECT COUNT(*) FROM releases";
    assert_eq!(copy.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    one.kill();

    // An empty database does not take the store over.
    let drop = "SET client_min_messages = error; DROP SCHEMA public CASCADE; CREATE SCHEMA public";
    postgres.sql("postgres", drop);
    let again = |flag: &str| {
        let serve = format!("serve --listen 127.0.0.1:0 {flag}");
        let run = world.seawall(&serve).args(["--catalog", &place, "--store"]);
        run.arg(world.path("objects")).arg(world.path("again"))
    };
    again("").ends().says("belongs to registry").says("--adopt-store");
    let rebuilt = Registry::start_by(again("--adopt-store"), &world);
    rebuilt.client(&world, "pull team/app:1 --into rebuilt").succeeds();
    same_bytes(&disk, world.path("rebuilt/m/root.raw"));
}
