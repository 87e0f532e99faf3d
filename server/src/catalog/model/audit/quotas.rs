//! Quotas of applications.

use std::fmt;

use seawall_api::units::Counted;

/// The limits of an application. `None` means no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Quota {
    /// Limit of the data on the disks of all its releases, in bytes.
    pub data_bytes_max: Option<u64>,
    /// Limit of the number of releases.
    pub release_count_max: Option<u64>,
}

/// The usage of an application.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Data on the disks of all its releases, in bytes; each release counts in full.
    pub data_bytes: u64,
    /// The number of releases.
    pub release_count: u64,
}

/// The quota of an application and its usage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QuotaState {
    /// The limits.
    pub quota: Quota,
    /// The usage.
    pub usage: Usage,
}

/// The data of a push to an application with a quota of data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseLoad {
    /// The quota of the application and its usage.
    pub state: QuotaState,
    /// Data counted under the lease so far, in bytes.
    pub brought: u64,
    /// Decoded length of the new chunks that have no place yet, in bytes.
    pub brings: u64,
}

/// A limit that would be exceeded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Excess {
    /// The limit of data.
    DataBytes {
        /// Data that would be used, in bytes.
        would_be: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The limit of the number of releases.
    ReleaseCount {
        /// The number of releases there would be.
        would_be: u64,
        /// The limit.
        limit: u64,
    },
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataBytes { would_be, limit } => {
                write!(f, "{would_be} bytes of disk data, and its quota is {limit}")
            }
            Self::ReleaseCount { would_be, limit } => {
                write!(f, "{}, and its quota is {limit}", Counted(*would_be, "release"))
            }
        }
    }
}

impl QuotaState {
    /// Returns the limit exceeded by another release with this much data, if any.
    #[must_use]
    pub fn excess(&self, data_bytes: u64) -> Option<Excess> {
        let would_be = self.usage.release_count.saturating_add(1);
        if let Some(limit) = self.quota.release_count_max.filter(|limit| would_be > *limit) {
            return Some(Excess::ReleaseCount { would_be, limit });
        }
        self.data_excess(data_bytes)
    }

    /// Returns the excess of data after adding this much more, if any.
    #[must_use]
    pub fn data_excess(&self, data_bytes: u64) -> Option<Excess> {
        let would_be = self.usage.data_bytes.saturating_add(data_bytes);
        let limit = self.quota.data_bytes_max.filter(|limit| would_be > *limit)?;
        Some(Excess::DataBytes { would_be, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_equal_to_the_quota_is_no_excess() {
        let usage = Usage { data_bytes: 60, release_count: 2 };
        let state = |data_bytes_max, release_count_max| QuotaState {
            quota: Quota { data_bytes_max, release_count_max },
            usage,
        };
        assert_eq!(state(None, None).excess(u64::MAX), None);
        assert_eq!(state(Some(100), Some(3)).excess(40), None);
        let excess = Some(Excess::DataBytes { would_be: 101, limit: 100 });
        assert_eq!(state(Some(100), Some(3)).excess(41), excess);
        let excess = Some(Excess::ReleaseCount { would_be: 3, limit: 2 });
        assert_eq!(state(Some(100), Some(2)).excess(0), excess);
    }
}
