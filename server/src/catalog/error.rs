//! Errors of the catalog.

use seawall_store::error::ErrorKind;

/// The remedy for a catalog that disagrees with the store. It holds for every engine and store.
pub const REBUILD: &str = "stop every registry over this catalog and rebuild it from the store: \
                           `seawall recover DATA`, with the --store and --catalog of \
                           `seawall serve`, if any";

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The condition that keeps the catalog read-only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Barrier {
    /// The catalog's files are not writable by this user, or the disk is mounted read-only.
    Denied,
    /// The disk is full: too full even for a deletion.
    Full,
    /// The database takes no writes: it is a standby, or set to be read-only.
    Standby,
    /// The registry is being moved to another place.
    Moving,
    /// The registry was moved to another place.
    Moved,
}

impl Barrier {
    /// Returns the reason for the refusal to write, as a clause.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "its directory cannot be written by this user, or is mounted read-only",
            Self::Full => "its disk is full",
            Self::Standby => "its database is a standby, or set to be read-only",
            Self::Moving => "it is being moved to another place",
            Self::Moved => "it was moved to another place",
        }
    }
}

/// The refusal of a write by the gate of a relocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", .0.as_str())]
pub(in crate::catalog) struct Closed(pub(in crate::catalog) Barrier);

/// A failed catalog operation.
#[derive(Debug, thiserror::Error)]
#[error("the catalog cannot {action}")]
pub struct CatalogError {
    kind: ErrorKind,
    action: &'static str,
    source: Source,
    barrier: Option<Barrier>,
    remedy: Option<&'static str>,
}

impl CatalogError {
    /// Returns the refusal to do `action` in a read-only catalog.
    pub fn read_only(action: &'static str, barrier: Barrier) -> Self {
        let kind = match barrier {
            Barrier::Denied => ErrorKind::Denied,
            Barrier::Full => ErrorKind::StorageFull,
            Barrier::Standby | Barrier::Moving | Barrier::Moved => ErrorKind::Unavailable,
        };
        let source = barrier.as_str().into();
        Self { kind, action, source, barrier: Some(barrier), remedy: None }
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
        Self { kind, action, source: source.into(), barrier: None, remedy: None }
    }

    /// Returns the kind of the error, which tells the caller how to react.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Adds the next step for the operator, where it depends on the engine.
    #[must_use]
    pub fn with_remedy(self, remedy: &'static str) -> Self {
        Self { remedy: Some(remedy), ..self }
    }

    /// Returns the next step for the operator, if there is one.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        let remedy = self.remedy.or(match self.kind {
            ErrorKind::StorageFull => {
                Some("free some space and try again: no change was left incomplete")
            }
            ErrorKind::Unavailable => Some("run the command again in a moment"),
            _ => None,
        });
        remedy.map(str::to_owned)
    }
}
