//! The catalog in a real PostgreSQL: the contract of every catalog, faults, and plans.
//!
//! A target of its own, because it starts processes: a child of the library's tests would inherit
//! their locks of files.

// Tests; the lints exempt only functions that bear `#[test]`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod cases;
mod failover;
mod faults;
mod opening;
mod plans;
mod server;
mod tls;

use seawall_server::catalog::conformance;

use server::{Catalogs, Server};

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_keeps_the_contract_from_a_new_catalog_on() {
    let Some(server) = Server::start() else { return };
    server.database("conformance");
    let mut count = 0;
    conformance::run(|| {
        count += 1;
        let schema = format!("s{count}");
        server.sql("conformance", &format!("CREATE SCHEMA {schema}"));
        let in_schema = format!("&options=-csearch_path%3D{schema}");
        server.open("conformance", &in_schema).unwrap()
    })
    .await;
}
