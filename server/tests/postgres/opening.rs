//! Opening a database: new, foreign, newer, closed to the user.

use std::error::Error;

use seawall_api::audit::Action;
use seawall_server::catalog::postgres::{self, Address};
use seawall_server::catalog::{CatalogError, Entry, sqlite};
use seawall_store::error::ErrorKind;

use crate::server::{Catalogs, Server};

fn told(error: &CatalogError) -> String {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    format!("{error}: {cause}; {}", error.remedy().unwrap_or_default())
}

#[test]
fn of_registries_that_open_a_new_database_at_once_all_succeed() {
    let Some(server) = Server::start() else { return };
    for round in 0..5 {
        let database = format!("new{round}");
        server.database(&database);
        std::thread::scope(|scope| {
            let open = || server.open(&database, "").map(|_| ()).unwrap();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }
}

#[test]
fn tables_that_a_crash_left_unfilled_are_made_anew() {
    let Some(server) = Server::start() else { return };
    server.database("crashed");
    server.open("crashed", "").unwrap();
    let left = "UPDATE schema_version SET is_complete = 0;
                INSERT INTO applications (name, created_at_secs) VALUES ('left', 1)";
    server.sql("crashed", left);
    server.open("crashed", "").unwrap();
    assert_eq!(server.sql("crashed", "SELECT COUNT(*) FROM applications"), "0");
    assert_eq!(server.sql("crashed", "SELECT is_complete FROM schema_version"), "1");
}

#[test]
fn a_schema_with_other_tables_is_refused_and_left_alone() {
    let Some(server) = Server::start() else { return };
    server.database("taken");
    server.sql("taken", "CREATE TABLE orders (id INTEGER)");
    let error = server.open("taken", "").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(told(&error).contains("`orders`") && told(&error).contains("search_path"));
    let tables = "SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(server.sql("taken", tables), "1");
    server.sql("taken", "CREATE SCHEMA own");
    server.open("taken", "&options=-csearch_path%3Down").unwrap();
}

/// Expand, then contract: an older program serves a newer schema until that excludes it.
#[tokio::test]
async fn a_newer_schema_is_served_until_it_excludes_this_version() {
    let Some(server) = Server::start() else { return };
    server.database("newer");
    let catalog = server.open("newer", "").unwrap();
    server.sql("newer", "UPDATE schema_version SET version = 99");
    server.open("newer", "").unwrap().probe().await.unwrap();
    server.sql("newer", "UPDATE schema_version SET servable_from = 99");
    let error = server.open("newer", "").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(told(&error).contains("needs version 99"), "{}", told(&error));
    assert!(told(&error).contains("run a version of seawall"), "{}", told(&error));
    let error = catalog.log(Entry::new(Action::Recover, "", 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "a running registry writes no more");
}

#[test]
fn a_wrong_password_is_refused_without_showing_it() {
    let Some(mut server) = Server::start() else { return };
    server.sql("postgres", "CREATE ROLE guest LOGIN PASSWORD 'right'");
    server.sql("postgres", "CREATE DATABASE guests OWNER guest");
    server.ask_passwords_of("guest");
    let open = |password: &str| {
        let host = server.host();
        let text = format!("postgres://guest:{password}@/guests?host={host}");
        let folder = tempfile::tempdir().unwrap();
        let copies = std::sync::Arc::new(move || sqlite::blank(folder.path()));
        postgres::open(&Address::parse(&text, &|_| None).unwrap(), copies)
    };
    open("right").unwrap();
    let error = open("s3cret").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(!format!("{error:?} {}", told(&error)).contains("s3cret"));
    assert!(told(&error).contains("PGPASSWORD"), "{}", told(&error));
}
