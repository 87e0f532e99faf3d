//! Validation of `token`.

use std::path::PathBuf;
use std::time::SystemTime;

use seawall_api::moment;
use seawall_api::names::{ApplicationPattern, TokenName};
use seawall_api::v1::TokenRole;

use super::{Command, Reach};
use crate::args::tokens::{RawTokens, RoleName, TokenCreateArgs};
use crate::failure::Failure;
use crate::size;

/// A validated `token` command.
#[derive(Debug)]
pub(crate) enum Tokens {
    Create(CreateToken),
    List,
    Revoke(TokenName),
}

/// A token to create.
#[derive(Debug)]
pub(crate) struct CreateToken {
    /// The name; `None` to choose one.
    pub(crate) name: Option<TokenName>,
    /// The role.
    pub(crate) role: TokenRole,
    /// The applications that the token is limited to; empty for no limit.
    pub(crate) applications: Vec<ApplicationPattern>,
    /// Time of expiry, in seconds since 1970-01-01 UTC; `None` for never.
    pub(crate) expires_at_secs: Option<u64>,
    /// The new file for the secret; `None` for standard output.
    pub(crate) output: Option<PathBuf>,
}

impl Tokens {
    /// Returns the name of the answer's schema.
    pub(super) fn schema(&self) -> &'static str {
        match self {
            Self::Create(_) => "token",
            Self::List => "tokens",
            Self::Revoke(_) => "token-revoked",
        }
    }
}

pub(super) fn prove(raw: RawTokens) -> Result<Command, Failure> {
    let (credentials, order) = match raw {
        RawTokens::Create(args) => return create(args),
        RawTokens::List { credentials, .. } => (credentials, Tokens::List),
        RawTokens::Revoke { name, credentials } => (credentials, Tokens::Revoke(token(&name)?)),
    };
    Ok(Command::Tokens(Reach { host: None, credentials }, order))
}

fn token(text: &str) -> Result<TokenName, Failure> {
    text.parse().map_err(|error| {
        Failure::usage(format!("{error}"), "`seawall token list` shows the tokens there are")
    })
}

fn create(args: TokenCreateArgs) -> Result<Command, Failure> {
    let pattern = |text: &String| {
        text.trim().parse().map_err(|error| {
            Failure::usage(format!("--apps: {error}"), "write names as shop, or 'team/*'")
        })
    };
    let new = CreateToken {
        name: args.name.as_deref().map(token).transpose()?,
        role: match args.role {
            RoleName::Reader => TokenRole::Reader,
            RoleName::Publisher => TokenRole::Publisher,
        },
        applications: args.apps.iter().map(pattern).collect::<Result<_, _>>()?,
        expires_at_secs: args.expires.as_deref().map(expiry).transpose()?,
        output: args.output,
    };
    let reach = Reach { host: None, credentials: args.credentials };
    Ok(Command::Tokens(reach, Tokens::Create(new)))
}

/// Parses a moment, or a time from now, into seconds since 1970.
fn expiry(text: &str) -> Result<u64, Failure> {
    let now_secs = crate::now().duration_since(SystemTime::UNIX_EPOCH);
    let now_secs = now_secs.map_or(0, |since| since.as_secs());
    let at = moment::parse(text).or_else(|| now_secs.checked_add(size::duration_secs(text)?));
    at.filter(|at| *at > now_secs).ok_or_else(|| {
        Failure::usage(
            format!("`--expires {}` is no time in the future", text.escape_debug()),
            "write 90d, 12h, 30m, or a date as 2027-03-01",
        )
    })
}
