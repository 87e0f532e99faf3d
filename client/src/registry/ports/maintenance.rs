//! The part of the port for maintenance: checks, damage and backups.

use std::path::Path;

use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_api::v1::{Damage, DamagedRelease, Fsck, Jobs, Lease, StartFsck};

use crate::registry::RegistryError;

/// A registry's maintenance. Part of [`Registry`](super::Registry), under the same contract: every
/// call may be repeated.
#[async_trait::async_trait]
pub trait Maintenance: Send + Sync {
    /// Starts a check, or resumes an interrupted one. Returns its progress.
    async fn start_fsck(&self, order: &StartFsck) -> Result<Fsck, RegistryError>;

    /// Returns the progress and findings of the newest check.
    async fn fsck(&self) -> Result<Fsck, RegistryError>;

    /// Stops the running check.
    async fn stop_fsck(&self) -> Result<(), RegistryError>;

    /// Returns the newest job of each kind and subject.
    async fn jobs(&self) -> Result<Jobs, RegistryError>;

    /// Stops the running job of a kind and a subject, which is empty for most kinds.
    async fn stop_job(&self, kind: &str, subject: &str) -> Result<(), RegistryError>;

    /// Returns the releases known to be damaged.
    async fn damage(&self) -> Result<Damage, RegistryError>;

    /// Returns the objects that a release is known to lack.
    async fn damage_of(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<DamagedRelease, RegistryError>;

    /// Stores the document of a release that the registry published before and lost.
    async fn put_document(&self, lease: &Lease, release: &Release) -> Result<(), RegistryError>;

    /// Copies the registry's catalog to a new file. Returns its length in bytes.
    async fn back_up(&self, into: &Path) -> Result<u64, RegistryError>;
}
