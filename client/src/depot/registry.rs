//! What only a registry does: a depot refuses it, and names the way.

use std::path::Path;

use async_trait::async_trait;
use seawall_api::names::{
    ApplicationName, ChannelName, HostName, MirrorName, PinName, TokenName, Version,
};
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_api::v1::{
    ApplyRetention, AuditPage, Collection, CollectionPlan, CreatedToken, Damage, DamagedRelease,
    DeletedRelease, DeliveryPage, Fsck, Holders, HostPage, HostRun, Jobs, Lease, Mirror,
    MirrorRequest, NewMirror, NewToken, NewWebhook, Pin, Policies, Policy, Quota, ReleaseDiff,
    RenewHost, RetentionOutcome, RetentionPlan, RetentionPolicy, ServerVersion, SetQuota,
    StartCollection, StartFsck, TokenPage, Usage, Webhook,
};

use super::{Depot, DepotError};
use crate::registry::{
    Audit, AuditFilter, Maintenance, Mirrors, Registry, RegistryError, Retention, Tokens,
};

impl Depot {
    fn refused<T>(&self, what: &'static str) -> Result<T, RegistryError> {
        Err(DepotError::ReadOnly { address: self.address().to_owned(), what }.into())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Retention for Depot {
    async fn delete_release(
        &self,
        _: &ApplicationName,
        _: &Version,
    ) -> Result<DeletedRelease, RegistryError> {
        self.refused("delete a release")
    }

    async fn holders(&self, _: &ApplicationName, _: &Selector) -> Result<Holders, RegistryError> {
        self.refused("tell what holds a release")
    }

    async fn pin(
        &self,
        _: &ApplicationName,
        _: &Selector,
        _: &PinName,
        _: &str,
    ) -> Result<Pin, RegistryError> {
        self.refused("pin a release")
    }

    async fn unpin(
        &self,
        _: &ApplicationName,
        _: &Selector,
        _: &PinName,
    ) -> Result<(), RegistryError> {
        self.refused("unpin a release")
    }

    async fn report_host(&self, _: &HostName, _: &RenewHost) -> Result<HostRun, RegistryError> {
        self.refused("record what a host runs")
    }

    async fn hosts(
        &self,
        _: Option<&ApplicationName>,
        _: Option<&HostName>,
    ) -> Result<HostPage, RegistryError> {
        self.refused("list hosts")
    }

    async fn forget_host(
        &self,
        _: &HostName,
        _: Option<&ApplicationName>,
    ) -> Result<(), RegistryError> {
        self.refused("forget a host")
    }

    async fn policies(&self, _: &ApplicationName) -> Result<Policies, RegistryError> {
        self.refused("keep policies")
    }

    async fn set_policy(
        &self,
        _: &ApplicationName,
        _: Option<&ChannelName>,
        _: &RetentionPolicy,
    ) -> Result<Policy, RegistryError> {
        self.refused("keep policies")
    }

    async fn retention_plan(&self, _: &ApplicationName) -> Result<RetentionPlan, RegistryError> {
        self.refused("keep policies")
    }

    async fn apply_retention(
        &self,
        _: &ApplicationName,
        _: &ApplyRetention,
    ) -> Result<RetentionOutcome, RegistryError> {
        self.refused("keep policies")
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Maintenance for Depot {
    async fn start_fsck(&self, _: &StartFsck) -> Result<Fsck, RegistryError> {
        self.refused("check itself; `seawall verify REF` reads a release")
    }

    async fn fsck(&self) -> Result<Fsck, RegistryError> {
        self.refused("check itself; `seawall verify REF` reads a release")
    }

    async fn stop_fsck(&self) -> Result<(), RegistryError> {
        self.refused("check itself")
    }

    async fn jobs(&self) -> Result<Jobs, RegistryError> {
        self.refused("run jobs")
    }

    async fn stop_job(&self, _: &str, _: &str) -> Result<(), RegistryError> {
        self.refused("run jobs")
    }

    async fn damage(&self) -> Result<Damage, RegistryError> {
        self.refused("list damage; `seawall verify REF` reads a release")
    }

    async fn damage_of(
        &self,
        _: &ApplicationName,
        _: &Selector,
    ) -> Result<DamagedRelease, RegistryError> {
        self.refused("list damage; `seawall verify REF` reads a release")
    }

    async fn put_document(&self, _: &Lease, _: &Release) -> Result<(), RegistryError> {
        self.refused("take content")
    }

    async fn back_up(&self, _: &Path) -> Result<u64, RegistryError> {
        self.refused("be backed up; copy its files")
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Audit for Depot {
    async fn audit(
        &self,
        _: &AuditFilter,
        _: Option<u64>,
        _: u32,
    ) -> Result<AuditPage, RegistryError> {
        self.refused("keep an audit log")
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, RegistryError> {
        self.refused("keep webhooks")
    }

    async fn add_webhook(&self, _: &NewWebhook) -> Result<Webhook, RegistryError> {
        self.refused("keep webhooks")
    }

    async fn remove_webhook(&self, _: &str) -> Result<(), RegistryError> {
        self.refused("keep webhooks")
    }

    async fn deliveries(&self, _: &str) -> Result<DeliveryPage, RegistryError> {
        self.refused("keep webhooks")
    }

    async fn quota(&self, _: &ApplicationName) -> Result<Quota, RegistryError> {
        self.refused("keep quotas")
    }

    async fn set_quota(&self, _: &ApplicationName, _: SetQuota) -> Result<Quota, RegistryError> {
        self.refused("keep quotas")
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Tokens for Depot {
    async fn tokens(&self, _: Option<&TokenName>) -> Result<TokenPage, RegistryError> {
        self.refused("keep tokens")
    }

    async fn create_token(&self, _: &NewToken) -> Result<CreatedToken, RegistryError> {
        self.refused("keep tokens")
    }

    async fn revoke_token(&self, _: &TokenName) -> Result<(), RegistryError> {
        self.refused("keep tokens")
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Mirrors for Depot {
    async fn mirrors(&self) -> Result<Vec<Mirror>, RegistryError> {
        self.refused("run mirrors")
    }

    async fn mirror(&self, _: &MirrorName) -> Result<Mirror, RegistryError> {
        self.refused("run mirrors")
    }

    async fn add_mirror(&self, _: &NewMirror) -> Result<Mirror, RegistryError> {
        self.refused("run mirrors")
    }

    async fn remove_mirror(&self, _: &MirrorName) -> Result<(), RegistryError> {
        self.refused("run mirrors")
    }

    async fn run_mirror(&self, _: &MirrorName) -> Result<MirrorRequest, RegistryError> {
        self.refused("run mirrors")
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Registry for Depot {
    async fn server_version(&self) -> Result<ServerVersion, RegistryError> {
        self.refused("tell a version")
    }

    async fn diff(
        &self,
        _: (&ApplicationName, &Selector),
        _: (&ApplicationName, &Selector),
    ) -> Result<ReleaseDiff, RegistryError> {
        self.refused("compare releases")
    }

    async fn start_collection(&self, _: StartCollection) -> Result<Collection, RegistryError> {
        self.refused("collect itself; its mirror prunes it")
    }

    async fn collection(&self) -> Result<Collection, RegistryError> {
        self.refused("collect itself; its mirror prunes it")
    }

    async fn collection_plan(&self, _: Option<u8>) -> Result<CollectionPlan, RegistryError> {
        self.refused("collect itself; its mirror prunes it")
    }

    async fn usage(&self) -> Result<Usage, RegistryError> {
        self.refused("tell the space that releases occupy")
    }
}
