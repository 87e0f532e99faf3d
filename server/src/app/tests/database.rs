//! The database of a test's catalog: a SQLite file, or a schema on the server that
//! `SEAWALL_TEST_POSTGRES` names. `server/tests/postgres/cases.rs` starts a server and runs the
//! tests over it.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::catalog::postgres::{self, Address};
use crate::catalog::{Catalog, sqlite};

/// A database that a test may lose, restore and damage.
pub(crate) struct Database {
    /// The folder of the file, and of copies.
    dir: TempDir,
    schema: Option<Schema>,
}

struct Schema {
    name: String,
    address: Address,
}

impl Schema {
    fn new(server: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        let address = format!("{server}&options=-csearch_path%3D{name}");
        let address = Address::parse(&address, &|_| None).unwrap();
        postgres::run_sql(&address, &format!("CREATE SCHEMA {name}")).unwrap();
        Self { name, address }
    }
}

impl Database {
    /// Makes a new database.
    #[allow(clippy::disallowed_methods)] // a test may be told which engine to test
    pub(crate) fn new() -> Self {
        let server = std::env::var("SEAWALL_TEST_POSTGRES").ok();
        Self { dir: tempfile::tempdir().unwrap(), schema: server.as_deref().map(Schema::new) }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("catalog.sqlite")
    }

    /// Opens the catalog as a registry does.
    pub(crate) fn open(&self) -> Catalog {
        let Some(Schema { address, .. }) = &self.schema else {
            return sqlite::open(&self.file()).unwrap();
        };
        let folder = self.dir.path().to_owned();
        postgres::open(address, Arc::new(move || sqlite::blank(&folder))).unwrap()
    }

    /// Opens the catalog for a simulation of process crashes, in which commits need not survive a
    /// loss of power.
    pub(crate) fn open_unsynced(&self) -> Catalog {
        match &self.schema {
            Some(_) => self.open(),
            None => sqlite::open_unsynced(&self.file()).unwrap(),
        }
    }

    /// Returns another database with the rows that this one has now: a restored backup.
    pub(crate) fn restored(&self) -> Self {
        let other = Self::new();
        match (&self.schema, &other.schema) {
            (Some(from), Some(to)) => {
                drop(other.open());
                postgres::run_sql(&to.address, &copy_of_rows(&from.name, &to.name)).unwrap();
            }
            _ => {
                let mut made = (self.open().copy().unwrap().make)().unwrap();
                std::io::copy(&mut made, &mut File::create(other.file()).unwrap()).unwrap();
            }
        }
        other
    }

    /// Changes rows past every registry.
    pub(crate) fn change(&self, sql: &str) {
        match &self.schema {
            Some(schema) => postgres::run_sql(&schema.address, sql).unwrap(),
            None => rusqlite::Connection::open(self.file()).unwrap().execute_batch(sql).unwrap(),
        }
    }

    /// Returns the number of unfinished and unclaimed copies.
    pub(crate) fn copy_count(&self) -> usize {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".copy")).count()
    }
}

/// Returns SQL that copies all rows and counters between schemas of the same version, as a dump
/// does.
fn copy_of_rows(from: &str, to: &str) -> String {
    format!(
        "DO $$ DECLARE found text; BEGIN
             SET LOCAL session_replication_role = replica;
             FOR found IN SELECT relname FROM pg_class
                 WHERE relnamespace = CAST('{from}' AS regnamespace) AND relkind = 'r'
             LOOP
                 EXECUTE format('DELETE FROM {to}.%I', found);
                 EXECUTE format('INSERT INTO {to}.%1$I OVERRIDING SYSTEM VALUE
                                 SELECT * FROM {from}.%1$I', found);
             END LOOP;
             FOR found IN SELECT relname FROM pg_class
                 WHERE relnamespace = CAST('{from}' AS regnamespace) AND relkind = 'S'
             LOOP
                 EXECUTE format('SELECT setval(%L, last_value, is_called) FROM {from}.%I',
                                '{to}.' || found, found);
             END LOOP;
         END $$"
    )
}
