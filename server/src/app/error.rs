//! The errors of use cases.

use seawall_api::moment::rfc3339;
use seawall_api::names::{ApplicationName, TokenName};
use seawall_api::problem::Code;
use seawall_store::error::{ErrorKind, StoreError};
use seawall_store::pack::PackError;

use crate::catalog::{Barrier, CatalogError, Excess, REBUILD};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// An error of a use case. Messages name the object and never repeat their source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The object does not exist.
    #[error("{object} is not in this registry")]
    NotFound {
        /// The object, in words.
        object: String,
    },
    /// The request is malformed.
    #[error("{what}")]
    Invalid {
        /// The malformed part and its place.
        what: String,
        /// The violated rule.
        source: Option<Source>,
    },
    /// The bytes do not match their digest.
    #[error("expected {expected}, received {actual}")]
    DigestMismatch {
        /// The digest named by the request.
        expected: String,
        /// The digest of the bytes.
        actual: String,
    },
    /// The version already names another release.
    #[error("{version} already names {published}, not {offered}")]
    VersionTaken {
        /// The application and version.
        version: String,
        /// The release that the version names.
        published: String,
        /// The release that was to be published.
        offered: String,
    },
    /// The name of a token is or was in use.
    #[error("token `{name}` exists or existed")]
    NameTaken {
        /// The name.
        name: TokenName,
    },
    /// The version was deleted, and must not be reused.
    #[error("release {version} was deleted, and versions are never reused")]
    VersionDeleted {
        /// The application and version.
        version: String,
    },
    /// The requested release was deleted.
    #[error("release {version} was deleted by {by} at {}", rfc3339(*at_secs))]
    Gone {
        /// The application and version.
        version: String,
        /// The token that deleted the release.
        by: String,
        /// The time of the deletion, in seconds since 1970-01-01 UTC.
        at_secs: u64,
    },
    /// The release is held and cannot be deleted.
    #[error("release {version} cannot be deleted: {holders}")]
    Held {
        /// The application and version.
        version: String,
        /// The holders, in words.
        holders: String,
        /// The command that removes the first holder.
        remedy: String,
    },
    /// A referenced object is not present.
    #[error("{object} needs {missing}, which this registry does not hold")]
    Incomplete {
        /// The object that was sent.
        object: String,
        /// The missing object.
        missing: String,
    },
    /// The lease has ended or never existed.
    #[error("lease {lease} has ended or never existed")]
    LeaseEnded {
        /// The lease's id.
        lease: String,
    },
    /// The object changed since the caller read it.
    #[error("{object} {is_now}")]
    Stale {
        /// The object, in words.
        object: String,
        /// The command that shows the change.
        shown_by: String,
        /// The present state of the object.
        is_now: String,
    },
    /// The registry is busy with something else, and the request was not served in time.
    #[error("{what}")]
    Busy {
        /// The activity that keeps the registry busy.
        what: &'static str,
    },
    /// A new check was requested while another one runs.
    #[error("a check is already running")]
    CheckRuns,
    /// An object needed by a visible release is unreadable, so nothing may be collected.
    #[error("nothing is collected: {root} cannot be read")]
    RootUnreadable {
        /// The unreadable object.
        root: String,
        /// The error from reading the object.
        source: Box<AppError>,
    },
    /// The task was stopped on request.
    #[error("{what} was stopped")]
    Stopped {
        /// The stopped task.
        what: &'static str,
    },
    /// The task failed for a reason outside the registry.
    #[error("{why}")]
    Failed {
        /// The reason.
        why: String,
    },
    /// The process that ran the task ended.
    #[error("{what} was interrupted: the registry that ran it has ended")]
    Interrupted {
        /// The interrupted task.
        what: &'static str,
    },
    /// The response would exceed a limit.
    #[error("{what} is larger than the limit of {limit}")]
    TooLarge {
        /// The oversized response.
        what: String,
        /// The limit, with its unit.
        limit: String,
    },
    /// The application would exceed its quota.
    #[error("application {application} would have {excess}")]
    QuotaExceeded {
        /// The application.
        application: ApplicationName,
        /// The usage that would result, and the quota.
        excess: Excess,
    },
    /// A limit on the number of items is reached.
    #[error("{whose} has {limit}, the maximum")]
    LimitReached {
        /// The owner of the items.
        whose: String,
        /// The limit, with the kind of item.
        limit: String,
        /// The next step.
        remedy: &'static str,
    },
    /// The object belongs to another token.
    #[error("{object} belongs to another token")]
    OfAnother {
        /// The object, in words.
        object: String,
    },
    /// The upload would use disk space reserved for other operations.
    #[error("the registry's disk has {free} bytes free; uploads must leave {kept} free")]
    NoRoom {
        /// Free space, in bytes.
        free: u64,
        /// Space reserved from uploads, in bytes.
        kept: u64,
    },
    /// The registry is read-only.
    #[error("this registry is read-only: {}; it cannot {action}", barrier.as_str())]
    ReadOnly {
        /// The attempted action.
        action: &'static str,
        /// The reason for being read-only.
        barrier: Barrier,
    },
    /// The operation succeeded, but its record could not be written to the store.
    #[error("{done}, but the store cannot record it")]
    Unrecorded {
        /// The completed operation.
        done: String,
        /// The next step once the store can be written.
        next: &'static str,
        /// The error from writing the record.
        source: Box<StoreError>,
    },
    /// The store has a record of an event that is missing from the catalog.
    #[error("{object} is in the store but not in the catalog: the catalog is an older copy")]
    CatalogOld {
        /// The path of the record.
        object: String,
    },
    /// Bytes at rest are missing or do not match their digest.
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
    /// A defect in Seawall.
    #[error("cannot {action}")]
    Internal {
        /// The attempted action.
        action: &'static str,
        /// The cause.
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

    /// Wraps an I/O error of the file that holds a slow body.
    pub(crate) fn spool(source: std::io::Error) -> Self {
        StoreError::io("keep", "the spool file of a slow body", source).into()
    }

    /// Wraps a store error from writing a record after the catalog's commit as
    /// [`Self::Unrecorded`].
    pub(super) fn unrecorded(self, done: impl FnOnce() -> String, next: &'static str) -> Self {
        match self {
            Self::Store(source) => {
                Self::Unrecorded { done: done(), next, source: Box::new(source) }
            }
            other => other,
        }
    }

    /// Returns the problem code of the error.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound { .. } => Code::NotFound,
            Self::Invalid { .. } => Code::InvalidInput,
            Self::DigestMismatch { .. } => Code::DigestMismatch,
            Self::VersionTaken { .. } | Self::VersionDeleted { .. } => Code::VersionTaken,
            Self::NameTaken { .. } => Code::NameTaken,
            Self::Gone { .. } => Code::Gone,
            Self::Held { .. } => Code::Held,
            Self::Incomplete { .. } => Code::Incomplete,
            Self::LeaseEnded { .. } => Code::LeaseEnded,
            Self::Stale { .. } => Code::PreconditionFailed,
            Self::Busy { .. }
            | Self::Stopped { .. }
            | Self::Failed { .. }
            | Self::Interrupted { .. } => Code::Unavailable,
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
            Self::ReadOnly {
                barrier: Barrier::Standby | Barrier::Moving | Barrier::Moved, ..
            } => Code::Unavailable,
            Self::CatalogOld { .. } | Self::Damaged { .. } => Code::Damaged,
            Self::Store(error) => code_of(error.kind()),
            Self::Unrecorded { source, .. } => code_of(source.kind()),
            Self::Catalog(error) => code_of(error.kind()),
            Self::Internal { .. } => Code::Internal,
        }
    }

    /// Returns whether the store serves, but asks for fewer requests.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        match self {
            Self::Store(error) => error.is_throttled(),
            Self::Unrecorded { source, .. } => source.is_throttled(),
            Self::RootUnreadable { source, .. } => source.is_throttled(),
            _ => false,
        }
    }

    /// Returns the caller's next step, if there is one.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::VersionTaken { .. } | Self::VersionDeleted { .. } => {
                "versions are never reused: publish under another version"
            }
            Self::NameTaken { .. } => {
                "choose another name: the audit log shows names, so they are never reused"
            }
            Self::Gone { .. } => "choose another release: `seawall list` shows the remaining ones",
            Self::Held { remedy, .. } => remedy,
            Self::Incomplete { .. } => "upload the missing objects, then try again",
            Self::LeaseEnded { .. } => {
                "run the command again: it resumes and sends only what is missing"
            }
            Self::Busy { .. } => "run the command again in a moment",
            Self::CheckRuns => "wait until it completes, or stop it: `seawall fsck --stop`",
            Self::Stopped { .. } | Self::Interrupted { .. } => "start it again: it resumes",
            Self::RootUnreadable { .. } => {
                "run `seawall fsck`, then repair the reported damage, or delete the affected \
                 release"
            }
            Self::Stale { shown_by, .. } => {
                return Some(format!("run `{shown_by}` to see who changed it, then retry"));
            }
            Self::QuotaExceeded { application, .. } => {
                return Some(format!(
                    "delete unneeded releases of {application}, or raise its quota: \
                     `seawall quota {application}` shows it"
                ));
            }
            Self::LimitReached { remedy, .. } => remedy,
            Self::OfAnother { .. } => {
                "use the token that first reported this host, or a publisher's token; a publisher \
                 can also remove the host: `seawall hosts --forget HOST`"
            }
            Self::NoRoom { .. } => {
                "free space on the registry's disk (`seawall rm`, then `seawall gc`), or enlarge \
                 it; existing releases can be pulled meanwhile"
            }
            Self::ReadOnly { barrier, .. } => way_around(*barrier),
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

/// Returns the next step of a caller whom a barrier stopped.
const fn way_around(barrier: Barrier) -> &'static str {
    match barrier {
        Barrier::Full => {
            "free space on its disk: space is reserved for `seawall rm` and `seawall gc` to run; \
             existing releases can be pulled meanwhile"
        }
        Barrier::Denied => {
            "run the command as the owner of the registry, or name the registry by its address; \
             list, show, pull, verify, export and diff still work"
        }
        Barrier::Standby => {
            "promote the standby, or name the primary in `--catalog`; list, show, pull, verify, \
             export and diff still work"
        }
        Barrier::Moving => {
            "run the command again once the registry has moved, at its new address; list, show, \
             pull, verify, export and diff still work"
        }
        Barrier::Moved => {
            "run the command again at the registry's new address, which its operator knows: \
             `seawall serve` over the former place says where it moved"
        }
    }
}

/// Maps an error of a port to a problem code. Port errors are never the caller's fault, because the
/// caller's input was proven before.
fn code_of(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Damaged => Code::Damaged,
        // The machine denies access to the port, so that the operator has to act.
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
