//! The audit log, read and added to.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use seawall_api::audit::Action;
use seawall_store::port::ObjectName;

use super::listings::Page;
use super::{AppError, Registry};
use crate::catalog::{AuditQuery, Entry, Logged};

/// How many damaged objects are remembered as logged. Past them each is logged no more: the log
/// must not grow with every request for something that is damaged.
const NOTED_COUNT_MAX: usize = 10_000;

/// Damaged objects that this process has logged.
#[derive(Debug, Default)]
pub(super) struct Noted(Mutex<HashSet<String>>);

impl Noted {
    /// Whether an object is not among them yet; it is from now on.
    fn is_new(&self, path: &str) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.len() < NOTED_COUNT_MAX && noted.insert(path.to_owned())
    }

    /// It is sound again: should it be damaged another time, that is logged, too.
    pub(super) fn forget(&self, path: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
    }
}

impl Registry {
    /// Entries of the audit log, newest first; `query.limit` of them at most.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn audit(&self, mut query: AuditQuery) -> Result<Page<Logged, u64>, AppError> {
        let limit = query.limit;
        query.limit = limit.saturating_add(1);
        let entries = self.catalog.audit(query).await?;
        Ok(Page::of(entries, limit, |logged| logged.sequence))
    }

    /// Logs that an object is damaged or gone, the first time that this process finds it so. That
    /// it cannot be logged is no reason to fail another way than with the damage.
    pub(super) async fn note_damage(&self, object: &ObjectName) {
        self.log_damage(object.path()).await;
    }

    /// The same of whatever has a path, or is called so.
    pub(super) async fn log_damage(&self, path: String) {
        if !self.noted.is_new(&path) {
            return;
        }
        let entry = Entry::new(Action::Damage, "", self.host.now_secs()).with("object", &path);
        if let Err(error) = self.catalog.log(entry).await {
            tracing::warn!(%error, object = path, "cannot log that an object is damaged");
        }
    }
}
