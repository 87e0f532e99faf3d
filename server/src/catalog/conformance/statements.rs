//! The statements of the rules: the suite runs each of them, and a golden file lists them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::catalog::engine::{Access, Claim, CopyPlan, Engine, Export, Task, Work};
use crate::catalog::error::{Barrier, CatalogError};
use crate::catalog::schema::{Dialect, pending};
use crate::catalog::sqlite as engine;
use crate::catalog::tx::{Batch, Take, TakeEach, Tx, TxResult, Value};

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

    fn export(&self) -> Result<Export, CatalogError> {
        self.inner.export()
    }

    async fn check(&self) -> Result<Vec<String>, CatalogError> {
        self.inner.check().await
    }

    fn now(&self) -> Option<Duration> {
        self.inner.now()
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
    let new = || {
        count += 1;
        let inner = engine::open_unsynced(&dir.path().join(format!("{count}.sqlite"))).unwrap();
        Catalog::new(Arc::new(Recording { inner: inner.engine, seen: Arc::clone(&seen) }))
    };
    run(new).await;
    std::mem::take(&mut *seen.lock().unwrap())
}

/// Returns the string literals that begin as a statement, in the sources of the rules and of the
/// places of chunks.
fn written() -> Vec<(PathBuf, String)> {
    let catalog = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog");
    let mut folders = ["rules", "places"].map(|folder| catalog.join(folder)).to_vec();
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

/// The tables and the statements in PostgreSQL's dialect, which `tests/tests/sql.rs` has a server
/// prepare. `UPDATE_GOLDEN=1` regenerates the file.
#[tokio::test]
#[allow(clippy::disallowed_methods)] // a test's own switch
async fn the_statements_are_as_a_server_prepared_them() {
    let mut script = pending(0, Dialect::Postgres).unwrap().join("\n");
    for (n, sql) in recorded().await.into_iter().enumerate() {
        script.push_str(&format!("\nPREPARE s{n} AS {sql};\n"));
    }
    let golden =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog/conformance/postgresql.sql");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &script).unwrap();
    }
    let written = fs::read_to_string(&golden).unwrap();
    assert!(written == script, "run this test with UPDATE_GOLDEN=1, and look at the difference");
}
