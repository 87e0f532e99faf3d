//! A registry in a directory, hosted by this process on a loopback port behind a token known only
//! to this process.

use std::path::Path;

use seawall::error::ErrorKind;
use seawall::registry::Token;
use seawall_server::config::Absent;
use seawall_server::tokens::InvalidTokens;
use seawall_server::{Config, Running, StartError};

use crate::connect::Missing;
use crate::failure::Failure;

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

    /// Returns the registry's address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.running.addr())
    }

    /// Returns the token to send to the registry.
    pub(crate) fn token(&self) -> Result<Token, Failure> {
        let token = self.running.token().unwrap_or_default();
        Token::parse(token).map_err(|error| Failure::internal(error.to_string()))
    }

    /// Stops the registry once requests in flight have ended.
    pub(crate) async fn stop(self) {
        // Every answer that matters has arrived, so a failed stop does not fail the command.
        if let Err(error) = self.running.stop().await {
            tracing::warn!(%error, "the hosted registry did not stop cleanly");
        }
    }
}

/// Converts the error of a registry that does not start, in `serve` or in a directory.
pub(crate) fn refused(error: &StartError) -> Failure {
    let kind = match error {
        StartError::Tokens(InvalidTokens::Io { source, .. }) => ErrorKind::of_io(source),
        StartError::Exposed(_) | StartError::Tokens(_) | StartError::Listen { .. } => {
            ErrorKind::InvalidInput
        }
        StartError::NoRegistry { .. } => ErrorKind::NotFound,
        StartError::NotEmpty { .. }
        | StartError::Suspect { .. }
        | StartError::OwnStore { .. }
        | StartError::Foreign { .. }
        | StartError::Unclaimed { .. }
        | StartError::StoreElsewhere { .. }
        | StartError::Moved { .. }
        | StartError::Arriving { .. }
        | StartError::MovingElsewhere { .. }
        | StartError::NotMoving
        | StartError::Occupied { .. } => ErrorKind::Conflict,
        StartError::Bucket(_) | StartError::SamePlace { .. } => ErrorKind::InvalidInput,
        StartError::RowsDiffer { .. } => ErrorKind::Internal,
        StartError::Database { source, .. } => source.kind(),
        StartError::Upstream(_) => ErrorKind::InvalidInput,
        StartError::Store(error) | StartError::Cache(error) => error.kind(),
        StartError::Catalog { source, .. } => source.kind(),
        StartError::DataDir { path, source } => {
            return Failure::io(&format!("cannot use data directory {}", path.display()), source)
                .with_remedy("name a directory that this user may write to");
        }
        _ => ErrorKind::Unavailable,
    };
    Failure::new(kind, error, error.remedy())
}
