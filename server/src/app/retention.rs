//! Retention: policies say which releases stay; what none of them keeps, and nothing holds, goes.
//!
//! Not a job: nothing goes until somebody applies the plan. Nor a collection: the bytes of what
//! went are left to one, which the edge starts.

use std::collections::HashSet;

use seawall_api::audit::Action;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName};

use super::collect::CollectOptions;
use super::deletion::MOVES_HELD;
use super::{AppError, Registry};
use crate::catalog::Entry;
use crate::catalog::collect::Tombstone;
use crate::catalog::fleet::{PolicyRow, StandingRelease};

mod plan;
mod policy;

pub use plan::{Reason, Scope, Verdict, plan};
pub use policy::{Policies, Policy};

/// A policy, and who set it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetPolicy {
    /// The channel it is for; `None` for all of the application.
    pub channel: Option<ChannelName>,
    /// What it keeps.
    pub policy: Policy,
    /// When it was set, seconds since 1970-01-01 UTC.
    pub set_at_secs: u64,
    /// The token it was set with; empty without authentication.
    pub set_by: String,
}

/// What the policies of an application make of its releases.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RetentionPlan {
    /// Every release, newest first.
    pub verdicts: Vec<Verdict>,
    /// By how much deleting those that go, and a collection, would shrink the store, in bytes.
    pub freed_bytes: u64,
}

impl RetentionPlan {
    /// The releases that go, newest first.
    pub fn going(&self) -> impl Iterator<Item = &StandingRelease> {
        self.verdicts.iter().filter(|verdict| verdict.goes).map(|verdict| &verdict.release)
    }
}

/// What applying a plan did.
#[derive(Default, Debug)]
pub struct RetentionOutcome {
    /// What is gone.
    pub deleted: Vec<Tombstone>,
    /// What was to go and stays, and why.
    pub kept: Vec<(StandingRelease, String)>,
    /// By how much a collection would shrink the store now, in bytes; `None` where that cannot be
    /// told.
    pub planned_bytes: Option<u64>,
    /// What failed when something was deleted already: the rest is as it was.
    pub failure: Option<AppError>,
}

impl Registry {
    /// The policies of an application: its own first, then those of its channels by name.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when there is no such application.
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

    /// Sets the policy of an application or of one of its channels; one that says nothing removes
    /// what was set.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when there is no such application or channel, [`AppError::Invalid`]
    /// when a number is not within its limits.
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
            if self.catalog.remove_policy(application.clone(), channel).await? {
                self.catalog.log(entry).await?;
            }
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

    /// What the policies of an application make of its releases now.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when there is no such application.
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
        // One that cannot be read ends it: what it would have kept is not known.
        for row in &standing.policies {
            let policy = Policy::decode(&row.policy)?;
            match &row.channel {
                None => policies.application = Some(policy),
                Some(channel) => policies.channels.push((channel.clone(), policy)),
            }
        }
        Ok(plan(&standing, &policies, self.host.now_secs(), MOVES_HELD))
    }

    /// Deletes what the plan says goes; of that only what is in `only`, where it is given. Its
    /// bytes are left to a collection: one takes longer than whoever asks waits for an answer.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when there is no such application; when a port fails before anything
    /// was deleted.
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
                // Somebody else was faster.
                Err(AppError::Gone { .. } | AppError::NotFound { .. }) => {}
                Err(error) if outcome.deleted.is_empty() => return Err(error),
                // What is deleted is deleted, and who asked is to hear it.
                Err(error) => {
                    outcome.failure = Some(error);
                    return Ok(outcome);
                }
            }
        }
        if !outcome.deleted.is_empty() {
            let plan = self.plan_collection(&HashSet::new(), CollectOptions::default()).await;
            // Why not is said by the collection.
            outcome.planned_bytes = plan.ok().map(|plan| plan.freed_bytes());
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests;
