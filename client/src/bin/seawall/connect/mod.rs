//! Opens a registry over HTTP. A registry in a directory is hosted in this process and reached over
//! HTTP as well, so that there is one code path.

pub(crate) mod depot;
#[cfg(feature = "server")]
pub(crate) mod hosted;

use std::path::Path;
use std::sync::Arc;

use seawall::depot::Depot;
use seawall::error::ErrorKind;
use seawall::progress::Progress;
use seawall::registry::http::Timeouts;
use seawall::registry::{HttpRegistry, Registry, RegistryError, RetryPolicy, Token};

use self::depot::DepotAt;
use crate::config::{Location, Settings, is_in_the_clear};
use crate::failure::{Failure, plain};
use crate::output::tell;

/// The handling of a directory without a registry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Missing {
    /// Create a registry if the directory is empty or absent; for a push.
    Create,
    /// Fail: the name is probably mistyped.
    Refuse,
}

/// An open registry.
pub(crate) struct Connection {
    registry: Arc<dyn Registry>,
    /// The depot that this process writes to.
    written: Option<Arc<Depot>>,
    #[cfg(feature = "server")]
    hosted: Option<crate::connect::hosted::Hosted>,
}

impl From<Arc<Depot>> for Connection {
    fn from(depot: Arc<Depot>) -> Self {
        Self {
            registry: depot,
            written: None,
            #[cfg(feature = "server")]
            hosted: None,
        }
    }
}

impl Connection {
    /// Opens the registry, or a depot to read it.
    pub(crate) async fn open(
        settings: Settings,
        missing: Missing,
        progress: &Arc<dyn Progress>,
    ) -> Result<Self, Failure> {
        match settings.location {
            Location::Url(url) => {
                if let Some(depot) = depot::probe(&url, settings.token.clone()).await {
                    return Ok(depot.into());
                }
                Ok(Self {
                    registry: over_http(&url, settings.token, progress)?,
                    written: None,
                    #[cfg(feature = "server")]
                    hosted: None,
                })
            }
            Location::Depot(at) if missing == Missing::Create => Err(Failure::usage(
                format!("{} is a depot, which only a copy writes to", at.address()),
                format!("push to a registry, then `seawall copy REF --to {}`", at.address()),
            )),
            Location::Depot(at) => Ok(at.open(settings.token).await?.into()),
            Location::Directory(dir) => Self::host(&dir, missing, progress).await,
        }
    }

    #[cfg(feature = "server")]
    async fn host(
        dir: &Path,
        missing: Missing,
        progress: &Arc<dyn Progress>,
    ) -> Result<Self, Failure> {
        let hosted = crate::connect::hosted::Hosted::start(dir, missing).await?;
        let registry = over_http(&hosted.url(), Some(hosted.token()?), progress)?;
        Ok(Self { registry, written: None, hosted: Some(hosted) })
    }

    #[cfg(not(feature = "server"))]
    async fn host(_: &Path, _: Missing, _: &Arc<dyn Progress>) -> Result<Self, Failure> {
        Err(Failure::usage(
            "this `seawall` was built without the server, so no directory can be a registry",
            "name a registry by its address, or build with the feature `server`",
        ))
    }

    /// Opens a depot to write to it as the mirror of a registry's address.
    pub(crate) async fn to_depot(
        at: &DepotAt,
        missing: Missing,
        mirror: &str,
    ) -> Result<Self, Failure> {
        let depot = match missing {
            Missing::Create => at.create(mirror).await?,
            Missing::Refuse => at.planned(mirror).await?,
        };
        Ok(Self { written: Some(Arc::clone(&depot)), ..depot.into() })
    }

    /// Returns the registry.
    pub(crate) fn registry(&self) -> Arc<dyn Registry> {
        self.registry.clone()
    }

    /// Returns the depot that this process writes to.
    pub(crate) fn depot(&self) -> Option<Arc<Depot>> {
        self.written.clone()
    }

    /// Ends the writes to a depot, and stops the registry if [`Self::open`] started one in this
    /// process.
    pub(crate) async fn close(self) {
        if let Some(depot) = &self.written
            && let Err(error) = depot.end().await
        {
            // The next copy finds the mark of this one, and looks for what it left behind.
            tracing::warn!(%error, "the mark of this copy stays in the depot");
        }
        #[cfg(feature = "server")]
        if let Some(hosted) = self.hosted {
            hosted.stop().await;
        }
    }
}

/// Returns a client of the registry at an address. Only its first retry is reported through
/// `progress`.
pub(crate) fn over_http(
    url: &str,
    token: Option<Token>,
    progress: &Arc<dyn Progress>,
) -> Result<Arc<dyn Registry>, Failure> {
    if token.is_some() && is_in_the_clear(url) {
        // Not refused: a layer below may encrypt the traffic, and the user wrote http://
        // deliberately.
        tell(format_args!(
            "warning: the token for {} is sent unencrypted; serve the registry behind TLS and name \
             it by https://",
            plain(url)
        ));
    }
    let registry = HttpRegistry::new(url, token, Timeouts::default()).map_err(|error| {
        let remedy = "write it as https://registry.example or http://127.0.0.1:7440".to_owned();
        Failure::new(ErrorKind::InvalidInput, &error, Some(remedy))
    })?;
    let progress = Arc::clone(progress);
    let tell = move |error: &RegistryError| {
        let causes = Failure::new(error.kind(), error, None).on_one_line();
        progress.note(&format!("{causes}; retrying"));
    };
    Ok(Arc::new(registry.retrying(RetryPolicy::default(), tell)))
}
