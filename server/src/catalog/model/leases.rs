//! Leases of pushes and pulls.

use seawall_api::names::ApplicationName;

use super::audit::LeaseLoad;
use super::collect::Grip;
use crate::catalog::id::LeaseId;

/// The purpose of a lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Pushing a release and publishing it.
    Push,
    /// Reading a release. Nothing that the release needs is swept meanwhile.
    Pull,
}

/// The maximum number of open leases of one token, which bounds its concurrent pulls and pushes.
pub const LEASES_PER_TOKEN_MAX: u32 = 4096;
/// The maximum number of open leases of all tokens together.
pub const LEASES_MAX: u32 = 65_536;
/// The age up to which a pull lease can be renewed, in seconds. A collection waits for older
/// leases; a longer pull opens another lease.
pub const PULL_LEASE_AGE_MAX_SECS: u64 = 24 * 3600;

/// The outcome of opening a lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaseOpened {
    /// The lease is open.
    Done,
    /// The token has [`LEASES_PER_TOKEN_MAX`] open leases.
    TooManyOfToken,
    /// The registry has [`LEASES_MAX`] open leases.
    TooMany,
}

/// A lease to be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewLease {
    /// The id of the lease.
    pub id: LeaseId,
    /// The application to push to or pull from.
    pub application: ApplicationName,
    /// The purpose of the lease.
    pub purpose: Purpose,
    /// End of the lease, in seconds since 1970-01-01 UTC.
    pub deadline_secs: u64,
    /// The name of the token that opens the lease; empty without authentication.
    pub opened_by: String,
}

/// The right of a push or a pull to rely on content until a deadline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The id of the lease.
    pub id: LeaseId,
    /// The application to push to or pull from.
    pub application: ApplicationName,
    /// The purpose of the lease.
    pub purpose: Purpose,
    /// End of the lease, in seconds since 1970-01-01 UTC.
    pub deadline_secs: u64,
    /// The content that may be relied on under this lease, as of when the lease was read.
    pub grip: Grip,
    /// True if objects may have been stored under the lease that no release reaches yet.
    pub has_kept: bool,
}

/// The time of a use of a lease, which renews the lease if enough of its validity has elapsed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Renewal {
    /// Time of the use, in seconds since 1970-01-01 UTC.
    pub now_secs: u64,
    /// Validity of a lease after it is opened or renewed, in seconds.
    pub ttl_secs: u64,
}

impl Renewal {
    /// The minimum elapsed time before a use renews a lease, in seconds. Each renewal costs a sync
    /// of the disk.
    const AFTER_SECS: u64 = 60;

    /// Returns the deadline of a lease renewed by this use, in seconds since 1970-01-01 UTC.
    #[must_use]
    pub fn deadline_secs(self) -> u64 {
        self.now_secs.saturating_add(self.ttl_secs)
    }

    /// Returns whether this use renews a lease that ends at `deadline_secs`.
    #[must_use]
    pub fn is_due(self, deadline_secs: u64) -> bool {
        let left_secs = deadline_secs.saturating_sub(self.now_secs);
        left_secs + Self::AFTER_SECS.min(self.ttl_secs / 4) <= self.ttl_secs
    }
}

/// The answer to a request to store an object under a lease.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admission {
    /// The lease, as it was before this use.
    pub lease: Lease,
    /// The data stored under the lease so far; `None` if its application has no quota of data.
    pub load: Option<LeaseLoad>,
}
