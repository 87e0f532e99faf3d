//! The methods of the port [`Registry`], one request each.

use async_trait::async_trait;
use reqwest::Method;
use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::v1::{
    Collection, CollectionPlan, ReleaseDiff, ServerVersion, StartCollection, Usage,
};

use crate::registry::http::transport::Call;
use crate::registry::http::{HttpRegistry, path};
use crate::registry::{Registry, RegistryError};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Registry for HttpRegistry {
    async fn server_version(&self) -> Result<ServerVersion, RegistryError> {
        self.json(Call::get(self.v1(["version"]), "report its version")).await
    }

    async fn diff(
        &self,
        from: (&ApplicationName, &Selector),
        to: (&ApplicationName, &Selector),
    ) -> Result<ReleaseDiff, RegistryError> {
        let (from, to) = (path::side(from), path::side(to));
        let pairs = [("from", Some(&*from)), ("to", Some(&*to))];
        let url = path::with_query(self.v1(["diff"]), pairs);
        self.json(Call::get(url, format!("compare {from} with {to}"))).await
    }

    async fn start_collection(&self, order: StartCollection) -> Result<Collection, RegistryError> {
        let call = Call::new(Method::POST, self.v1(["collection"]), "start a collection");
        self.ask(call, &order).await
    }

    async fn collection(&self) -> Result<Collection, RegistryError> {
        self.json(Call::get(self.v1(["collection"]), "report the progress of its collection")).await
    }

    async fn collection_plan(
        &self,
        live_percent_min: Option<u8>,
    ) -> Result<CollectionPlan, RegistryError> {
        let percent = live_percent_min.map(|percent| percent.to_string());
        let url = self.v1(["collection", "plan"]);
        let url = path::with_query(url, [("livePercentMin", percent.as_deref())]);
        self.json(Call::get(url, "plan a collection")).await
    }

    async fn usage(&self) -> Result<Usage, RegistryError> {
        self.json(Call::get(self.v1(["usage"]), "report the storage of its releases")).await
    }
}
