//! The methods of [`Watching`]. Each runs one function of `audit`, `quotas` or `webhooks`.

use rusqlite::Transaction;
use seawall_api::names::ApplicationName;

use super::{SqliteCatalog, audit, quotas, webhooks};
use crate::catalog::error::CatalogError;
use crate::catalog::id::{LeaseId, WebhookId};
use crate::catalog::model::Frame;
use crate::catalog::watch::{
    AuditQuery, Delivery, DeliveryRow, Entry, LeaseLoad, Logged, Quota, QuotaState, Settlement,
    Watching, Webhook, WebhookAdded, WebhookStatus,
};

#[async_trait::async_trait]
impl Watching for SqliteCatalog {
    async fn log(&self, entry: Entry) -> Result<Logged, CatalogError> {
        self.connections.write("add an audit log entry", move |tx| audit::append(tx, &entry)).await
    }

    async fn audit(&self, query: AuditQuery) -> Result<Vec<Logged>, CatalogError> {
        self.connections.read("read the audit log", move |tx| audit::query(tx, &query)).await
    }

    async fn add_webhook(&self, webhook: Webhook) -> Result<WebhookAdded, CatalogError> {
        self.connections.write("add a webhook", move |tx| webhooks::add(tx, &webhook)).await
    }

    async fn webhooks(&self) -> Result<Vec<WebhookStatus>, CatalogError> {
        self.connections.read("list webhooks", webhooks::list).await
    }

    async fn remove_webhook(
        &self,
        id: WebhookId,
        actor: String,
        now_secs: u64,
    ) -> Result<bool, CatalogError> {
        let remove = move |tx: &Transaction<'_>| webhooks::remove(tx, id, &actor, now_secs);
        self.connections.write("remove a webhook", remove).await
    }

    async fn deliveries(
        &self,
        id: WebhookId,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Option<Vec<DeliveryRow>>, CatalogError> {
        let list = move |tx: &Transaction<'_>| webhooks::deliveries(tx, id, after, limit);
        self.connections.read("list deliveries", list).await
    }

    async fn due_webhooks(&self, now_secs: u64) -> Result<Vec<WebhookId>, CatalogError> {
        self.connections.read("look for messages", move |tx| webhooks::due(tx, now_secs)).await
    }

    async fn claim_delivery(
        &self,
        id: WebhookId,
        now_secs: u64,
        until_secs: u64,
    ) -> Result<Option<Delivery>, CatalogError> {
        let claim = move |tx: &Transaction<'_>| webhooks::claim(tx, id, now_secs, until_secs);
        self.connections.write("claim a message", claim).await
    }

    async fn settle_delivery(
        &self,
        id: WebhookId,
        delivery: u64,
        settlement: Settlement,
    ) -> Result<(), CatalogError> {
        let settle = move |tx: &Transaction<'_>| webhooks::settle(tx, id, delivery, &settlement);
        self.connections.write("record a delivery attempt", settle).await
    }

    async fn quota(&self, application: ApplicationName) -> Result<QuotaState, CatalogError> {
        self.connections.read("read a quota", move |tx| quotas::read(tx, &application)).await
    }

    async fn set_quota(
        &self,
        application: ApplicationName,
        quota: Quota,
        actor: String,
        now_secs: u64,
    ) -> Result<(), CatalogError> {
        let set =
            move |tx: &Transaction<'_>| quotas::set(tx, &application, quota, (&actor, now_secs));
        self.connections.write("set a quota", set).await
    }

    async fn lease_load(
        &self,
        lease: LeaseId,
        application: ApplicationName,
        frames: Vec<Frame>,
    ) -> Result<Option<LeaseLoad>, CatalogError> {
        let read = move |tx: &Transaction<'_>| quotas::lease_load(tx, lease, &application, &frames);
        self.connections.read("read a lease's load", read).await
    }

    async fn add_lease_load(&self, lease: LeaseId, data_bytes: u64) -> Result<(), CatalogError> {
        let add = move |tx: &Transaction<'_>| quotas::add_lease_load(tx, lease, data_bytes);
        self.connections.write("record a lease's load", add).await
    }
}
