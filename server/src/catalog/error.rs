//! Why the catalog failed.

use seawall_store::error::ErrorKind;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What to do about a catalog that does not say what the store says.
pub const REBUILD: &str = "stop the registry, move catalog.sqlite* aside and start it again: the \
                           catalog is rebuilt from the store";

/// Why a catalog operation failed.
#[derive(Debug, thiserror::Error)]
#[error("the catalog cannot {action}")]
pub struct CatalogError {
    kind: ErrorKind,
    action: &'static str,
    source: Source,
}

impl CatalogError {
    /// A failure to do `action` with the engine's own reason.
    pub fn new(kind: ErrorKind, action: &'static str, source: impl Into<Source>) -> Self {
        Self { kind, action, source: source.into() }
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The operator's next step.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self.kind {
            ErrorKind::StorageFull => {
                Some("free some space and try again: nothing is half done".to_owned())
            }
            ErrorKind::Damaged => Some(REBUILD.to_owned()),
            ErrorKind::Denied => Some(
                "see that catalog.sqlite* and the data directory exist, that the registry's user \
                 is their owner and may write there, and that the disk is not mounted read-only"
                    .to_owned(),
            ),
            ErrorKind::Unavailable => Some("try again in a moment".to_owned()),
            _ => None,
        }
    }
}
