//! Audit log, webhooks and quotas over HTTP.

use async_trait::async_trait;
use reqwest::{Method, Url};
use seawall_api::audit::Action;
use seawall_api::names::ApplicationName;
use seawall_api::v1::{AuditPage, DeliveryPage, NewWebhook, Quota, SetQuota, Webhook, WebhookPage};

use crate::registry::RegistryError;
use crate::registry::audit::{Audit, AuditFilter};
use crate::registry::http::transport::Call;
use crate::registry::http::{HttpRegistry, path};

impl HttpRegistry {
    fn quota_url(&self, application: &ApplicationName) -> Url {
        self.v1(["applications", application.as_str(), "quota"])
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Audit for HttpRegistry {
    async fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<u64>,
        limit: u32,
    ) -> Result<AuditPage, RegistryError> {
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let (since, after) = (number(filter.since_secs), number(after));
        let pairs = [
            ("application", filter.application.as_ref().map(ApplicationName::as_str)),
            ("action", filter.action.map(Action::as_str)),
            ("actor", filter.actor.as_deref()),
            ("since", since.as_deref()),
            ("after", after.as_deref()),
            ("limit", Some(&*limit.to_string())),
        ];
        let url = path::with_query(self.v1(["audit"]), pairs);
        self.json(Call::get(url, "read the audit log")).await
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, RegistryError> {
        let call = Call::get(self.v1(["webhooks"]), "list webhooks");
        Ok(self.json::<WebhookPage>(call).await?.webhooks)
    }

    async fn add_webhook(&self, webhook: &NewWebhook) -> Result<Webhook, RegistryError> {
        let call = Call::new(Method::POST, self.v1(["webhooks"]), "add a webhook");
        self.ask(call.once(), webhook).await
    }

    async fn remove_webhook(&self, id: &str) -> Result<(), RegistryError> {
        let what = format!("remove webhook {id}");
        self.done(Call::new(Method::DELETE, self.v1(["webhooks", id]), what).once()).await
    }

    async fn deliveries(&self, id: &str) -> Result<DeliveryPage, RegistryError> {
        let url = self.v1(["webhooks", id, "deliveries"]);
        self.json(Call::get(url, format!("list deliveries of webhook {id}"))).await
    }

    async fn quota(&self, application: &ApplicationName) -> Result<Quota, RegistryError> {
        let what = format!("read the quota of {application}");
        self.json(Call::get(self.quota_url(application), what)).await
    }

    async fn set_quota(
        &self,
        application: &ApplicationName,
        quota: SetQuota,
    ) -> Result<Quota, RegistryError> {
        let what = format!("set the quota of {application}");
        self.ask(Call::new(Method::PUT, self.quota_url(application), what), &quota).await
    }
}
