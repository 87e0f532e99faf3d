//! Why the catalog failed.

use seawall_store::error::ErrorKind;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What to do about a catalog that does not say what the store says.
pub const REBUILD: &str = "stop the registry, move catalog.sqlite* aside and start it again: the \
                           catalog is rebuilt from the store";

/// What keeps a catalog from being written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Barrier {
    /// This user may not write its files, or the disk is mounted to be read.
    Denied,
    /// The disk has no room, not even for what a deletion takes.
    Full,
}

impl Barrier {
    /// Why nothing is written, as a clause.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "its directory cannot be written by this user, or is mounted read-only",
            Self::Full => "its disk is full",
        }
    }
}

/// Why a catalog operation failed.
#[derive(Debug, thiserror::Error)]
#[error("the catalog cannot {action}")]
pub struct CatalogError {
    kind: ErrorKind,
    action: &'static str,
    source: Source,
    barrier: Option<Barrier>,
}

impl CatalogError {
    /// The refusal to do `action` in a catalog that is only read.
    pub fn read_only(action: &'static str, barrier: Barrier) -> Self {
        let kind = match barrier {
            Barrier::Denied => ErrorKind::Denied,
            Barrier::Full => ErrorKind::StorageFull,
        };
        Self { kind, action, source: barrier.as_str().into(), barrier: Some(barrier) }
    }

    /// What was tried.
    #[must_use]
    pub fn action(&self) -> &'static str {
        self.action
    }

    /// Why the catalog is only read, where it is.
    #[must_use]
    pub fn barrier(&self) -> Option<Barrier> {
        self.barrier
    }

    /// A failure to do `action` with the engine's own reason.
    pub fn new(kind: ErrorKind, action: &'static str, source: impl Into<Source>) -> Self {
        Self { kind, action, source: source.into(), barrier: None }
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
            ErrorKind::Unavailable => Some("run the command again in a moment".to_owned()),
            _ => None,
        }
    }
}
