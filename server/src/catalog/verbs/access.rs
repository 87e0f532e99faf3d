//! Access tokens.

use seawall_api::names::TokenName;

use super::super::model::access::{Token, TokenCreated, TokenRevoked};
use super::super::rules::access;
use super::super::{Catalog, CatalogError};

impl Catalog {
    /// Creates a token whose secret has this digest. Logged.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn create_token(
        &self,
        token: Token,
        digest: [u8; 32],
    ) -> Result<TokenCreated, CatalogError> {
        self.write("create a token", move |tx| access::create(tx, &token, &digest)).await
    }

    /// Revokes a token. Logged.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn revoke_token(
        &self,
        name: TokenName,
        actor: String,
        now_secs: u64,
    ) -> Result<TokenRevoked, CatalogError> {
        self.write("revoke a token", move |tx| access::revoke(tx, &name, &actor, now_secs)).await
    }

    /// Returns the token whose secret has this digest, valid or not.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn token(&self, digest: [u8; 32]) -> Result<Option<Token>, CatalogError> {
        self.read("look up a token", move |tx| access::by_digest(tx, &digest)).await
    }

    /// Lists tokens by name, beginning after `after`, valid or not.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn tokens(
        &self,
        after: Option<TokenName>,
        limit: u32,
    ) -> Result<Vec<Token>, CatalogError> {
        self.read("list tokens", move |tx| access::list(tx, after.as_ref(), limit)).await
    }
}
