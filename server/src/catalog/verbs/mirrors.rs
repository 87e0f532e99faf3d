//! Mirrors.

use seawall_api::names::MirrorName;

use super::super::model::mirrors::{Mirror, MirrorAdded, MirrorRow};
use super::super::rules::mirrors;
use super::super::{Catalog, CatalogError};

impl Catalog {
    /// Adds a mirror, up to a maximum number. Logged.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn add_mirror(&self, mirror: Mirror) -> Result<MirrorAdded, CatalogError> {
        self.write("add a mirror", move |tx| mirrors::add(tx, &mirror)).await
    }

    /// Removes a mirror with its jobs. Returns false if there is none. Logged.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn remove_mirror(
        &self,
        name: MirrorName,
        actor: String,
        now_secs: u64,
    ) -> Result<bool, CatalogError> {
        self.write("remove a mirror", move |tx| mirrors::remove(tx, &name, &actor, now_secs)).await
    }

    /// Lists all mirrors by name, each with its newest job.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn mirrors(&self) -> Result<Vec<MirrorRow>, CatalogError> {
        self.read("list mirrors", |tx| mirrors::list(tx)).await
    }

    /// Counts a request for a run of a mirror. Returns its number; `None` if there is no such
    /// mirror.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn request_mirror(&self, name: MirrorName) -> Result<Option<u64>, CatalogError> {
        self.write("request a run of a mirror", move |tx| mirrors::request(tx, &name)).await
    }

    /// Logs that a mirror began to fail, with the reason, or recovered.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn log_mirror_state(
        &self,
        mirror: Mirror,
        failure: Option<String>,
        now_secs: u64,
    ) -> Result<(), CatalogError> {
        self.write("log the state of a mirror", move |tx| {
            mirrors::log_state(tx, &mirror, failure.as_deref(), now_secs)
        })
        .await
    }
}
