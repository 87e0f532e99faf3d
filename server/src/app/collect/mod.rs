//! Collect: what no release reaches any more goes, while pushes and pulls run.
//!
//! 1. `mark` what every visible release reaches.
//! 2. `plan`: dead packs, sparse packs, dead objects, to the byte.
//! 3. `repack`: what lives in sparse packs moves to new ones.
//! 4. `condemn`: a list in the catalog; from now on nobody who comes newly is told that what is on
//!    it is there.
//! 5. Wait for the leases that are older.
//! 6. `mark` again, and `sweep` what is still unreachable: names, then bytes.
//!
//! # Invariants
//!
//! 1. A lease relies on nothing that was condemned before it was opened; what was condemned since
//!    stays until it has ended, and a lease that has ended publishes nothing.
//! 2. A root that cannot be read ends it before anything is condemned or swept.
//! 3. A row is written for bytes only when no sweep began since they were found, so no row names
//!    what a sweep took.
//! 4. Nothing is swept whose release's deletion the store alone does not tell of, nor by a catalog
//!    that does not know what the store alone tells of.
//! 5. One collection at a time sweeps, of all processes that share the catalog.
//! 6. A pack with a reachable chunk in it goes only once that chunk was read in the place that it
//!    has elsewhere: what the catalog says of places may be older than the store.
//!
//! # At the same time
//!
//! | running ↓ / starting → | push | pull | delete, promote | collect |
//! |---|---|---|---|---|
//! | push | as ever | free | free | its lease is waited for |
//! | pull | free | free | reads on under its lease | its lease is waited for |
//! | mark, plan | may publish: marked the second time | free | taken note of the next time | one at a time |
//! | condemned | older: relies on it; newer: sends it again | free | free | goes on with it |
//! | sweep | puts it again once it is gone | never reads it: older leases have ended | free | goes on with it |
//!
//! # After a crash
//!
//! Repacked: the new pack is there, the old one dead; both are found the next time. Condemned: the
//! next collection goes on waiting and marks again. Swept in part: the next one removes the rest
//! first, or a push of the same bytes does.

use std::collections::HashSet;

use seawall_api::audit::Action;
use seawall_api::digest::ReleaseDigest;

use super::{AppError, Registry};
use crate::catalog::Entry;
use crate::catalog::collect::OlderLeases;

mod mark;
mod plan;
mod repack;
mod spare;
mod status;
mod sweep;
mod usage;

pub use plan::{CollectPlan, CollectTotals};
pub(in crate::app) use status::Collecting;
pub use status::{CollectFailure, CollectStatus, Phase};
pub(in crate::app) use usage::Measured;
pub use usage::Usage;

/// How a collection goes about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CollectOptions {
    /// Packs of which less than this is reachable are repacked, in percent.
    pub live_percent_min: u8,
    /// How much may be copied while repacking, in bytes per second; `None` as fast as it goes.
    pub rate_max: Option<u64>,
    /// Looks for something to collect even where nothing was deleted and no push failed.
    pub is_forced: bool,
}

impl CollectOptions {
    /// What satisfies who asked first and who asks now: the newer limit holds.
    fn with(self, newer: Self) -> Self {
        Self {
            live_percent_min: self.live_percent_min.max(newer.live_percent_min),
            rate_max: newer.rate_max,
            is_forced: self.is_forced || newer.is_forced,
        }
    }
}

impl Default for CollectOptions {
    fn default() -> Self {
        Self { live_percent_min: 60, rate_max: None, is_forced: false }
    }
}

/// What a collection did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Collected {
    /// Whether it looked: where nothing may be left to collect, it does not.
    pub has_looked: bool,
    /// What was swept, and what was copied for it.
    pub swept: CollectTotals,
    /// The leases that are waited for, and what waits.
    pub waits_for: Option<OlderLeases>,
}

impl Registry {
    /// What a collection would remove now, were `without` deleted.
    ///
    /// # Errors
    /// When a root cannot be read, or a port fails.
    pub async fn plan_collection(
        &self,
        without: &HashSet<ReleaseDigest>,
        options: CollectOptions,
    ) -> Result<CollectPlan, AppError> {
        let reached = self.mark(without).await?;
        self.plan(reached, options).await
    }

    /// Collects as much as can be collected now: call it again while it says that it waits.
    ///
    /// # Errors
    /// [`AppError::Busy`] when one runs; [`AppError::CatalogOld`] when the store knows more; when a
    /// root cannot be read, or a port fails. Nothing that is reachable is gone then.
    pub async fn collect(&self, options: CollectOptions) -> Result<Collected, AppError> {
        if let Err(error) = self.catalog.make_room().await {
            let outcome = Err(error.into());
            self.collecting.note(self.host.now_secs(), &outcome);
            return outcome;
        }
        let Some(_one_at_a_time) = self.catalog.claim_collecting().await? else {
            return Err(AppError::Busy { what: "another collection runs" });
        };
        let outcome = self.collect_alone(options).await;
        self.collecting.note(self.host.now_secs(), &outcome);
        if let Ok(Collected { swept, .. }) = outcome
            && swept.pack_count + swept.object_count > 0
        {
            let entry = Entry::new(Action::Collect, "", self.host.now_secs())
                .with("freedBytes", swept.freed_bytes())
                .with("packs", swept.pack_count)
                .with("objects", swept.object_count);
            self.catalog.log(entry).await?;
        }
        self.catalog.keep_room().await?;
        outcome
    }

    async fn collect_alone(&self, options: CollectOptions) -> Result<Collected, AppError> {
        let mut done = Collected::default();
        let state = self.catalog.collect_state(self.host.now_secs()).await?;
        let is_clean = state.litter == state.collected && !options.is_forced;
        if is_clean && !state.is_sweeping && state.condemned == 0 {
            return Ok(done);
        }
        done.has_looked = true;
        if state.is_sweeping {
            self.prove_current().await?;
            self.finish_sweep().await?;
        }
        if state.condemned > 0 {
            done.waits_for = self.sweep(None, &mut done.swept).await?;
        }
        if done.waits_for.is_some() || is_clean {
            return Ok(done);
        }
        self.prove_current().await?;
        self.collecting.enter(Phase::Marking);
        let mut plan = self.plan_collection(&HashSet::new(), options).await?;
        self.collecting.planned(&plan);
        self.repack(&mut plan, options, &mut done.swept).await?;
        if !plan.is_empty() {
            self.collecting.enter(Phase::Condemning);
            self.catalog.condemn(plan.condemned_packs(), plan.condemned_objects()).await?;
            done.waits_for = self.sweep(Some(plan.into_reached()), &mut done.swept).await?;
        }
        self.catalog.end_collection(state.litter).await?;
        Ok(done)
    }
}

#[cfg(test)]
mod tests;
