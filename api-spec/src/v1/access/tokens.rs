//! Access tokens kept by the registry.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::names::{ApplicationPattern, TokenName};

/// The permissions of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum TokenRole {
    /// Permission to read, to pull and to report hosts.
    Reader,
    /// Permission to read and to change.
    Publisher,
}

impl TokenRole {
    /// Returns the role's text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Publisher => "publisher",
        }
    }
}

/// A request to create a token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "name": "ci-webshop", "role": "publisher", "applications": ["team/*"],
    "expiresAtSecs": 1_830_000_000
}))]
pub struct NewToken {
    /// The name of the token. The name of a revoked or expired token cannot be used again.
    pub name: TokenName,
    /// The role of the token.
    pub role: TokenRole,
    /// The applications that the token is limited to, at least one. Absent for all applications and
    /// the registry itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applications: Option<Vec<ApplicationPattern>>,
    /// The time when the token expires, in seconds since 1970-01-01 UTC. Absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_secs: Option<u64>,
}

/// A token. The secret is returned only once, in [`CreatedToken`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// The name of the token.
    pub name: TokenName,
    /// The role of the token.
    pub role: TokenRole,
    /// The applications that the token is limited to. Empty for all applications and the registry
    /// itself.
    pub applications: Vec<ApplicationPattern>,
    /// The time when the token was created, in seconds since 1970-01-01 UTC.
    pub created_at_secs: u64,
    /// The name of the token that created this one. Empty without authentication.
    pub created_by: String,
    /// The time when the token expires, in seconds since 1970-01-01 UTC. Absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_secs: Option<u64>,
    /// The time when the token was revoked, in seconds since 1970-01-01 UTC. Absent if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at_secs: Option<u64>,
}

/// A token that was just created, with its secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// The token.
    pub token: Token,
    /// The secret, to be sent as `Authorization: Bearer SECRET`. The registry keeps only its
    /// digest, so a lost secret cannot be shown again.
    pub secret: String,
}

/// A page of tokens, ordered by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenPage {
    /// The tokens, including revoked and expired ones.
    pub tokens: Vec<Token>,
    /// The value of `after` for the next page. Absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<TokenName>,
}
