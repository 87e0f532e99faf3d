//! Retention: policies select the releases to keep, and the rest are deleted unless they are held.
//!
//! Nothing is deleted until somebody applies the plan. The bytes of deleted releases are left to a
//! collection, started by the edge.

use std::collections::HashSet;

use seawall_api::audit::Action;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName};

use crate::app::releases::deletion::MOVES_HELD;
use crate::app::upkeep::collect::CollectOptions;
use crate::app::{AppError, Registry};
use crate::catalog::Entry;
use crate::catalog::collect::Tombstone;
use crate::catalog::fleet::{PolicyRow, StandingRelease};

mod plan;
mod policy;

pub use plan::{Reason, Scope, Verdict, plan};
pub use policy::{Policies, Policy};

/// A policy with its author.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetPolicy {
    /// The channel of the policy; `None` for the whole application.
    pub channel: Option<ChannelName>,
    /// The policy itself.
    pub policy: Policy,
    /// The time of setting the policy, in seconds since 1970-01-01 UTC.
    pub set_at_secs: u64,
    /// The name of the token used; empty without authentication.
    pub set_by: String,
}

/// The verdicts of an application's policies on its releases.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RetentionPlan {
    /// The verdict on every release, newest first.
    pub verdicts: Vec<Verdict>,
    /// The bytes that a collection would free after the planned deletions.
    pub freed_bytes: u64,
}

impl RetentionPlan {
    /// Returns the releases to delete, newest first.
    pub fn going(&self) -> impl Iterator<Item = &StandingRelease> {
        self.verdicts.iter().filter(|verdict| verdict.goes).map(|verdict| &verdict.release)
    }
}

/// The result of applying a plan.
#[derive(Default, Debug)]
pub struct RetentionOutcome {
    /// The deleted releases.
    pub deleted: Vec<Tombstone>,
    /// The releases that were to be deleted but are held, with their holders in words.
    pub kept: Vec<(StandingRelease, String)>,
    /// The bytes that a collection would free now; `None` if unknown.
    pub planned_bytes: Option<u64>,
    /// An error after the first deletion. The remaining releases are unchanged.
    pub failure: Option<AppError>,
}

impl Registry {
    /// Returns the policies of an application: first its own, then those of its channels by name.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such application.
    pub async fn policies(
        &self,
        application: &ApplicationName,
    ) -> Result<Vec<SetPolicy>, AppError> {
        self.find_application(application).await?;
        let rows = self.catalog.policies(application.clone()).await?;
        let read = |row: PolicyRow| {
            let PolicyRow { channel, policy, set_at_secs, set_by } = row;
            let policy = Policy::decode(&policy)?;
            Ok(SetPolicy { channel, policy, set_at_secs, set_by })
        };
        rows.into_iter().map(read).collect()
    }

    /// Sets the policy of an application or of one of its channels. An empty policy removes the
    /// present one.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such application or channel, [`AppError::Invalid`] if
    /// a number is out of range.
    pub async fn set_policy(
        &self,
        application: &ApplicationName,
        channel: Option<ChannelName>,
        policy: Policy,
        token: String,
    ) -> Result<SetPolicy, AppError> {
        self.find_application(application).await?;
        policy.check()?;
        let set = SetPolicy {
            channel: channel.clone(),
            policy,
            set_at_secs: self.host.now_secs(),
            set_by: token,
        };
        if set.policy.is_empty() {
            let entry = Entry::new(Action::Policy, &set.set_by, set.set_at_secs)
                .to_application(application)
                .with("channel", channel.as_ref().map_or("", ChannelName::as_str))
                .with("policy", "none");
            self.catalog.remove_policy(application.clone(), channel, entry).await?;
            return Ok(set);
        }
        if let Some(channel) = &channel {
            self.channel(application, channel).await?;
        }
        let row = PolicyRow {
            channel,
            policy: set.policy.encode(),
            set_at_secs: set.set_at_secs,
            set_by: set.set_by.clone(),
        };
        self.catalog.set_policy(application.clone(), row).await?;
        Ok(set)
    }

    /// Returns the verdicts of an application's policies on its releases now.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such application.
    pub async fn retention_plan(
        &self,
        application: &ApplicationName,
    ) -> Result<RetentionPlan, AppError> {
        let mut plan =
            RetentionPlan { verdicts: self.verdicts(application).await?, freed_bytes: 0 };
        let going: HashSet<_> = plan.going().map(|release| release.digest).collect();
        if !going.is_empty() {
            let collection = self.plan_collection(&going, CollectOptions::default()).await?;
            plan.freed_bytes = collection.freed_bytes();
        }
        Ok(plan)
    }

    async fn verdicts(&self, application: &ApplicationName) -> Result<Vec<Verdict>, AppError> {
        self.find_application(application).await?;
        let standing = self.catalog.standing(application.clone()).await?;
        let mut policies = Policies::default();
        // An unreadable policy is an error, because the releases it would keep are unknown.
        for row in &standing.policies {
            let policy = Policy::decode(&row.policy)?;
            match &row.channel {
                None => policies.application = Some(policy),
                Some(channel) => policies.channels.push((channel.clone(), policy)),
            }
        }
        Ok(plan(&standing, &policies, self.host.now_secs(), MOVES_HELD))
    }

    /// Deletes the releases that the plan does not keep, restricted to `only` if given. The bytes
    /// are left to a collection, which takes longer than a request may.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such application; or an error before the first
    /// deletion.
    pub async fn apply_retention(
        &self,
        application: &ApplicationName,
        only: Option<HashSet<ReleaseDigest>>,
        token: &str,
    ) -> Result<RetentionOutcome, AppError> {
        let verdicts = self.verdicts(application).await?;
        let mut outcome = RetentionOutcome::default();
        for Verdict { release, goes, .. } in verdicts {
            if !goes || only.as_ref().is_some_and(|only| !only.contains(&release.digest)) {
                continue;
            }
            let token = token.to_owned();
            match self.remove_release(application, &release.version, token).await {
                Ok(tombstone) => outcome.deleted.push(tombstone),
                Err(AppError::Held { holders, .. }) => outcome.kept.push((release, holders)),
                // Another request deleted the release first.
                Err(AppError::Gone { .. } | AppError::NotFound { .. }) => {}
                Err(error) if outcome.deleted.is_empty() => return Err(error),
                // The caller must learn of the completed deletions.
                Err(error) => {
                    outcome.failure = Some(error);
                    return Ok(outcome);
                }
            }
        }
        if !outcome.deleted.is_empty() {
            let plan = self.plan_collection(&HashSet::new(), CollectOptions::default()).await;
            // The collection reports the error itself.
            outcome.planned_bytes = plan.ok().map(|plan| plan.freed_bytes());
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests;
