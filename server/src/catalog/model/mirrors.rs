//! Mirrors: standing orders to copy releases from or to another registry.

use std::fmt;

use seawall_api::names::{ApplicationPattern, ChannelName, MirrorName};
pub use seawall_api::v1::MirrorDirection as Direction;

use super::jobs::Job;

/// The token for another registry. Stored in plain text, because requests carry it.
#[derive(Clone, PartialEq, Eq)]
pub struct MirrorToken(String);

impl MirrorToken {
    /// Takes a token. The caller checks its form.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the token itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for MirrorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MirrorToken(…)")
    }
}

/// A mirror.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mirror {
    /// The name.
    pub name: MirrorName,
    /// The direction.
    pub direction: Direction,
    /// The URL of the other registry.
    pub url: String,
    /// The token for the other registry.
    pub token: Option<MirrorToken>,
    /// The applications to copy, at least one pattern.
    pub applications: Vec<ApplicationPattern>,
    /// The channels to copy; empty for all channels and all releases.
    pub channels: Vec<ChannelName>,
    /// The interval between the starts of runs, in seconds.
    pub every_secs: u64,
    /// The maximum rate of copied data, in stored bytes per second.
    pub bytes_per_sec_max: Option<u64>,
    /// True to delete releases in the target that were deleted in the source.
    pub deletes: bool,
    /// True to move channels in the target that something else than this mirror moved.
    pub overrides_channels: bool,
    /// The number of requests for a run so far.
    pub request_count: u64,
    /// Time the mirror was added, in seconds since 1970-01-01 UTC.
    pub created_at_secs: u64,
    /// The name of the token that added the mirror; empty without authentication.
    pub created_by: String,
}

/// A mirror with its newest job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MirrorRow {
    /// The mirror.
    pub mirror: Mirror,
    /// The newest job.
    pub job: Option<Job>,
}

/// The outcome of adding a mirror.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MirrorAdded {
    /// The mirror was added.
    Done,
    /// There is a mirror of this name.
    NameTaken,
    /// The registry already has the maximum number of mirrors, given here.
    TooMany(u32),
}
