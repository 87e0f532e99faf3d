//! Opens the registry that was named: over HTTP, or hosted in this process and then over HTTP,
//! too, so that there is one code path.

use std::path::Path;
use std::sync::Arc;

use seawall::error::ErrorKind;
use seawall::progress::Progress;
use seawall::registry::http::Timeouts;
use seawall::registry::{HttpRegistry, Registry, RegistryError, Retry, RetryPolicy, Token};

use crate::config::{Location, Settings};
use crate::report::Failure;

/// Whether a directory that is not there is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Missing {
    /// Made: the command writes.
    Create,
    /// An error: the command only reads, and the name is likely mistyped.
    Refuse,
}

/// An open registry.
pub(crate) struct Connection {
    registry: Arc<dyn Registry>,
    #[cfg(feature = "server")]
    hosted: Option<crate::hosted::Hosted>,
}

impl Connection {
    /// Opens the registry.
    pub(crate) async fn open(
        settings: Settings,
        missing: Missing,
        progress: &Arc<dyn Progress>,
    ) -> Result<Self, Failure> {
        match settings.location {
            Location::Url(url) => Ok(Self {
                registry: over_http(&url, settings.token, progress)?,
                #[cfg(feature = "server")]
                hosted: None,
            }),
            Location::Directory(dir) => {
                if missing == Missing::Refuse && !dir.is_dir() {
                    let what = format!("there is no registry at {}", dir.display());
                    let remedy = "check --registry; a push creates the directory";
                    return Err(Failure::usage(what, remedy).of_kind(ErrorKind::NotFound));
                }
                Self::host(&dir, progress).await
            }
        }
    }

    #[cfg(feature = "server")]
    async fn host(dir: &Path, progress: &Arc<dyn Progress>) -> Result<Self, Failure> {
        let hosted = crate::hosted::Hosted::start(dir).await?;
        let registry = over_http(&hosted.url(), Some(hosted.token()?), progress)?;
        Ok(Self { registry, hosted: Some(hosted) })
    }

    #[cfg(not(feature = "server"))]
    async fn host(_: &Path, _: &Arc<dyn Progress>) -> Result<Self, Failure> {
        Err(Failure::usage(
            "this `seawall` was built without the server, so no directory can be a registry",
            "name a registry by its address, or build with the feature `server`",
        ))
    }

    /// The registry.
    pub(crate) fn registry(&self) -> Arc<dyn Registry> {
        self.registry.clone()
    }

    /// Ends what [`Self::open`] began.
    pub(crate) async fn close(self) {
        #[cfg(feature = "server")]
        if let Some(hosted) = self.hosted {
            hosted.stop().await;
        }
    }
}

/// A registry at an address. That it is asked again is said once.
pub(crate) fn over_http(
    url: &str,
    token: Option<Token>,
    progress: &Arc<dyn Progress>,
) -> Result<Arc<dyn Registry>, Failure> {
    let registry = HttpRegistry::new(url, token, Timeouts::default()).map_err(|error| {
        let remedy = "write it as https://registry.example or http://127.0.0.1:7440".to_owned();
        Failure::new(ErrorKind::InvalidInput, &error, Some(remedy))
    })?;
    let progress = Arc::clone(progress);
    let tell = move |error: &RegistryError| {
        let causes = Failure::new(error.kind(), error, None).on_one_line();
        progress.note(&format!("{causes}; asking again"));
    };
    Ok(Arc::new(Retry::new(registry, RetryPolicy::default()).telling(tell)))
}
