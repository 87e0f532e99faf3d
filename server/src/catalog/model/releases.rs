//! Applications and releases.

use seawall_api::digest::{DescriptorDigest, IndexDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, MachineName, Version};

use super::audit::Excess;
use crate::catalog::id::LeaseId;

/// An application and a summary of its releases.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Application {
    /// The application's name.
    pub name: ApplicationName,
    /// Time of the first publication, in seconds since 1970-01-01 UTC.
    pub created_at_secs: u64,
    /// The number of releases, deleted ones excluded.
    pub release_count: u64,
    /// The version of the newest release.
    pub newest: Option<Version>,
}

/// A published release.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Release {
    /// The application of the release.
    pub application: ApplicationName,
    /// The version of the release.
    pub version: Version,
    /// The digest of the release document.
    pub digest: ReleaseDigest,
    /// The machines of the release.
    pub machines: Vec<MachineName>,
    /// Time of publication, in seconds since 1970-01-01 UTC.
    pub published_at_secs: u64,
    /// The name of the publishing token; empty without authentication.
    pub published_by: String,
    /// Sum of the lengths of the disks, in bytes.
    pub disk_bytes: u64,
    /// Sum of the data on the disks, in bytes.
    pub data_bytes: u64,
}

/// The total length of machine names, in bytes, after which a listing of releases ends. One release
/// may have tens of thousands of machines.
pub const LISTED_NAMES_LEN_MAX: usize = 1 << 20;

impl Release {
    /// Returns the total length of the machine names, in bytes.
    #[must_use]
    pub fn names_len(&self) -> usize {
        self.machines.iter().map(|name| name.as_str().len()).sum()
    }
}

/// A request to publish a release and end the lease of its push.
#[derive(Clone, Debug)]
pub struct NewRelease {
    /// The release.
    pub release: Release,
    /// The indexes of the release, each once.
    pub indexes: Vec<IndexDigest>,
    /// The original descriptors of the release.
    pub descriptors: Vec<DescriptorDigest>,
    /// The lease of the push, which must be alive at `now_secs`.
    pub lease: LeaseId,
    /// Time of this request, in seconds since 1970-01-01 UTC. Later than
    /// `release.published_at_secs` if sweeps made the caller retry.
    pub now_secs: u64,
    /// The `sweeps` of the lease's grip, read before the release document was stored.
    pub sweeps: Option<u64>,
}

/// The outcome of a [`NewRelease`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Publication {
    /// The release is published.
    Created,
    /// The release was published before.
    AlreadyPresent,
    /// The version belongs to another release.
    VersionTaken(ReleaseDigest),
    /// The lease is not alive.
    LeaseEnded,
    /// An index of the release is missing.
    IndexMissing(IndexDigest),
    /// The release would exceed the quota of its application.
    QuotaExceeded(Excess),
    /// A descriptor of the release is condemned.
    DescriptorMissing(DescriptorDigest),
    /// A sweep may have removed the release document. The caller stores it again and retries.
    Swept,
    /// The version was deleted at this time, in seconds since 1970-01-01 UTC, and is never reused.
    Deleted(u64),
}
