//! Errors of the catalog.

use seawall_store::error::ErrorKind;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The remedy for a catalog that disagrees with the store.
pub const REBUILD: &str = "stop the registry, move catalog.sqlite* aside and start it again: the \
                           catalog is rebuilt from the store";

/// The condition that keeps the catalog read-only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Barrier {
    /// The catalog's files are not writable by this user, or the disk is mounted read-only.
    Denied,
    /// The disk is full: too full even for a deletion.
    Full,
}

impl Barrier {
    /// Returns the reason for the refusal to write, as a clause.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "its directory cannot be written by this user, or is mounted read-only",
            Self::Full => "its disk is full",
        }
    }
}

/// A failed catalog operation.
#[derive(Debug, thiserror::Error)]
#[error("the catalog cannot {action}")]
pub struct CatalogError {
    kind: ErrorKind,
    action: &'static str,
    source: Source,
    barrier: Option<Barrier>,
}

impl CatalogError {
    /// Returns the refusal to do `action` in a read-only catalog.
    pub fn read_only(action: &'static str, barrier: Barrier) -> Self {
        let kind = match barrier {
            Barrier::Denied => ErrorKind::Denied,
            Barrier::Full => ErrorKind::StorageFull,
        };
        Self { kind, action, source: barrier.as_str().into(), barrier: Some(barrier) }
    }

    /// Returns the operation that failed.
    #[must_use]
    pub fn action(&self) -> &'static str {
        self.action
    }

    /// Returns the barrier, if the catalog refused to write because of one.
    #[must_use]
    pub fn barrier(&self) -> Option<Barrier> {
        self.barrier
    }

    /// Returns a failure to do `action`, with the engine's error as source.
    pub fn new(kind: ErrorKind, action: &'static str, source: impl Into<Source>) -> Self {
        Self { kind, action, source: source.into(), barrier: None }
    }

    /// Returns the kind of the error, which tells the caller how to react.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the next step for the operator, if there is one.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self.kind {
            ErrorKind::StorageFull => {
                Some("free some space and try again: no change was left incomplete".to_owned())
            }
            ErrorKind::Damaged => Some(REBUILD.to_owned()),
            ErrorKind::Denied => Some(
                "check that catalog.sqlite* and the data directory exist, that the registry's \
                 user is their owner and may write there, and that the disk is not mounted \
                 read-only"
                    .to_owned(),
            ),
            ErrorKind::Unavailable => Some("run the command again in a moment".to_owned()),
            _ => None,
        }
    }
}
