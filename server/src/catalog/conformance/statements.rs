//! The statements of the rules: the suite runs each of them, and PostgreSQL takes each of them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::catalog::error::{Barrier, CatalogError};
use crate::catalog::sqlite as engine;
use crate::catalog::tx::{
    Access, Batch, Claim, CopyPlan, Engine, Take, TakeEach, Task, Tx, TxResult, Value, Work,
};

type Seen = Arc<Mutex<BTreeSet<&'static str>>>;

/// An engine that notes the statements it runs.
struct Recording {
    inner: Arc<dyn Engine>,
    seen: Seen,
}

struct RecordingTx<'a> {
    inner: &'a mut dyn Tx,
    seen: &'a Seen,
}

impl Tx for RecordingTx<'_> {
    fn run(&mut self, sql: &'static str, args: &[Value<'_>]) -> TxResult<u64> {
        self.seen.lock().unwrap().insert(sql);
        self.inner.run(sql, args)
    }

    fn rows(&mut self, sql: &'static str, args: &[Value<'_>], take: Take<'_>) -> TxResult<()> {
        self.seen.lock().unwrap().insert(sql);
        self.inner.rows(sql, args, take)
    }

    fn each(&mut self, sql: &'static str, batch: &Batch<'_>, take: TakeEach<'_>) -> TxResult<()> {
        self.seen.lock().unwrap().insert(sql);
        self.inner.each(sql, batch, take)
    }
}

#[async_trait::async_trait]
impl Engine for Recording {
    async fn run(
        &self,
        access: Access,
        action: &'static str,
        mut work: Work,
    ) -> Result<(), CatalogError> {
        let seen = Arc::clone(&self.seen);
        let recorded = move |tx: &mut dyn Tx| work(&mut RecordingTx { inner: tx, seen: &seen });
        self.inner.run(access, action, Box::new(recorded)).await
    }

    async fn claim(&self, task: Task) -> Result<Option<Claim>, CatalogError> {
        self.inner.claim(task).await
    }

    fn copy(&self) -> Result<CopyPlan, CatalogError> {
        self.inner.copy()
    }

    async fn check(&self) -> Result<Vec<String>, CatalogError> {
        self.inner.check().await
    }

    fn barrier(&self) -> Option<Barrier> {
        self.inner.barrier()
    }
}

/// Returns the statements that the suite runs.
async fn recorded() -> BTreeSet<&'static str> {
    let seen = Seen::default();
    let dir = tempfile::tempdir().unwrap();
    let mut count = 0;
    let mut new = || {
        count += 1;
        let inner = engine::open_unsynced(&dir.path().join(format!("{count}.sqlite"))).unwrap();
        Catalog::new(Arc::new(Recording { inner: inner.engine, seen: Arc::clone(&seen) }))
    };
    Box::pin(all(&new())).await;
    Box::pin(fleet::all(&new())).await;
    Box::pin(watch::all(&new())).await;
    Box::pin(uploads::all(&new())).await;
    macro_rules! run {
        ($($module:ident: $($test:ident)+;)+) => {
            $($(Box::pin($module::$test(&new())).await;)+)+
        };
    }
    on_new_catalogs!(run);
    std::mem::take(&mut *seen.lock().unwrap())
}

/// Returns the string literals that begin as a statement, in the sources of the rules.
fn written() -> Vec<(PathBuf, String)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog/rules")];
    let mut literals = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for literal in text.split('"').skip(1).step_by(2) {
                let verbs = ["SELECT ", "INSERT ", "UPDATE ", "DELETE "];
                if verbs.iter().any(|verb| literal.starts_with(verb)) {
                    literals.push((path.clone(), literal.to_owned()));
                }
            }
        }
    }
    literals
}

#[tokio::test]
async fn the_suite_runs_every_statement_of_the_rules() {
    let recorded = recorded().await;
    let runs = |literal: &str| recorded.iter().any(|sql| sql.contains(literal));
    let written = written();
    assert!(written.len() > 100, "{} literals were found", written.len());
    let missed: Vec<_> = written.iter().filter(|(_, literal)| !runs(literal)).collect();
    assert!(missed.is_empty(), "no test runs {missed:#?}");
}

/// SQLite numbers parameters by their first use in the text.
#[tokio::test]
async fn parameters_appear_in_the_order_of_their_numbers() {
    for sql in recorded().await {
        let mut next = 1;
        for part in sql.split('$').skip(1) {
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            let number: u32 = digits.parse().unwrap();
            assert!(number <= next, "${number} comes before ${next} in {sql}");
            next = next.max(number + 1);
        }
    }
}

/// A PostgreSQL server in a folder of its own, which listens on a socket there.
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

/// The user and the group that a server runs as: root may not run one.
fn server_user() -> Option<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("postgres:"))?;
    let ids: Vec<u32> = line.split(':').skip(2).take(2).map(|id| id.parse().unwrap()).collect();
    Some((ids[0], ids[1]))
}

impl Postgres {
    /// Starts a server; `None` where none is installed.
    fn start() -> Option<Self> {
        let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql").ok()?.flatten().collect();
        versions.sort_by_key(fs::DirEntry::file_name);
        let mut path = versions.pop()?.path().join("bin").into_os_string();
        path.push(":/usr/bin:/bin");
        let dir = tempfile::tempdir().unwrap();
        let ids = server_user().filter(|_| rustix::process::geteuid().is_root());
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
        if !init.status().ok()?.success() {
            return None;
        }
        let mut server = as_server(Command::new("postgres"));
        server.args(["-D", "data", "-c", "listen_addresses=", "-c", "fsync=off", "-k"]);
        let server = server.arg(dir.path()).spawn().ok()?;
        let started = Self { dir, path, server };
        let deadline = Instant::now() + Duration::from_secs(60);
        while started.answer("SELECT 1").is_err() {
            if Instant::now() > deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(started)
    }

    /// Runs a script, and returns its output, or all that is wrong with it.
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

#[tokio::test]
async fn postgresql_takes_the_tables_and_every_statement() {
    let Some(postgres) = Postgres::start() else {
        println!("NOT TESTED: no PostgreSQL is installed: apt-get install postgresql");
        return;
    };
    postgres.answer(&engine::tables_in_postgresql().join("\n")).unwrap();
    let mut script = String::new();
    for (n, sql) in recorded().await.into_iter().enumerate() {
        script.push_str(&format!("PREPARE s{n} AS {sql};\n"));
    }
    // Parameters and answers have the five types of a value, and flags.
    script.push_str(
        "SELECT DISTINCT t FROM pg_prepared_statements, unnest(parameter_types) t
         WHERE t NOT IN ('bigint'::regtype, 'text'::regtype, 'bytea'::regtype);\n",
    );
    let other = postgres.answer(&script).unwrap();
    assert!(other.lines().all(|kind| kind == "integer"), "parameters of another type: {other}");
}
