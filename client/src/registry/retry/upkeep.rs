//! Retries checks and reports of damage, but not backups.

use std::path::Path;

use async_trait::async_trait;
use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_api::v1::{Damage, DamagedRelease, Fsck, Lease, StartFsck};

use super::Retry;
use crate::registry::{Registry, RegistryError, Upkeep};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<R: Registry> Upkeep for Retry<R> {
    async fn start_fsck(&self, order: &StartFsck) -> Result<Fsck, RegistryError> {
        self.again(|| self.inner.start_fsck(order)).await
    }

    async fn fsck(&self) -> Result<Fsck, RegistryError> {
        self.again(|| self.inner.fsck()).await
    }

    async fn stop_fsck(&self) -> Result<(), RegistryError> {
        self.again(|| self.inner.stop_fsck()).await
    }

    async fn damage(&self) -> Result<Damage, RegistryError> {
        self.again(|| self.inner.damage()).await
    }

    async fn damage_of(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<DamagedRelease, RegistryError> {
        self.again(|| self.inner.damage_of(application, selector)).await
    }

    async fn put_document(&self, lease: &Lease, release: &Release) -> Result<(), RegistryError> {
        self.again(|| self.inner.put_document(lease, release)).await
    }

    /// Does not retry: a backup is long, and the caller may have started another.
    async fn back_up(&self, into: &Path) -> Result<u64, RegistryError> {
        self.inner.back_up(into).await
    }
}
