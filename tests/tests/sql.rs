//! The catalog in a real PostgreSQL server: every statement, and registries that share it.

use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use seawall_tests::{MIB, Registry, Tree, World, ext4, same_bytes};

use crate::tidy::source::root;

/// The time that a server may take to start on a busy machine.
const START_TIME_MAX: Duration = Duration::from_secs(60);

/// A server with a folder of its own, which listens on a socket there.
struct Postgres {
    dir: tempfile::TempDir,
    path: std::ffi::OsString,
    server: Child,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Returns the user and the group that a server runs as: root may not run one.
fn server_ids() -> Option<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("postgres:"))?;
    let mut ids = line.split(':').skip(2).map(|id| id.parse().unwrap());
    Some((ids.next()?, ids.next()?))
}

impl Postgres {
    /// Starts a server. Returns `None` if no server is installed.
    fn start() -> Option<Self> {
        let versions: io::Result<Vec<DirEntry>> =
            fs::read_dir("/usr/lib/postgresql").ok()?.collect();
        let newest = versions.unwrap().into_iter().max_by_key(DirEntry::file_name)?;
        let mut path = newest.path().join("bin").into_os_string();
        path.push(":/usr/bin:/bin");
        let dir = tempfile::tempdir().unwrap();
        let ids = server_ids().filter(|_| is_root());
        if let Some((user, group)) = ids {
            chown(dir.path(), Some(user), Some(group)).unwrap();
        }
        let as_server = |mut command: Command| {
            command.env("PATH", &path).current_dir(dir.path());
            if let Some((user, group)) = ids {
                command.uid(user).gid(group);
            }
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let mut init = as_server(Command::new("initdb"));
        init.args(["--pgdata=data", "--username=postgres", "--no-sync", "--no-instructions"]);
        init.args(["--encoding=UTF8", "--locale=C", "--auth=trust"]);
        assert!(init.status().unwrap().success(), "initdb");
        let mut server = as_server(Command::new("postgres"));
        server.args(["-D", "data", "-c", "listen_addresses=", "-c", "fsync=off", "-k"]);
        let server = server.arg(dir.path()).spawn().unwrap();
        let started = Self { dir, path, server };
        let deadline = Instant::now() + START_TIME_MAX;
        while let Err(why) = started.answer("SELECT 1") {
            assert!(Instant::now() < deadline, "{why}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(started)
    }

    /// Runs a script. Returns its output, or all of its errors.
    fn answer(&self, script: &str) -> Result<String, String> {
        let file = self.dir.path().join("script.sql");
        fs::write(&file, script).unwrap();
        let mut psql = Command::new("psql");
        psql.env("PATH", &self.path).args(["-X", "-q", "-A", "-t", "-U", "postgres", "-h"]);
        let said = psql.arg(self.dir.path()).arg("-f").arg(&file).output().unwrap();
        let errors = String::from_utf8_lossy(&said.stderr).into_owned();
        match said.status.success() && errors.is_empty() {
            true => Ok(String::from_utf8_lossy(&said.stdout).into_owned()),
            false => Err(errors),
        }
    }
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status.lines().any(|line| line.starts_with("Uid:\t0\t0\t"))
}

#[test]
fn postgresql_takes_the_tables_and_every_statement_of_the_catalog() {
    let Some(postgres) = Postgres::start() else {
        println!("NOT TESTED: no PostgreSQL is installed: apt-get install postgresql");
        return;
    };
    let golden = root().join("server/src/catalog/conformance/postgresql.sql");
    let mut script = fs::read_to_string(golden).unwrap();
    assert!(script.matches("\nPREPARE ").count() > 150, "the catalog has more statements");
    // Parameters have the types of values, and flags are integers.
    script.push_str(
        "SELECT DISTINCT t FROM pg_prepared_statements, unnest(parameter_types) t
         WHERE t NOT IN ('bigint'::regtype, 'text'::regtype, 'bytea'::regtype);\n",
    );
    let other = postgres.answer(&script).unwrap();
    assert!(other.lines().all(|kind| kind == "integer"), "parameters of another type: {other}");
}

/// Starts a registry over a data directory of its own, with the catalog and the store of others.
fn serve(world: &World, data: &str, place: &str) -> Registry {
    let run = world.seawall("serve --listen 127.0.0.1:0").args(["--catalog", place, "--store"]);
    Registry::start_by(run.arg(world.path("objects")).arg(world.path(data)), world)
}

#[test]
fn two_registries_share_a_catalog_in_postgresql_and_a_store() {
    let Some(postgres) = Postgres::start() else {
        println!("NOT TESTED: no PostgreSQL is installed: apt-get install postgresql");
        return;
    };
    let place = format!("postgres://postgres@/postgres?host={}", postgres.dir.path().display());
    let world = World::new();
    let disk = world.path("disk.raw");
    ext4(&disk, 32 * MIB, &Tree::system("shared"));
    let [one, other] = ["one", "other"].map(|data| serve(&world, data, &place));
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
    postgres.answer(drop).unwrap();
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
