//! Pins, hosts, policies and deletion over HTTP.

use async_trait::async_trait;
use reqwest::{Method, Url};
use seawall_api::names::{ApplicationName, ChannelName, HostName, PinName, Version};
use seawall_api::reference::Selector;
use seawall_api::v1::{
    ApplyRetention, DeletedRelease, Holders, HostPage, HostRun, Pin, Policies, Policy, RenewHost,
    RetentionOutcome, RetentionPlan, RetentionPolicy, SetPin,
};

use crate::registry::RegistryError;
use crate::registry::http::transport::Call;
use crate::registry::http::{HttpRegistry, path};
use crate::registry::retention::Retention;

impl HttpRegistry {
    fn of_application(&self, application: &ApplicationName, what: &str) -> Url {
        self.v1(["applications", application.as_str(), what])
    }

    fn of_release(&self, application: &ApplicationName, selector: &Selector, rest: &[&str]) -> Url {
        let selector = selector.to_string();
        let segments = ["applications", application.as_str(), "releases", &selector];
        self.v1(segments.into_iter().chain(rest.iter().copied()))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Retention for HttpRegistry {
    async fn delete_release(
        &self,
        application: &ApplicationName,
        version: &Version,
    ) -> Result<DeletedRelease, RegistryError> {
        let url = self.of_release(application, &Selector::Version(version.clone()), &[]);
        let what = format!("delete release {application}:{version}");
        self.json(Call::new(Method::DELETE, url, what).once()).await
    }

    async fn holders(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<Holders, RegistryError> {
        let url = self.of_release(application, selector, &["holders"]);
        self.json(Call::get(url, format!("list what holds {application} {selector}"))).await
    }

    async fn pin(
        &self,
        application: &ApplicationName,
        selector: &Selector,
        name: &PinName,
        reason: &str,
    ) -> Result<Pin, RegistryError> {
        let url = self.of_release(application, selector, &["pins", name.as_str()]);
        let call = Call::new(Method::PUT, url, format!("pin {application} {selector}"));
        self.ask(call, &SetPin { reason: reason.to_owned() }).await
    }

    async fn unpin(
        &self,
        application: &ApplicationName,
        selector: &Selector,
        name: &PinName,
    ) -> Result<(), RegistryError> {
        let url = self.of_release(application, selector, &["pins", name.as_str()]);
        let what = format!("remove pin {name} of {application} {selector}");
        self.done(Call::new(Method::DELETE, url, what).once()).await
    }

    async fn report_host(
        &self,
        host: &HostName,
        runs: &RenewHost,
    ) -> Result<HostRun, RegistryError> {
        let url = self.v1(["hosts", host.as_str()]);
        self.ask(Call::new(Method::PUT, url, format!("record the releases on {host}")), runs).await
    }

    async fn hosts(
        &self,
        application: Option<&ApplicationName>,
        after: Option<&HostName>,
    ) -> Result<HostPage, RegistryError> {
        let application = application.map(ApplicationName::as_str);
        let pairs = [("application", application), ("after", after.map(HostName::as_str))];
        let url = path::with_query(self.v1(["hosts"]), pairs);
        self.json(Call::get(url, "list hosts")).await
    }

    async fn forget_host(
        &self,
        host: &HostName,
        application: Option<&ApplicationName>,
    ) -> Result<(), RegistryError> {
        let pairs = [("application", application.map(ApplicationName::as_str))];
        let url = path::with_query(self.v1(["hosts", host.as_str()]), pairs);
        self.done(Call::new(Method::DELETE, url, format!("forget host {host}")).once()).await
    }

    async fn policies(&self, application: &ApplicationName) -> Result<Policies, RegistryError> {
        let url = self.of_application(application, "policy");
        self.json(Call::get(url, format!("list policies of {application}"))).await
    }

    async fn set_policy(
        &self,
        application: &ApplicationName,
        channel: Option<&ChannelName>,
        policy: &RetentionPolicy,
    ) -> Result<Policy, RegistryError> {
        let url = match channel {
            None => self.of_application(application, "policy"),
            Some(channel) => {
                let segments = ["applications", application.as_str(), "channels"];
                self.v1(segments.into_iter().chain([channel.as_str(), "policy"]))
            }
        };
        let call = Call::new(Method::PUT, url, format!("set a policy of {application}"));
        self.ask(call, policy).await
    }

    async fn retention_plan(
        &self,
        application: &ApplicationName,
    ) -> Result<RetentionPlan, RegistryError> {
        let url = self.of_application(application, "retention");
        self.json(Call::get(url, format!("plan the retention of {application}"))).await
    }

    async fn apply_retention(
        &self,
        application: &ApplicationName,
        order: &ApplyRetention,
    ) -> Result<RetentionOutcome, RegistryError> {
        let url = self.of_application(application, "retention");
        let call = Call::new(Method::POST, url, format!("apply the retention of {application}"));
        self.ask(call.once(), order).await
    }
}
