//! The catalogs of a test's own PostgreSQL server.

use std::path::PathBuf;
use std::sync::Arc;

use seawall_server::catalog::postgres::{self, Address};
use seawall_server::catalog::{Catalog, CatalogError, sqlite};
pub(crate) use seawall_tests::Postgres as Server;

/// Catalogs in the databases of a server.
pub(crate) trait Catalogs {
    /// Returns the address of a database, with further parameters.
    fn place(&self, database: &str, parameters: &str) -> Address;

    /// Opens the catalog in a database.
    fn open(&self, database: &str, parameters: &str) -> Result<Catalog, CatalogError>;
}

impl Catalogs for Server {
    fn place(&self, database: &str, parameters: &str) -> Address {
        Address::parse(&self.address(database, parameters), &|_| None).unwrap()
    }

    fn open(&self, database: &str, parameters: &str) -> Result<Catalog, CatalogError> {
        let folder = PathBuf::from(self.host());
        let new_copy = Arc::new(move || sqlite::blank(&folder));
        postgres::open(&self.place(database, parameters), new_copy)
    }
}
