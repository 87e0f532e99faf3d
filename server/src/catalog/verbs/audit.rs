//! The audit log, webhooks and quotas.

use seawall_api::names::ApplicationName;

use super::super::model::audit::{
    AuditQuery, Delivery, DeliveryRow, Entry, LeaseLoad, Logged, Quota, QuotaState, Settlement,
    Webhook, WebhookAdded, WebhookStatus,
};
use super::super::model::content::Frame;
use super::super::model::jobs::Job;
use super::super::rules::audit::{self, quotas, webhooks};
use super::super::{Catalog, CatalogError, LeaseId, WebhookId};

impl Catalog {
    /// Logs an action that does not itself write to the catalog.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn log(&self, entry: Entry) -> Result<Logged, CatalogError> {
        self.write("add an audit log entry", move |tx| audit::append(tx, &entry)).await
    }

    /// Returns entries of the audit log, newest first.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn audit(&self, query: AuditQuery) -> Result<Vec<Logged>, CatalogError> {
        self.read("read the audit log", move |tx| audit::query(tx, &query)).await
    }

    /// Adds a webhook, up to a maximum number. Logged.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn add_webhook(&self, webhook: Webhook) -> Result<WebhookAdded, CatalogError> {
        self.write("add a webhook", move |tx| webhooks::add(tx, &webhook)).await
    }

    /// Lists all webhooks with their status, oldest first.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn webhooks(&self) -> Result<Vec<WebhookStatus>, CatalogError> {
        self.read("list webhooks", move |tx| webhooks::list(tx)).await
    }

    /// Removes a webhook with its deliveries and their jobs. Returns false if there is none.
    /// Logged.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn remove_webhook(
        &self,
        id: WebhookId,
        actor: String,
        now_secs: u64,
    ) -> Result<bool, CatalogError> {
        self.write("remove a webhook", move |tx| webhooks::remove(tx, id, &actor, now_secs)).await
    }

    /// Lists the deliveries of a webhook older than `after`, newest first; `None` if there is no
    /// such webhook.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn deliveries(
        &self,
        id: WebhookId,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Option<Vec<DeliveryRow>>, CatalogError> {
        self.read("list deliveries", move |tx| webhooks::deliveries(tx, id, after, limit)).await
    }

    /// Returns the webhooks with a delivery due at `now_secs`, each with the newest job of its
    /// deliveries.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn due_webhooks(
        &self,
        now_secs: u64,
    ) -> Result<Vec<(WebhookId, Option<Job>)>, CatalogError> {
        self.read("look for messages", move |tx| webhooks::due(tx, now_secs)).await
    }

    /// Returns the next delivery of a webhook due at `now_secs`, if any.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn next_delivery(
        &self,
        id: WebhookId,
        now_secs: u64,
    ) -> Result<Option<Delivery>, CatalogError> {
        self.read("read a message", move |tx| webhooks::next(tx, id, now_secs)).await
    }

    /// Records the outcome of an attempt to deliver. Does nothing if the delivery is settled or was
    /// removed with its webhook; `id` is needed because its number may have been reused for another
    /// webhook's delivery.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn settle_delivery(
        &self,
        id: WebhookId,
        delivery: u64,
        settlement: Settlement,
    ) -> Result<(), CatalogError> {
        self.write("record a delivery attempt", move |tx| {
            webhooks::settle(tx, id, delivery, &settlement)
        })
        .await
    }

    /// Returns the quota and usage of an application, which need not exist.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn quota(&self, application: ApplicationName) -> Result<QuotaState, CatalogError> {
        self.read("read a quota", move |tx| quotas::state(tx, &application)).await
    }

    /// Sets the quota of an application. Logged.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn set_quota(
        &self,
        application: ApplicationName,
        quota: Quota,
        actor: String,
        now_secs: u64,
    ) -> Result<(), CatalogError> {
        self.write("set a quota", move |tx| {
            quotas::set(tx, &application, quota, (&actor, now_secs))
        })
        .await
    }

    /// Returns the load of a lease, with the chunks in `frames` not yet stored; `None` if its
    /// application has no quota of data.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn lease_load(
        &self,
        lease: LeaseId,
        application: ApplicationName,
        frames: Vec<Frame>,
    ) -> Result<Option<LeaseLoad>, CatalogError> {
        let places = self.chunk_places();
        self.read("read a lease's load", move |tx| {
            quotas::load_with(tx, lease, (&application, &frames), &*places)
        })
        .await
    }
}
