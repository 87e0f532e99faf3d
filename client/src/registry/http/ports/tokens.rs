//! Access tokens over HTTP.

use async_trait::async_trait;
use reqwest::Method;
use seawall_api::names::TokenName;
use seawall_api::v1::{CreatedToken, NewToken, TokenPage};

use crate::registry::RegistryError;
use crate::registry::http::transport::Call;
use crate::registry::http::{HttpRegistry, path};
use crate::registry::tokens::Tokens;

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Tokens for HttpRegistry {
    async fn tokens(&self, after: Option<&TokenName>) -> Result<TokenPage, RegistryError> {
        let url = path::with_query(self.v1(["tokens"]), [("after", after.map(TokenName::as_str))]);
        self.json(Call::get(url, "list tokens")).await
    }

    async fn create_token(&self, token: &NewToken) -> Result<CreatedToken, RegistryError> {
        let what = format!("create token {}", token.name);
        self.ask(Call::new(Method::POST, self.v1(["tokens"]), what).once(), token).await
    }

    async fn revoke_token(&self, name: &TokenName) -> Result<(), RegistryError> {
        let what = format!("revoke token {name}");
        self.done(Call::new(Method::DELETE, self.v1(["tokens", name.as_str()]), what)).await
    }
}
