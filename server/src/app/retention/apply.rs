//! Application of retention policies: releases that no policy keeps are deleted, unless held.
//!
//! Nothing is deleted until somebody applies the plan. The bytes of deleted releases are left to a
//! collection, which starts afterwards.

use std::collections::HashSet;

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::ApplicationName;

use super::Retention;
use super::policies::Verdict;
use crate::app::AppError;
use crate::app::maintenance::collect::CollectOptions;
use crate::catalog::collect::Tombstone;
use crate::catalog::retention::InventoryRelease;

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
    pub fn going(&self) -> impl Iterator<Item = &InventoryRelease> {
        self.verdicts.iter().filter(|verdict| verdict.goes).map(|verdict| &verdict.release)
    }
}

/// The result of applying a plan.
#[derive(Default, Debug)]
pub struct RetentionOutcome {
    /// The deleted releases.
    pub deleted: Vec<Tombstone>,
    /// The releases that were to be deleted but are held, with their holders in words.
    pub kept: Vec<(InventoryRelease, String)>,
    /// The bytes that a collection would free now; `None` if unknown.
    pub planned_bytes: Option<u64>,
    /// An error after the first deletion: of another deletion, after which the remaining releases
    /// are unchanged, or of the start of the collection.
    pub failure: Option<AppError>,
}

impl Retention {
    /// Returns the verdicts of an application's policies on its releases now.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such application.
    pub async fn plan(&self, application: &ApplicationName) -> Result<RetentionPlan, AppError> {
        let mut plan =
            RetentionPlan { verdicts: self.verdicts(application).await?, freed_bytes: 0 };
        let going: HashSet<_> = plan.going().map(|release| release.digest).collect();
        if !going.is_empty() {
            let collection =
                self.maintenance.plan_collection(&going, CollectOptions::default()).await?;
            plan.freed_bytes = collection.freed_bytes();
        }
        Ok(plan)
    }

    /// Deletes the releases that the plan does not keep, restricted to `only` if given. Starts a
    /// collection of their bytes, which takes longer than a request may.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such application; or an error before the first
    /// deletion.
    pub async fn apply(
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
            match self.releases.delete(application, &release.version, token).await {
                Ok(tombstone) => outcome.deleted.push(tombstone),
                Err(AppError::Held { holders, .. }) => outcome.kept.push((release, holders)),
                // Another request deleted the release first.
                Err(AppError::Gone { .. } | AppError::NotFound { .. }) => {}
                Err(error) if outcome.deleted.is_empty() => return Err(error),
                // The caller must learn of the completed deletions.
                Err(error) => {
                    outcome.failure = Some(error);
                    break;
                }
            }
        }
        if outcome.deleted.is_empty() {
            return Ok(outcome);
        }
        let options = CollectOptions::default();
        if outcome.failure.is_none() {
            let plan = self.maintenance.plan_collection(&HashSet::new(), options).await;
            // The collection reports the error itself.
            outcome.planned_bytes = plan.ok().map(|plan| plan.freed_bytes());
        }
        if let Err(error) = self.maintenance.start_collecting(options).await {
            outcome.failure.get_or_insert(error);
        }
        Ok(outcome)
    }
}
