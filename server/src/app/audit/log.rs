//! Access to the audit log.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use seawall_api::audit::Action;
use seawall_store::port::ObjectName;

use super::Audit;
use crate::app::AppError;
use crate::app::model::Page;
use crate::catalog::{AuditQuery, Entry, Logged};

/// The maximum number of damaged objects remembered as logged. Once it is reached, further damage
/// is not logged: the log must not grow with every request for a damaged object.
const NOTED_COUNT_MAX: usize = 10_000;

/// The damaged objects already logged by this process.
#[derive(Debug, Default)]
pub(super) struct Noted(Mutex<HashSet<String>>);

impl Noted {
    /// Remembers an object. Returns false if the object was remembered before or the limit is
    /// reached.
    fn is_new(&self, path: &str) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.len() < NOTED_COUNT_MAX && noted.insert(path.to_owned())
    }

    fn forget(&self, path: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
    }
}

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

    /// Logs a damaged or missing object, once per process. Ignores a failure to log, so that the
    /// caller reports the damage instead.
    pub(in crate::app) async fn note_damage(&self, object: &ObjectName) {
        self.log_damage(object.path()).await;
    }

    /// Forgets an object after its repair, so that new damage is logged again.
    pub(in crate::app) fn forget_damage(&self, object: &ObjectName) {
        self.noted.forget(&object.path());
    }

    /// As [`Self::note_damage`], for an object given by its path or a description.
    pub(in crate::app) async fn log_damage(&self, path: String) {
        if !self.noted.is_new(&path) {
            return;
        }
        let entry = Entry::new(Action::Damage, "", self.host.now_secs()).with("object", &path);
        if let Err(error) = self.catalog.log(entry).await {
            tracing::warn!(%error, object = path, "cannot add damage to the audit log");
        }
    }
}
