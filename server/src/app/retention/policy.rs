//! Policies: what keeps releases.

use seawall_api::names::ChannelName;
use serde::{Deserialize, Serialize};

use crate::app::AppError;

/// The largest count of a rule.
const COUNT_MAX: u32 = 1_000_000;
/// The longest time of a rule, in seconds: a hundred years.
const AGE_SECS_MAX: u64 = 100 * 366 * 24 * 3600;
/// The longest time that a silent host counts, in seconds: then the registry forgets it.
const EXPIRED_HOSTS_SECS_MAX: u64 = 366 * 24 * 3600;
/// How long a silent host counts where no policy says so, in seconds: 30 days.
const EXPIRED_HOSTS_SECS: u64 = 30 * 24 * 3600;

/// What keeps releases, each rule on its own. This is also its text at rest.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Policy {
    /// The newest this many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_last: Option<u32>,
    /// The newest this many prereleases, which `keep_last` then does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_last_prereleases: Option<u32>,
    /// Those published less than this many seconds ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_younger_secs: Option<u64>,
    /// Those that a channel left less than this many seconds ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_superseded_secs: Option<u64>,
    /// How long a host counts after its deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_expired_hosts_secs: Option<u64>,
}

impl Policy {
    /// Whether it says nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it decides on releases: one without a rule that keeps lets none go.
    #[must_use]
    pub(super) fn decides(&self) -> bool {
        self.keep_last.is_some()
            || self.keep_younger_secs.is_some()
            || self.keep_superseded_secs.is_some()
    }

    /// Proves that its numbers are within their limits.
    pub(super) fn check(&self) -> Result<(), AppError> {
        let rule = |text: String| Err(AppError::rule(text));
        for (name, count) in
            [("keepLast", self.keep_last), ("keepLastPrereleases", self.keep_last_prereleases)]
        {
            if count.is_some_and(|count| !(1..=COUNT_MAX).contains(&count)) {
                return rule(format!("{name} is 1 to {COUNT_MAX}"));
            }
        }
        if self.keep_last_prereleases.is_some() && self.keep_last.is_none() {
            return rule("keepLastPrereleases stands beside keepLast, not alone".to_owned());
        }
        for (name, secs, secs_max) in [
            ("keepYoungerSecs", self.keep_younger_secs, AGE_SECS_MAX),
            ("keepSupersededSecs", self.keep_superseded_secs, AGE_SECS_MAX),
            ("keepExpiredHostsSecs", self.keep_expired_hosts_secs, EXPIRED_HOSTS_SECS_MAX),
        ] {
            if secs.is_some_and(|secs| secs > secs_max) {
                return rule(format!("{name} is 0 to {secs_max} seconds"));
            }
        }
        Ok(())
    }

    /// Its text at rest.
    pub(super) fn encode(&self) -> String {
        // Numbers: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`Self::encode`] writes.
    pub(super) fn decode(text: &str) -> Result<Self, AppError> {
        serde_json::from_str(text).map_err(|error| AppError::Internal {
            action: "read a retention policy",
            source: error.into(),
        })
    }
}

/// The policies of an application.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Policies {
    /// For all of its releases.
    pub application: Option<Policy>,
    /// For those that a channel pointed at.
    pub channels: Vec<(ChannelName, Policy)>,
}

impl Policies {
    /// How long a host counts after its deadline: the longest that a policy says.
    pub(super) fn expired_hosts_secs(&self) -> u64 {
        let all = self.application.iter().chain(self.channels.iter().map(|(_, policy)| policy));
        all.filter_map(|policy| policy.keep_expired_hosts_secs).max().unwrap_or(EXPIRED_HOSTS_SECS)
    }
}
