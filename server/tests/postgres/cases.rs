//! The tests of the use cases and the simulation of collections, over PostgreSQL.
//!
//! The tests are those of the library, which run over SQLite there. The library's test program
//! starts no process, so the server is started here and named to the program.

use std::process::Command;

use serde_json::Value;

use crate::server::Server;

/// The number of the simulation's episodes.
const EPISODE_COUNT: &str = "10";
/// The number of times that [`CUTS`] cuts, at least.
const CUT_COUNT_MIN: u32 = 20;
/// Cuts a random connection that reads or writes after every eighth write, until it is cut itself.
/// The writes between two cuts do not depend on the speed of the machine, and none is cut for ever.
/// Claims end with their connections, and are spared.
const CUTS: &str = "DO $$ DECLARE last BIGINT := 0; next BIGINT; BEGIN
    FOR n IN 1 .. 100000 LOOP
        next := CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS TEXT) AS BIGINT);
        IF next >= last + 8 THEN
            last := next;
            PERFORM pg_stat_clear_snapshot();
            PERFORM nextval('cuts') FROM (
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE application_name IN ('seawall reader', 'seawall writer') AND state <> 'idle'
                ORDER BY random() LIMIT 1) victims;
        END IF;
        PERFORM pg_sleep(0.002);
    END LOOP;
END $$";

/// Returns the path of the library's test program, built as all tests are.
fn library_tests() -> String {
    let cargo = env!("CARGO");
    let mut build = Command::new(cargo);
    build.args(["test", "--workspace", "--all-features", "--locked", "--lib", "--no-run"]);
    let said = build.args(["--message-format=json"]).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let lines = String::from_utf8(said.stdout).unwrap();
    let messages = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut programs = messages.filter(|message| message["target"]["name"] == "seawall_server");
    let program = programs.find_map(|message| Some(message["executable"].as_str()?.to_owned()));
    program.expect("cargo names the program")
}

/// Runs the library's tests with this name over a server.
fn run(server: &Server, database: &str, name: &str) {
    server.database(database);
    let program = library_tests();
    let mut tests = Command::new(program);
    tests.arg(name).env("SIM_COUNT", EPISODE_COUNT);
    tests.env("SEAWALL_TEST_POSTGRES", server.address(database, ""));
    let said = tests.output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success(), "{text}{}", String::from_utf8_lossy(&said.stderr));
    let count = "SELECT COUNT(*) FROM pg_tables WHERE tablename = 'schema_version'";
    let count: u32 = server.sql(database, count).parse().unwrap();
    assert!(count >= 10, "{count} catalogs: the tests ran over another engine");
}

#[test]
fn the_use_cases_and_the_simulation_of_collections_pass_over_postgresql() {
    let Some(server) = Server::start() else { return };
    run(&server, "cases", "app::");
}

/// Every transaction may be cut at any statement, before its commit and after.
#[test]
fn the_simulation_of_collections_passes_while_connections_are_cut() {
    let Some(server) = Server::start() else { return };
    server.sql("postgres", "CREATE SEQUENCE cuts");
    std::thread::scope(|scope| {
        scope.spawn(|| server.try_sql("postgres", CUTS));
        run(&server, "cut", "app::maintenance::collect::");
        server.sql(
            "postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO %'",
        );
    });
    let cuts: u32 = server.sql("postgres", "SELECT last_value FROM cuts").parse().unwrap();
    assert!(cuts >= CUT_COUNT_MIN, "{cuts} cuts");
}
