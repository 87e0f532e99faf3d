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

    /// Adds counts of requests, by bucket, and returns the sums.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn add_request_counts(
        &self,
        counts: Vec<(String, u64)>,
        now_secs: u64,
    ) -> Result<Vec<u64>, CatalogError> {
        self.write("count requests", move |tx| access::add_counts(tx, &counts, now_secs)).await
    }

    /// Deletes counts to which nothing was added since `before_secs`.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn forget_request_counts(&self, before_secs: u64) -> Result<(), CatalogError> {
        self.write("forget counts of requests", move |tx| access::forget_counts(tx, before_secs))
            .await
    }
}
