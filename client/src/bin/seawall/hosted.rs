//! A registry in a directory, hosted by this process on a loopback port that nobody else can use.

use std::path::Path;

use seawall::registry::Token;

use crate::report::Failure;

/// A running registry.
pub(crate) struct Hosted {
    url: String,
    token: String,
}

impl Hosted {
    /// Starts a registry over `dir`.
    pub(crate) async fn start(dir: &Path) -> Result<Self, Failure> {
        Err(Failure::internal(format!("hosting {} is not built yet", dir.display())))
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The token that it accepts, and nobody but this process knows.
    pub(crate) fn token(&self) -> Result<Token, Failure> {
        Token::parse(&self.token).map_err(|error| Failure::internal(error.to_string()))
    }

    /// Lets requests in flight end and stops.
    pub(crate) async fn stop(self) {}
}
