//! The registry over HTTP, version 1 of its API.
//!
//! Each method of [`ports`] sends one request. [`transport`] sends it, [`path`] builds its address
//! and [`proof`] checks that the answer matches the question.
//!
//! # Retries
//!
//! A push can be retried, publishing included, because every object is named by digest. A lease
//! opened by a lost attempt is never used and expires. The calls that the port's contracts except
//! from idempotence are marked `Call::once`: if the first answer to a move of a channel is lost,
//! the repeat finds the channel moved and reports a conflict.
//!
//! # Limits
//!
//! | subject | limit | error past it |
//! |---|---|---|
//! | a JSON answer | [`JSON_LEN_MAX`] | [`RegistryError::TooLarge`](super::RegistryError) |
//! | a release, index, leaf | the format's own | the same |
//! | a range of a pack | its length, exactly | `Protocol` |
//! | a connection that stands still | [`Timeouts`] | `Stalled` |
//! | redirects, of GET and HEAD only | [`REDIRECTS_MAX`] | `Protocol` |

mod calls;
mod files;
mod path;
mod ports;
pub(crate) mod proof;
mod token;
mod transport;

use std::time::Duration;

use reqwest::Url;

use super::RegistryError;
pub use token::{InvalidToken, Token, TokenError};
use transport::Transport;
use transport::retry::Retry;
pub use transport::retry::RetryPolicy;

/// The longest JSON answer in bytes: the locations of as many chunks as one request may name.
pub const JSON_LEN_MAX: u64 = 32 << 20;
/// The longest problem document that is read, in bytes.
pub const PROBLEM_LEN_MAX: u64 = 64 << 10;
/// The maximum number of redirects that a GET follows.
pub const REDIRECTS_MAX: usize = 3;
/// The maximum number of idle connections kept for later requests.
const IDLE_CONNECTIONS_MAX: usize = 16;
/// The idle time after which a connection is closed.
const IDLE_CONNECTION_TIME_MAX: Duration = Duration::from_secs(15);

/// Limits on the time without progress. A transfer that moves has no limit.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// The limit for opening a connection.
    pub connect: Duration,
    /// The limit between two pieces of a body, and from the end of a request to the start of its
    /// answer.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        // Publishing a large release is one silent wait for the server's proof.
        Self { connect: Duration::from_secs(10), idle: Duration::from_secs(120) }
    }
}

/// The error of a text that is not the address of a registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` is not a registry's address: {why}")]
pub struct InvalidUrl {
    /// The text, with control characters escaped. The host alone if the text holds a password.
    pub url: String,
    /// The defect of the text.
    pub why: String,
}

/// A registry reached over HTTP.
pub struct HttpRegistry {
    transport: Transport,
}

impl HttpRegistry {
    /// Returns a registry at `url`, with the bearer token `token` if given. Connects on first use.
    ///
    /// # Errors
    /// Fails if `url` is not plain `http://` or `https://` with a host, or the HTTP client cannot
    /// be built.
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

    /// Retries idempotent calls after transient failures, which are not retried otherwise. Calls
    /// `hear` with the error before the first retry, once in the life of this registry.
    #[must_use]
    pub fn retrying(
        mut self,
        policy: RetryPolicy,
        hear: impl Fn(&RegistryError) + Send + Sync + 'static,
    ) -> Self {
        self.transport.retry = Retry::new(policy, hear);
        self
    }

    /// Returns the address of the registry.
    #[must_use]
    pub fn url(&self) -> &str {
        self.transport.address()
    }
}

/// Returns the innermost cause. The outer errors of a client that cannot be built are generic.
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
        return Err(bad("it must begin with http:// or https://"));
    }
    if !base.username().is_empty() || base.password().is_some() {
        // Only the host: the text holds a password.
        let why = "it contains a user or password; give a token with --token-file instead";
        return Err(InvalidUrl {
            url: base.host_str().unwrap_or("…").to_owned(), why: why.into()
        });
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(bad("it has a `?` or `#` part"));
    }
    // The client adds the version itself, so that an address outlives version 1.
    if base.path_segments().and_then(|mut it| it.rfind(|part| !part.is_empty())) == Some("v1") {
        let without = base.as_str().trim_end_matches('/').trim_end_matches("/v1");
        return Err(bad(&format!("leave out the path: {without}")));
    }
    Ok(base)
}

#[cfg(test)]
pub(crate) mod tests;
