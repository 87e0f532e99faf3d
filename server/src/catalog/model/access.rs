//! Access tokens.
//!
//! The catalog keeps the digest of a token's secret. The secret has 256 random bits, so a fast
//! digest cannot be searched.

use seawall_api::names::{ApplicationPattern, TokenName};

/// The maximum number of tokens that are neither revoked nor expired.
pub const TOKENS_MAX: u32 = 10_000;

/// The permissions of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Permission to read.
    Reader,
    /// Permission to do everything.
    Publisher,
}

impl Role {
    /// Returns the role's name in the catalog.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Publisher => "publisher",
        }
    }
}

/// A text that names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the role is neither reader nor publisher")]
pub struct UnknownRole;

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        [Self::Reader, Self::Publisher]
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or(UnknownRole)
    }
}

/// An access token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// The name of the token, unique among all tokens there ever were.
    pub name: TokenName,
    /// The role of the token.
    pub role: Role,
    /// The applications that the token is limited to. Empty for all applications and the registry
    /// itself.
    pub applications: Vec<ApplicationPattern>,
    /// Time of creation, in seconds since 1970-01-01 UTC.
    pub created_at_secs: u64,
    /// The name of the token that created this one; empty without authentication.
    pub created_by: String,
    /// Time of expiry, in seconds since 1970-01-01 UTC; `None` for never.
    pub expires_at_secs: Option<u64>,
    /// Time of revocation, in seconds since 1970-01-01 UTC; `None` if the token was not revoked.
    pub revoked_at_secs: Option<u64>,
}

impl Token {
    /// Returns true if the token is neither revoked nor expired.
    #[must_use]
    pub fn is_valid(&self, now_secs: u64) -> bool {
        self.revoked_at_secs.is_none() && self.expires_at_secs.is_none_or(|end| now_secs < end)
    }
}

/// The outcome of creating a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenCreated {
    /// The token was created.
    Done,
    /// A token of this name exists or existed.
    NameTaken,
    /// The registry has [`TOKENS_MAX`] valid tokens.
    TooMany,
}

/// The outcome of revoking a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenRevoked {
    /// The token is revoked now.
    Done,
    /// The token was revoked before.
    Already,
    /// There is no token of this name.
    Absent,
}
