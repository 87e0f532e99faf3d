//! Retention policies.

use seawall_api::names::ChannelName;
use serde::{Deserialize, Serialize};

use crate::app::AppError;

/// The maximum count of a rule.
const COUNT_MAX: u32 = 1_000_000;
/// The maximum age in a rule, in seconds: a hundred years.
const AGE_SECS_MAX: u64 = 100 * 366 * 24 * 3600;
/// The maximum grace period of silent hosts, in seconds. The registry forgets a host after this
/// time.
const EXPIRED_HOSTS_SECS_MAX: u64 = 366 * 24 * 3600;
/// The default grace period of silent hosts, in seconds: 30 days.
const EXPIRED_HOSTS_SECS: u64 = 30 * 24 * 3600;

/// The rules for keeping releases; each rule applies on its own. Serialized as stored.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Policy {
    /// The number of newest releases to keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_last: Option<u32>,
    /// The number of newest prereleases to keep; `keep_last` then counts no prereleases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_last_prereleases: Option<u32>,
    /// The age up to which releases are kept, in seconds since publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_younger_secs: Option<u64>,
    /// The time for which releases are kept after a channel left them, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_superseded_secs: Option<u64>,
    /// The time for which a host holds its release after the host's deadline, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_expired_hosts_secs: Option<u64>,
}

impl Policy {
    /// Returns whether the policy has no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether the policy has a rule that keeps releases. A policy without such a rule
    /// deletes nothing.
    #[must_use]
    pub(super) fn decides(&self) -> bool {
        self.keep_last.is_some()
            || self.keep_younger_secs.is_some()
            || self.keep_superseded_secs.is_some()
    }

    /// Fails if a number is out of range.
    pub(super) fn check(&self) -> Result<(), AppError> {
        let rule = |text: String| Err(AppError::rule(text));
        for (name, count) in
            [("keepLast", self.keep_last), ("keepLastPrereleases", self.keep_last_prereleases)]
        {
            if count.is_some_and(|count| !(1..=COUNT_MAX).contains(&count)) {
                return rule(format!("{name} must be 1 to {COUNT_MAX}"));
            }
        }
        if self.keep_last_prereleases.is_some() && self.keep_last.is_none() {
            return rule("keepLastPrereleases requires keepLast".to_owned());
        }
        for (name, secs, secs_max) in [
            ("keepYoungerSecs", self.keep_younger_secs, AGE_SECS_MAX),
            ("keepSupersededSecs", self.keep_superseded_secs, AGE_SECS_MAX),
            ("keepExpiredHostsSecs", self.keep_expired_hosts_secs, EXPIRED_HOSTS_SECS_MAX),
        ] {
            if secs.is_some_and(|secs| secs > secs_max) {
                return rule(format!("{name} must be 0 to {secs_max} seconds"));
            }
        }
        Ok(())
    }

    /// Returns the stored form.
    pub(super) fn encode(&self) -> String {
        // Numbers always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Parses the output of [`Self::encode`].
    pub(super) fn decode(text: &str) -> Result<Self, AppError> {
        serde_json::from_str(text).map_err(|error| AppError::Internal {
            action: "read a retention policy",
            source: error.into(),
        })
    }
}

/// All policies of an application.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Policies {
    /// The policy for all releases of the application.
    pub application: Option<Policy>,
    /// The policies for the releases of individual channels.
    pub channels: Vec<(ChannelName, Policy)>,
}

impl Policies {
    /// Returns the grace period of silent hosts, in seconds: the longest of any policy.
    pub(super) fn expired_hosts_secs(&self) -> u64 {
        let all = self.application.iter().chain(self.channels.iter().map(|(_, policy)| policy));
        all.filter_map(|policy| policy.keep_expired_hosts_secs).max().unwrap_or(EXPIRED_HOSTS_SECS)
    }
}
