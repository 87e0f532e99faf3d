//! Why a use case failed.

use seawall_api::moment::rfc3339;
use seawall_api::names::ApplicationName;
use seawall_api::problem::Code;
use seawall_store::error::{ErrorKind, StoreError};
use seawall_store::pack::PackError;

use crate::catalog::{Barrier, CatalogError, Excess, REBUILD};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a use case failed. Messages name the object and never repeat their source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// There is no such thing.
    #[error("{object} is not in this registry")]
    NotFound {
        /// Which.
        object: String,
    },
    /// What was sent is malformed.
    #[error("{what}")]
    Invalid {
        /// What, and where.
        what: String,
        /// The rule it breaks.
        source: Option<Source>,
    },
    /// The bytes are not what their name says.
    #[error("what was sent as {expected} is {actual}")]
    DigestMismatch {
        /// The name they came under.
        expected: String,
        /// The name they have.
        actual: String,
    },
    /// A version names another release.
    #[error("{version} is {published}, not {offered}")]
    VersionTaken {
        /// The application and version.
        version: String,
        /// What it names.
        published: String,
        /// What it should have named.
        offered: String,
    },
    /// The version was deleted.
    #[error("release {version} was deleted, and a version is never used again")]
    VersionDeleted {
        /// The application and version.
        version: String,
    },
    /// What is asked for was deleted.
    #[error("release {version} was deleted by `{by}` at {}", rfc3339(*at_secs))]
    Gone {
        /// The application and version.
        version: String,
        /// Who deleted it.
        by: String,
        /// When.
        at_secs: u64,
    },
    /// A release that may not be deleted.
    #[error("release {version} stays: {holders}")]
    Held {
        /// The application and version.
        version: String,
        /// What holds it, in words.
        holders: String,
        /// What takes the first of them away, as a command.
        remedy: String,
    },
    /// Something that is relied on is not present.
    #[error("{object} needs {missing}, which this registry does not hold")]
    Incomplete {
        /// What was sent.
        object: String,
        /// What it lacks.
        missing: String,
    },
    /// The lease is not alive.
    #[error("lease {lease} has ended or never was")]
    LeaseEnded {
        /// Its name.
        lease: String,
    },
    /// The object changed since it was read.
    #[error("{object} {is_now}")]
    Stale {
        /// Which.
        object: String,
        /// The command that shows how it changed.
        shown_by: String,
        /// What it is now.
        is_now: String,
    },
    /// It is not this request's turn, and will not be soon.
    #[error("{what} now")]
    Busy {
        /// What keeps the registry busy.
        what: &'static str,
    },
    /// A check that is to begin anew meets one that runs.
    #[error("a check of the registry runs")]
    CheckRuns,
    /// What a visible release needs cannot be read, so nothing may be collected.
    #[error("nothing is collected: {root} cannot be read")]
    RootUnreadable {
        /// What.
        root: String,
        /// Why.
        source: Box<AppError>,
    },
    /// Somebody asked it to stop.
    #[error("{what} was stopped")]
    Stopped {
        /// What.
        what: &'static str,
    },
    /// The answer would be larger than the limit.
    #[error("{what} is larger than the limit of {limit}")]
    TooLarge {
        /// What.
        what: String,
        /// The limit, with its unit.
        limit: String,
    },
    /// The application would have more than it may.
    #[error("application {application} would have {excess}")]
    QuotaExceeded {
        /// Which.
        application: ApplicationName,
        /// How much it would have, and may have.
        excess: Excess,
    },
    /// Somebody has as many of something as they may.
    #[error("{whose} has {limit}, as many as it may")]
    LimitReached {
        /// Who.
        whose: String,
        /// How many, and of what.
        limit: String,
        /// The next step.
        remedy: &'static str,
    },
    /// Another token speaks for it.
    #[error("{object} is another token's")]
    OfAnother {
        /// What.
        object: String,
    },
    /// What is left of the disk is kept.
    #[error("the registry's disk has {free} bytes free, of which it keeps {kept} from uploads")]
    NoRoom {
        /// How much is left.
        free: u64,
        /// How much is kept.
        kept: u64,
    },
    /// The registry can be read and not be written.
    #[error("this registry is read-only: {}; it cannot {action}", barrier.as_str())]
    ReadOnly {
        /// What was tried.
        action: &'static str,
        /// Why not.
        barrier: Barrier,
    },
    /// It happened, and only the store could not be told.
    #[error("{done}, and the store cannot record it")]
    Unrecorded {
        /// What happened.
        done: String,
        /// What to do, once the store can be written.
        next: &'static str,
        /// Why not.
        source: Box<StoreError>,
    },
    /// The catalog does not know what happened, but the store does.
    #[error("{object} is in the store, and the catalog does not know of it: it is an older copy")]
    CatalogOld {
        /// The path of the record that tells of it.
        object: String,
    },
    /// Bytes at rest do not match their digest, or are gone.
    #[error("{object} is damaged or missing in the store")]
    Damaged {
        /// The object's path.
        object: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(CatalogError),
    /// A defect of ours.
    #[error("cannot {action}")]
    Internal {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: Source,
    },
}

impl AppError {
    pub(super) fn invalid(
        what: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Invalid { what: what.into(), source: Some(Box::new(source)) }
    }

