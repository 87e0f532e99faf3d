//! The damage logged by this process.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use seawall_api::audit::Action;
use seawall_store::port::ObjectName;

use crate::app::AppError;
use crate::catalog::check::Healing;
use crate::catalog::collect::Actor;
use crate::catalog::{Catalog, Entry};
use crate::host::Host;

/// The maximum number of damaged objects remembered as logged. Once it is reached, further damage
/// is not logged: the log must not grow with every request for a damaged object.
const NOTED_COUNT_MAX: usize = 10_000;

/// The damaged objects already logged by this process.
#[derive(Debug, Default)]
struct Noted(Mutex<HashSet<String>>);

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

/// The audit log of damage. Clones share the objects already logged.
#[derive(Clone)]
pub struct DamageLog {
    catalog: Catalog,
    host: Arc<dyn Host>,
    noted: Arc<Noted>,
}

impl DamageLog {
    pub(in crate::app) fn new(catalog: Catalog, host: Arc<dyn Host>) -> Self {
        Self { catalog, host, noted: Arc::default() }
    }

    /// Logs a damaged or missing object, once per process. Ignores a failure to log, so that the
    /// caller reports the damage instead.
    pub(in crate::app) async fn log_once(&self, object: &ObjectName) {
        self.log(object.path()).await;
    }

    /// Makes the next damage of a repaired object be logged again.
    pub(in crate::app) fn rearm(&self, object: &ObjectName) {
        self.noted.forget(&object.path());
    }

    /// As [`Self::log_once`], for an object given by its path or a description.
    pub(in crate::app) async fn log(&self, path: String) {
        if !self.noted.is_new(&path) {
            return;
        }
        let entry = Entry::new(Action::Damage, "", self.host.now_secs()).with("object", &path);
        if let Err(error) = self.catalog.log(entry).await {
            tracing::warn!(%error, object = path, "cannot add damage to the audit log");
        }
    }

    /// Clears the damage recorded for an object that was found or made sound.
    pub(in crate::app) async fn healed(
        &self,
        name: &ObjectName,
        actor: Actor,
        healing: Healing,
    ) -> Result<(), AppError> {
        self.rearm(name);
        self.catalog.record_sound(name.clone(), actor, healing).await?;
        Ok(())
    }
}
