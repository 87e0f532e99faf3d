//! Retention policies, and their verdicts on releases.

use seawall_api::audit::Action;
use seawall_api::names::{ApplicationName, ChannelName};

use super::Retention;
use crate::app::AppError;
use crate::app::names::MOVES_HELD;
use crate::catalog::Entry;
use crate::catalog::retention::PolicyRow;

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

impl Retention {
    /// Returns the policies of an application: first its own, then those of its channels by name.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such application.
    pub async fn policies(
        &self,
        application: &ApplicationName,
    ) -> Result<Vec<SetPolicy>, AppError> {
        self.names.find_application(application).await?;
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
        self.names.find_application(application).await?;
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
            self.names.channel(application, channel).await?;
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
    pub async fn verdicts(&self, application: &ApplicationName) -> Result<Vec<Verdict>, AppError> {
        self.names.find_application(application).await?;
        let inventory = self.catalog.inventory(application.clone()).await?;
        let mut policies = Policies::default();
        // An unreadable policy is an error, because the releases it would keep are unknown.
        for row in &inventory.policies {
            let policy = Policy::decode(&row.policy)?;
            match &row.channel {
                None => policies.application = Some(policy),
                Some(channel) => policies.channels.push((channel.clone(), policy)),
            }
        }
        Ok(plan(&inventory, &policies, self.host.now_secs(), MOVES_HELD))
    }
}

#[cfg(test)]
mod tests;
