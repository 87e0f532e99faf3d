//! What an application may have.

use std::fmt;

use seawall_api::units::Counted;

/// What an application may have. `None` is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Quota {
    /// The data of its releases' disks together.
    pub data_bytes_max: Option<u64>,
    /// How many releases.
    pub release_count_max: Option<u64>,
}

/// What an application has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// The data of its releases' disks together, each release counted in full.
    pub data_bytes: u64,
    /// How many releases.
    pub release_count: u64,
}

/// The two side by side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QuotaState {
    /// What it may have.
    pub quota: Quota,
    /// What it has.
    pub usage: Usage,
}

/// What a push brings to an application that has a quota of data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseLoad {
    /// The application's quota, and what is used of it.
    pub state: QuotaState,
    /// The data that the lease brought so far.
    pub brought: u64,
    /// The chunks that come now and have no place yet.
    pub brings: u64,
}

/// Which limit would be passed, with the numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Excess {
    /// More data than it may have.
    DataBytes {
        /// What it would have.
        would_be: u64,
        /// What it may have.
        limit: u64,
    },
    /// More releases than it may have.
    ReleaseCount {
        /// What it would have.
        would_be: u64,
        /// What it may have.
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
    /// The limit that another release with this much data would pass, if any.
    #[must_use]
    pub fn excess(&self, data_bytes: u64) -> Option<Excess> {
        let would_be = self.usage.release_count.saturating_add(1);
        if let Some(limit) = self.quota.release_count_max.filter(|limit| would_be > *limit) {
            return Some(Excess::ReleaseCount { would_be, limit });
        }
        self.data_excess(data_bytes)
    }

    /// The limit of data that this much more would pass, if any.
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
    fn what_just_fits_is_no_excess() {
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
