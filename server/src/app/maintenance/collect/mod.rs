//! Collection: removes content unreachable from all releases, while pushes and pulls run.
//!
//! 1. `mark` everything reachable from visible releases.
//! 2. `plan` the removal of dead packs, sparse packs and dead objects, with exact sizes.
//! 3. `repack`: move the reachable chunks of sparse packs to new packs.
//! 4. `condemn` the dead content by listing it in the catalog. From then on, it counts as missing
//!    for new leases.
//! 5. Wait for older leases to end.
//! 6. `mark` again, and `sweep` what is still unreachable: first the rows, then the bytes.
//!
//! # Invariants
//!
//! 1. A lease relies on nothing condemned before it was opened. Content condemned later stays until
//!    the lease has ended, and an ended lease cannot publish.
//! 2. An unreadable root ends the collection before anything is condemned or swept.
//! 3. A row is written for existing bytes only if no sweep began since the bytes were found, so no
//!    row names swept bytes.
//! 4. Before content is swept, the deletions of its releases are recorded in the store. A catalog
//!    that lacks any of the store's records sweeps nothing.
//! 5. One collection sweeps at a time, among all processes that share the catalog.
//! 6. A pack with a reachable chunk is removed only after the chunk was read from its place in
//!    another pack, because the catalog's places may be older than the store.
//!
//! # Concurrency
//!
//! | running ↓ / starting → | push | pull | delete, promote | collect |
//! |---|---|---|---|---|
//! | push | as without collections | free | free | waits for the push's lease |
//! | pull | free | free | continues under its lease | waits for the pull's lease |
//! | mark, plan | may publish: included in the second mark | free | left to the next collection | one at a time |
//! | condemned | older leases rely on it; newer ones send it again | free | free | resumes |
//! | sweep | stores the content again after its removal | never reads it: older leases have ended | free | resumes |
//!
//! # After a crash
//!
//! Repacked: the new pack exists and the old one is dead; the next collection finds both.
//! Condemned: the next collection resumes waiting and marks again. Partly swept: the next
//! collection first removes the rest, or a push of the same bytes does.

use std::collections::HashSet;
use std::sync::Arc;

use seawall_api::audit::Action;
use seawall_api::digest::ReleaseDigest;
use seawall_store::port::ObjectStore;
use serde::{Deserialize, Serialize};

use crate::app::content::Content;
use crate::app::jobs::Kernel;
use crate::app::records::Records;
use crate::app::sweep::Sweeper;
use crate::app::{AppError, Releases};
use crate::catalog::collect::OlderLeases;
use crate::catalog::engine::Claim;
use crate::catalog::{Catalog, Entry};
use crate::host::Host;

mod job;
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

/// The collections, and the one among them that this process runs.
pub struct Collector {
    store: Arc<dyn ObjectStore>,
    catalog: Catalog,
    host: Arc<dyn Host>,
    content: Arc<Content>,
    releases: Arc<Releases>,
    records: Records,
    pub(super) sweeper: Sweeper,
    kernel: Kernel,
    /// The collection that this process runs.
    collecting: Collecting,
    /// The last measurement of usage.
    usage: Measured,
}

/// The parameters of a collection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct CollectOptions {
    /// The threshold for repacking, in percent: a pack with a smaller reachable part is repacked.
    pub live_percent_min: u8,
    /// The maximum copy rate while repacking, in bytes per second; `None` for no limit.
    pub rate_max: Option<u64>,
    /// True to search for garbage even if nothing was deleted and no push failed.
    pub is_forced: bool,
}

impl CollectOptions {
    /// Merges the options of an earlier and a newer request. The newer rate limit applies.
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

/// The results of a collection.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Collected {
    /// True if the collection searched for garbage; false if there can be none.
    pub has_looked: bool,
    /// The quantities swept, and copied by repacking.
    pub swept: CollectTotals,
    /// The older leases that delay the sweep, if any.
    pub waits_for: Option<OlderLeases>,
}

