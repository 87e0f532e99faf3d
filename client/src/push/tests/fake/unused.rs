//! The calls that a push does not make.

use std::path::Path;

use async_trait::async_trait;
use seawall_api::names::{
    ApplicationName, ChannelName, HostName, MirrorName, PinName, TokenName, Version,
};
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_api::v1::{
    ApplyRetention, AuditPage, CreatedToken, Damage, DamagedRelease, DeletedRelease, DeliveryPage,
    Fsck, Holders, HostPage, HostRun, Jobs, Lease, Mirror, MirrorRequest, NewMirror, NewToken,
    NewWebhook, Pin, Policies, Policy, Quota, RenewHost, RetentionOutcome, RetentionPlan,
    RetentionPolicy, SetQuota, StartFsck, TokenPage, Webhook,
};

use super::{FakeRegistry, unused};
use crate::registry::{Audit, AuditFilter, Maintenance, Mirrors, RegistryError, Retention, Tokens};

#[async_trait]
impl Retention for FakeRegistry {
    async fn delete_release(
        &self,
        _: &ApplicationName,
        _: &Version,
    ) -> Result<DeletedRelease, RegistryError> {
        unused()
    }

    async fn holders(&self, _: &ApplicationName, _: &Selector) -> Result<Holders, RegistryError> {
        unused()
    }

    async fn pin(
        &self,
        _: &ApplicationName,
        _: &Selector,
        _: &PinName,
        _: &str,
    ) -> Result<Pin, RegistryError> {
        unused()
    }

    async fn unpin(
        &self,
        _: &ApplicationName,
        _: &Selector,
        _: &PinName,
    ) -> Result<(), RegistryError> {
        unused()
    }

    async fn report_host(&self, _: &HostName, _: &RenewHost) -> Result<HostRun, RegistryError> {
        unused()
    }

    async fn hosts(
        &self,
        _: Option<&ApplicationName>,
        _: Option<&HostName>,
    ) -> Result<HostPage, RegistryError> {
        unused()
    }

    async fn forget_host(
        &self,
        _: &HostName,
        _: Option<&ApplicationName>,
    ) -> Result<(), RegistryError> {
        unused()
    }

    async fn policies(&self, _: &ApplicationName) -> Result<Policies, RegistryError> {
        unused()
    }

    async fn set_policy(
        &self,
        _: &ApplicationName,
        _: Option<&ChannelName>,
        _: &RetentionPolicy,
    ) -> Result<Policy, RegistryError> {
        unused()
    }

    async fn retention_plan(&self, _: &ApplicationName) -> Result<RetentionPlan, RegistryError> {
        unused()
    }

    async fn apply_retention(
        &self,
        _: &ApplicationName,
        _: &ApplyRetention,
    ) -> Result<RetentionOutcome, RegistryError> {
        unused()
    }
}

#[async_trait]
impl Maintenance for FakeRegistry {
    async fn start_fsck(&self, _: &StartFsck) -> Result<Fsck, RegistryError> {
        unused()
    }

    async fn fsck(&self) -> Result<Fsck, RegistryError> {
        unused()
    }

    async fn stop_fsck(&self) -> Result<(), RegistryError> {
        unused()
    }

    async fn jobs(&self) -> Result<Jobs, RegistryError> {
        unused()
    }

    async fn stop_job(&self, _: &str, _: &str) -> Result<(), RegistryError> {
        unused()
    }

    async fn damage(&self) -> Result<Damage, RegistryError> {
        unused()
    }

    async fn damage_of(
        &self,
        _: &ApplicationName,
        _: &Selector,
    ) -> Result<DamagedRelease, RegistryError> {
        unused()
    }

    async fn put_document(&self, _: &Lease, _: &Release) -> Result<(), RegistryError> {
        unused()
    }

    async fn back_up(&self, _: &Path) -> Result<u64, RegistryError> {
        unused()
    }
}

#[async_trait]
impl Tokens for FakeRegistry {
    async fn tokens(&self, _: Option<&TokenName>) -> Result<TokenPage, RegistryError> {
        unused()
    }

    async fn create_token(&self, _: &NewToken) -> Result<CreatedToken, RegistryError> {
        unused()
    }

    async fn revoke_token(&self, _: &TokenName) -> Result<(), RegistryError> {
        unused()
    }
}

#[async_trait]
impl Mirrors for FakeRegistry {
    async fn mirrors(&self) -> Result<Vec<Mirror>, RegistryError> {
        unused()
    }

    async fn mirror(&self, _: &MirrorName) -> Result<Mirror, RegistryError> {
        unused()
    }

    async fn add_mirror(&self, _: &NewMirror) -> Result<Mirror, RegistryError> {
        unused()
    }

    async fn remove_mirror(&self, _: &MirrorName) -> Result<(), RegistryError> {
        unused()
    }

    async fn run_mirror(&self, _: &MirrorName) -> Result<MirrorRequest, RegistryError> {
        unused()
    }
}

#[async_trait]
impl Audit for FakeRegistry {
    async fn audit(
        &self,
        _: &AuditFilter,
        _: Option<u64>,
        _: u32,
    ) -> Result<AuditPage, RegistryError> {
        unused()
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, RegistryError> {
        unused()
    }

    async fn add_webhook(&self, _: &NewWebhook) -> Result<Webhook, RegistryError> {
        unused()
    }

    async fn remove_webhook(&self, _: &str) -> Result<(), RegistryError> {
        unused()
    }

    async fn deliveries(&self, _: &str) -> Result<DeliveryPage, RegistryError> {
        unused()
    }

    async fn quota(&self, _: &ApplicationName) -> Result<Quota, RegistryError> {
        unused()
    }

    async fn set_quota(&self, _: &ApplicationName, _: SetQuota) -> Result<Quota, RegistryError> {
        unused()
    }
}
