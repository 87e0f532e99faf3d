//! Mirrors over HTTP.

use async_trait::async_trait;
use reqwest::Method;
use seawall_api::names::MirrorName;
use seawall_api::v1::{Mirror, MirrorPage, MirrorRequest, NewMirror};

use crate::registry::RegistryError;
use crate::registry::http::HttpRegistry;
use crate::registry::http::transport::Call;
use crate::registry::ports::Mirrors;

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Mirrors for HttpRegistry {
    async fn mirrors(&self) -> Result<Vec<Mirror>, RegistryError> {
        let call = Call::get(self.v1(["mirrors"]), "list mirrors");
        Ok(self.json::<MirrorPage>(call).await?.mirrors)
    }

    async fn mirror(&self, name: &MirrorName) -> Result<Mirror, RegistryError> {
        let url = self.v1(["mirrors", name.as_str()]);
        self.json(Call::get(url, format!("read mirror {name}"))).await
    }

    async fn add_mirror(&self, mirror: &NewMirror) -> Result<Mirror, RegistryError> {
        let what = format!("add mirror {}", mirror.name);
        self.ask(Call::new(Method::POST, self.v1(["mirrors"]), what).once(), mirror).await
    }

    async fn remove_mirror(&self, name: &MirrorName) -> Result<(), RegistryError> {
        let url = self.v1(["mirrors", name.as_str()]);
        self.done(Call::new(Method::DELETE, url, format!("remove mirror {name}")).once()).await
    }

    async fn run_mirror(&self, name: &MirrorName) -> Result<MirrorRequest, RegistryError> {
        let url = self.v1(["mirrors", name.as_str(), "runs"]);
        self.json(Call::new(Method::POST, url, format!("run mirror {name}")).once()).await
    }
}