impl Collector {
    pub(in crate::app) fn new(
        releases: &Arc<Releases>,
        records: &Records,
        kernel: &Kernel,
    ) -> Self {
        let content = &releases.content;
        Self {
            store: Arc::clone(&content.store),
            catalog: content.catalog.clone(),
            host: Arc::clone(&content.host),
            content: Arc::clone(content),
            releases: Arc::clone(releases),
            records: records.clone(),
            sweeper: content.sweeper.clone(),
            kernel: kernel.clone(),
            collecting: <_>::default(),
            usage: <_>::default(),
        }
    }

    /// Plans a collection as if the releases in `without` were deleted.
    ///
    /// # Errors
    /// Fails if a root is unreadable, or a port fails.
    pub async fn plan_collection(
        &self,
        without: &HashSet<ReleaseDigest>,
        options: CollectOptions,
    ) -> Result<CollectPlan, AppError> {
        let reached = self.mark(without).await?;
        self.plan(reached, options).await
    }

    /// Collects as much as possible now. Must be called again while [`Collected::waits_for`] is
    /// set.
    ///
    /// # Errors
    /// [`AppError::Busy`] while another collection runs; [`AppError::CatalogOld`] if the store has
    /// records unknown to the catalog; also fails if a root is unreadable or a port fails.
    /// Reachable content is never removed.
    pub async fn collect(&self, options: CollectOptions) -> Result<Collected, AppError> {
        self.collect_under(&mut None, options).await
    }

    /// Collects as [`Self::collect`] does, under the right to sweep, which is obtained if `claim`
    /// lacks it.
    async fn collect_under(
        &self,
        claim: &mut Option<Claim>,
        options: CollectOptions,
    ) -> Result<Collected, AppError> {
        self.catalog.make_room().await?;
        // A claim is lost with its connection to a database.
        let is_held = match claim {
            Some(claim) => claim.is_held().await,
            None => false,
        };
        if !is_held {
            *claim = self.catalog.claim_collecting().await?;
        }
        let Some(claim) = claim else {
            return Err(AppError::Busy { what: "another collection is running" });
        };
        let outcome = self.collect_alone(claim, options).await;
        if let Ok(Collected { swept, .. }) = outcome
            && swept.pack_count + swept.object_count > 0
        {
            let entry = Entry::new(Action::Collect, "", self.host.now_secs())
                .with("freedBytes", swept.freed_bytes())
                .with("packs", swept.pack_count)
                .with("objects", swept.object_count);
            self.catalog.log(entry).await?;
        }
        self.catalog.make_room().await?;
        outcome
    }

    async fn collect_alone(
        &self,
        claim: &Claim,
        options: CollectOptions,
    ) -> Result<Collected, AppError> {
        let mut done = Collected::default();
        let state = self.catalog.collect_state(self.host.now_secs()).await?;
        let is_clean = state.litter == state.collected && !options.is_forced;
        if is_clean && !state.is_sweeping && state.condemned == 0 {
            return Ok(done);
        }
        done.has_looked = true;
        if state.is_sweeping {
            self.records.prove_current().await?;
            self.sweeper.finish(claim).await?;
        }
        if state.condemned > 0 {
            done.waits_for = self.sweep(claim, None, &mut done.swept).await?;
        }
        if done.waits_for.is_some() || is_clean {
            return Ok(done);
        }
        self.records.prove_current().await?;
        self.collecting.enter(Phase::Marking);
        let mut plan = self.plan_collection(&HashSet::new(), options).await?;
        self.collecting.planned(&plan);
        self.repack(claim, &mut plan, options, &mut done.swept).await?;
        if !plan.is_empty() {
            self.collecting.enter(Phase::Condemning);
            self.catalog.condemn(plan.condemned_packs(), plan.condemned_objects()).await?;
            done.waits_for = self.sweep(claim, Some(plan.into_reached()), &mut done.swept).await?;
        }
        self.catalog.end_collection(state.litter).await?;
        Ok(done)
    }
}

#[cfg(test)]
mod tests;
