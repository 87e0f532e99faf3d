//! The methods of [`Watching`] over the functions that hold the SQL.

use super::{SqliteCatalog, audit};
use crate::catalog::error::CatalogError;
use crate::catalog::watch::{AuditQuery, Entry, Logged, Watching};

#[async_trait::async_trait]
impl Watching for SqliteCatalog {
    async fn log(&self, entry: Entry) -> Result<Logged, CatalogError> {
        self.connections.write("log an act", move |tx| audit::append(tx, &entry)).await
    }

    async fn audit(&self, query: AuditQuery) -> Result<Vec<Logged>, CatalogError> {
        self.connections.read("read the audit log", move |tx| audit::query(tx, &query)).await
    }
}
