//! What keeps a registry whole, as flows reach it: checks, damage and backups.

use std::path::Path;

use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_api::v1::{Damage, DamagedRelease, Fsck, Lease, StartFsck};

use super::RegistryError;

/// Keeps a registry whole. Part of [`Registry`](super::Registry), under the same contract: every
/// call may be repeated.
#[async_trait::async_trait]
pub trait Upkeep: Send + Sync {
    /// Begins a check, or goes on with one that broke off; how far it is.
    async fn start_fsck(&self, order: &StartFsck) -> Result<Fsck, RegistryError>;

    /// How far the newest check is, and what it found.
    async fn fsck(&self) -> Result<Fsck, RegistryError>;

    /// Stops the check under way.
    async fn stop_fsck(&self) -> Result<(), RegistryError>;

    /// The releases that are known to be damaged.
    async fn damage(&self) -> Result<Damage, RegistryError>;

    /// What a release is known to lack.
    async fn damage_of(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<DamagedRelease, RegistryError>;

    /// Gives the registry the document of a release that it published before and lost.
    async fn put_document(&self, lease: &Lease, release: &Release) -> Result<(), RegistryError>;

    /// Writes a copy of the registry's catalog into a file that is not there yet; its length.
    async fn back_up(&self, into: &Path) -> Result<u64, RegistryError>;
}