    pub(super) fn rule(what: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), source: None }
    }

    pub(super) fn not_found(object: impl Into<String>) -> Self {
        Self::NotFound { object: object.into() }
    }

    /// What is said of a record that failed after the catalog's commit of what it tells.
    pub(super) fn unrecorded(self, done: impl FnOnce() -> String, next: &'static str) -> Self {
        match self {
            Self::Store(source) => {
                Self::Unrecorded { done: done(), next, source: Box::new(source) }
            }
            other => other,
        }
    }

    /// The row of the closed table of problems that it belongs to.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound { .. } => Code::NotFound,
            Self::Invalid { .. } => Code::InvalidInput,
            Self::DigestMismatch { .. } => Code::DigestMismatch,
            Self::VersionTaken { .. } | Self::VersionDeleted { .. } => Code::VersionTaken,
            Self::Gone { .. } => Code::Gone,
            Self::Held { .. } => Code::Held,
            Self::Incomplete { .. } => Code::Incomplete,
            Self::LeaseEnded { .. } => Code::LeaseEnded,
            Self::Stale { .. } => Code::PreconditionFailed,
            Self::Busy { .. } | Self::Stopped { .. } => Code::Unavailable,
            Self::CheckRuns => Code::CheckRuns,
            Self::RootUnreadable { source, .. } => source.code(),
            Self::TooLarge { .. } => Code::TooLarge,
            Self::QuotaExceeded { .. } => Code::QuotaExceeded,
            Self::LimitReached { .. } => Code::LimitReached,
            Self::OfAnother { .. } => Code::Denied,
            Self::NoRoom { .. } | Self::ReadOnly { barrier: Barrier::Full, .. } => {
                Code::StorageFull
            }
            Self::ReadOnly { barrier: Barrier::Denied, .. } => Code::Denied,
            Self::CatalogOld { .. } | Self::Damaged { .. } => Code::Damaged,
            Self::Store(error) => code_of(error.kind()),
            Self::Unrecorded { source, .. } => code_of(source.kind()),
            Self::Catalog(error) => code_of(error.kind()),
            Self::Internal { .. } => Code::Internal,
        }
    }

    /// The caller's next step, where there is one.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::VersionTaken { .. } | Self::VersionDeleted { .. } => {
                "a version is never used again: publish under another"
            }
            Self::Gone { .. } => "choose another release: `seawall list` shows those that are left",
            Self::Held { remedy, .. } => remedy,
            Self::Incomplete { .. } => "upload what is missing, then try again",
            Self::LeaseEnded { .. } => {
                "run the command again: it resumes and sends only what is missing"
            }
            Self::Busy { .. } => "run the command again in a moment",
            Self::CheckRuns => "wait for its end, or stop it: `seawall fsck --stop`",
            Self::Stopped { .. } => "start it again: it resumes",
            Self::RootUnreadable { .. } => {
                "run `seawall fsck`, then repair what it names, or delete the release that needs it"
            }
            Self::Stale { shown_by, .. } => {
                return Some(format!("run `{shown_by}` to see who changed it, then retry"));
            }
            Self::QuotaExceeded { application, .. } => {
                return Some(format!(
                    "delete releases of {application} that nobody needs, or raise its quota: \
                     `seawall quota {application}` shows it"
                ));
            }
            Self::LimitReached { remedy, .. } => remedy,
            Self::OfAnother { .. } => {
                "use the token that first said what the host runs, or a publisher's; a publisher \
                 can forget the host: `seawall hosts --forget HOST`"
            }
            Self::NoRoom { .. } => {
                "make room on the registry's disk (`seawall rm`, then `seawall gc`), or enlarge it; \
                 what is there can be pulled meanwhile"
            }
            Self::ReadOnly { barrier: Barrier::Full, .. } => {
                "make room on its disk: `seawall rm` and `seawall gc` have room kept for them; what \
                 is there can be pulled meanwhile"
            }
            Self::ReadOnly { barrier: Barrier::Denied, .. } => {
                "run the command as the owner of the registry, or name the registry by its address; \
                 list, show, pull, verify, export and diff work as it is"
            }
            Self::CatalogOld { .. } => REBUILD,
            Self::Damaged { .. } => {
                "push the release again from its disks, or restore the object from a copy of the \
                 registry"
            }
            Self::Unrecorded { next, source, .. } => {
                let is_full = source.kind() == ErrorKind::StorageFull;
                let room = if is_full { "free some space, then " } else { "" };
                return Some(format!("{room}{next}"));
            }
            Self::Store(error) => return error.remedy(),
            Self::Catalog(error) => return error.remedy(),
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// A failure of a port is never the caller's: what the caller sent was proven before.
fn code_of(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Damaged => Code::Damaged,
        // What a port is denied, it is denied by this machine: the operator has to mend it.
        ErrorKind::Unavailable | ErrorKind::Denied => Code::Unavailable,
        ErrorKind::StorageFull => Code::StorageFull,
        ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::InvalidInput
        | ErrorKind::Internal => Code::Internal,
    }
}

impl From<CatalogError> for AppError {
    fn from(error: CatalogError) -> Self {
        match error.barrier() {
            Some(barrier) => Self::ReadOnly { action: error.action(), barrier },
            None => Self::Catalog(error),
        }
    }
}

impl From<PackError> for AppError {
    fn from(error: PackError) -> Self {
        match error {
            PackError::Name { expected, actual } => Self::DigestMismatch {
                expected: format!("pack {expected}"),
                actual: format!("pack {actual}"),
            },
            PackError::Chunk { expected, actual } => Self::DigestMismatch {
                expected: format!("chunk {expected}"),
                actual: format!("chunk {actual}"),
            },
            other => Self::invalid("the body is not a pack", other),
        }
    }
}
