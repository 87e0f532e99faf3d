//! The registry over HTTP, version 1 of its API.
//!
//! Each method asks one question; [`transport`] sends it, [`path`] names it and [`proof`] decides
//! whether the answer is what was asked for. Nothing is tried twice here (`registry/retry.rs`).
//!
//! # Limits
//!
//! | what | limit | past it |
//! |---|---|---|
//! | a JSON answer | [`JSON_LEN_MAX`] | [`RegistryError::TooLarge`](super::RegistryError) |
//! | a release, index, leaf | the format's own | the same |
//! | a range of a pack | its length, exactly | `Protocol` |
//! | a connection that stands still | [`Timeouts`] | `Stalled` |
//! | redirects, of GET and HEAD only | [`REDIRECTS_MAX`] | `Protocol` |

mod fleet;
mod path;
mod proof;
mod registry;
mod token;
mod transport;
mod upkeep;
mod watch;

use std::time::Duration;

use reqwest::Url;

pub use token::{InvalidToken, Token, TokenError};
use transport::Transport;

/// The longest JSON answer: the locations of as many chunks as one question may name.
pub const JSON_LEN_MAX: u64 = 32 << 20;
/// The longest problem document that is read.
pub const PROBLEM_LEN_MAX: u64 = 64 << 10;
/// How many redirects a GET follows.
pub const REDIRECTS_MAX: usize = 3;
/// How many idle connections are kept for later questions.
const IDLE_CONNECTIONS_MAX: usize = 16;
/// For how long.
const IDLE_CONNECTION_TIME_MAX: Duration = Duration::from_secs(15);

/// How long a connection may stand still. There is no limit on a transfer that moves.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// To open a connection.
    pub connect: Duration,
    /// Between two pieces of a body, and between the request's end and the answer's begin.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        // A publish of a large release is one silent wait for the server's proof.
        Self { connect: Duration::from_secs(10), idle: Duration::from_secs(120) }
    }
}

/// Why a text does not name a registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` is not a registry's address: {why}")]
pub struct InvalidUrl {
    /// What was read, with control characters escaped.
    pub url: String,
    /// What is wrong with it.
    pub why: String,
}

/// A registry reached over HTTP.
pub struct HttpRegistry {
    transport: Transport,
}

impl HttpRegistry {
    /// A registry at `url`, spoken to with `token` where one is given. Connects on first use.
    ///
    /// # Errors
    /// When `url` is not plain `http://` or `https://` with a host.
    pub fn new(url: &str, token: Option<Token>, timeouts: Timeouts) -> Result<Self, InvalidUrl> {
        let base = parse_base(url)?;
        let transport = Transport::new(base, token, timeouts).map_err(|error| InvalidUrl {
            url: url.escape_debug().to_string(),
            why: format!(
                "{}; Debian's package ca-certificates brings certificate authorities, and \
                 SSL_CERT_FILE names others",
                innermost(&error)
            ),
        })?;
        Ok(Self { transport })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        self.transport.address()
    }
}

/// Returns the cause that says most: the outer ones of a client that cannot be made say nothing.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn parse_base(text: &str) -> Result<Url, InvalidUrl> {
    let bad = |why: &str| InvalidUrl { url: text.escape_debug().to_string(), why: why.to_owned() };
    let base = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err(bad("it begins with http:// or https://"));
    }
    if !base.username().is_empty() || base.password().is_some() {
        // Not shown: the text holds a password.
        let why = "it carries a user or password; give a token with --token-file instead";
        return Err(InvalidUrl {
            url: base.host_str().unwrap_or("…").to_owned(), why: why.into()
        });
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(bad("it has a `?` or `#` part"));
    }
    // It is added to the address, so that one of a later version is the same.
    if base.path_segments().and_then(|mut it| it.rfind(|part| !part.is_empty())) == Some("v1") {
        let without = base.as_str().trim_end_matches('/').trim_end_matches("/v1");
        return Err(bad(&format!("leave out the path: {without}")));
    }
    Ok(base)
}

#[cfg(test)]
mod tests;
