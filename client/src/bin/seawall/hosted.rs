//! A registry in a directory, hosted by this process on a loopback port and opened by a token
//! that nobody else knows.

use std::path::Path;

use seawall::error::ErrorKind;
use seawall::registry::Token;
use seawall_server::config::Absent;
use seawall_server::tokens::InvalidTokens;
use seawall_server::{Config, Running, StartError};

use crate::connect::Missing;
use crate::report::Failure;

/// A running registry.
pub(crate) struct Hosted {
    running: Running,
}

impl From<Running> for Hosted {
    fn from(running: Running) -> Self {
        Self { running }
    }
}

impl Hosted {
    /// Starts a registry over `dir`.
    pub(crate) async fn start(dir: &Path, missing: Missing) -> Result<Self, Failure> {
        let absent = match missing {
            Missing::Create => Absent::Create,
            Missing::Refuse => Absent::Refuse,
        };
        let config = Config { absent, ..Config::in_process(dir) };
        let running = seawall_server::start(config).await.map_err(|e| refused(&e))?;
        Ok(Self { running })
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.running.addr())
    }

    /// The token that opens it.
    pub(crate) fn token(&self) -> Result<Token, Failure> {
        let token = self.running.token().unwrap_or_default();
        Token::parse(token).map_err(|error| Failure::internal(error.to_string()))
    }

    /// Lets requests in flight end and stops.
    pub(crate) async fn stop(self) {
        // Every answer that mattered has arrived: how it stops changes nothing for the command.
        if let Err(error) = self.running.stop().await {
            tracing::warn!(%error, "the hosted registry stopped badly");
        }
    }
}

/// Why a registry does not start, for `serve` and for directories alike.
pub(crate) fn refused(error: &StartError) -> Failure {
    let kind = match error {
        StartError::Tokens(InvalidTokens::Io { source, .. }) => ErrorKind::of_io(source),
        StartError::Exposed(_) | StartError::Tokens(_) | StartError::Listen { .. } => {
            ErrorKind::InvalidInput
        }
        StartError::NoRegistry { .. } => ErrorKind::NotFound,
        StartError::NotEmpty { .. } | StartError::Suspect { .. } => ErrorKind::Conflict,
        StartError::Store(error) => error.kind(),
        StartError::Catalog { source, .. } => source.kind(),
        StartError::DataDir { path, source } => {
            return Failure::io(&format!("cannot use data directory {}", path.display()), source)
                .with_remedy("name a directory that this user may write to");
        }
        _ => ErrorKind::Unavailable,
    };
    Failure::new(kind, error, error.remedy())
}
