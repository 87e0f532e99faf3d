//! Access to the audit log.

use super::Audit;
use crate::app::AppError;
use crate::app::model::Page;
use crate::catalog::{AuditQuery, Logged};

impl Audit {
    /// Returns audit log entries, newest first, at most `query.limit`.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn entries(&self, mut query: AuditQuery) -> Result<Page<Logged, u64>, AppError> {
        let limit = query.limit;
        query.limit = limit.saturating_add(1);
        let entries = self.catalog.audit(query).await?;
        Ok(Page::of(entries, limit, |logged| logged.sequence))
    }
}
