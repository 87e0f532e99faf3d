//! The part of the port for the tokens that a registry keeps.

use seawall_api::names::TokenName;
use seawall_api::v1::{CreatedToken, NewToken, TokenPage};

use crate::registry::RegistryError;

/// The access tokens of a registry.
///
/// # Contract
///
/// Every call is idempotent except [`Self::create_token`], whose repeat finds the name taken.
#[async_trait::async_trait]
pub trait Tokens: Send + Sync {
    /// Returns a page of tokens by name, beginning after `after`.
    async fn tokens(&self, after: Option<&TokenName>) -> Result<TokenPage, RegistryError>;
    /// Creates a token.
    async fn create_token(&self, token: &NewToken) -> Result<CreatedToken, RegistryError>;
    /// Revokes a token.
    async fn revoke_token(&self, name: &TokenName) -> Result<(), RegistryError>;
}
