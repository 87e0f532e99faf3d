//! The sweep: removes the rows, then the bytes, of condemned content without users.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};
use seawall_api::digest::PackDigest;
use seawall_store::port::ObjectName;

use super::mark::Reached;
use super::plan::PLACES_PAGE;
use super::spare::Homes;
use super::{CollectTotals, Phase};
use crate::app::{AppError, Registry};
use crate::catalog::collect::{OlderLeases, Sweep, Sweeping};

/// Objects removed concurrently.
const REMOVALS_AT_ONCE: usize = 8;

impl Registry {
    /// Sweeps condemned content, unless an older lease is alive. `reached` is an earlier mark,
    /// reused if no release became visible since.
    pub(super) async fn sweep(
        &self,
        reached: Option<Reached>,
        totals: &mut CollectTotals,
    ) -> Result<Option<OlderLeases>, AppError> {
        let state = self.catalog.collect_state(self.host.now_secs()).await?;
        let older = self.catalog.older_leases(state.generation, self.host.now_secs()).await?;
        if older.is_some() {
            self.collecting.enter(Phase::Waiting);
            return Ok(older);
        }
        self.collecting.enter(Phase::Sweeping);
        // From here on, no lease that relies on condemned content can publish, and everything
        // published under such a lease is among the roots.
        let published = self.catalog.collect_state(self.host.now_secs()).await?.published;
        let reached = match reached {
            Some(reached) if reached.published == published => reached,
            _ => self.mark(&HashSet::new()).await?,
        };
        let condemned = self.catalog.condemned().await?;
        let (needed, packs) = self.split_packs(condemned.packs, &reached).await?;
        let (alive, objects): (Vec<_>, Vec<_>) =
            condemned.objects.into_iter().partition(|object| reached.objects.contains(object));
        self.catalog.pardon(needed, alive).await?;
        self.refit_leaves(&packs, &reached).await?;
        self.collecting.check_stop()?;
        // Releases may have been deleted since the collection began. Without their records, a
        // rebuild would restore releases whose content is swept now.
        self.records.prove_current().await?;
        let live_leaves = reached.leaves();
        let sweep = Sweep { generation: state.generation, packs, objects, live_leaves };
        self.catalog.begin_sweep(sweep).await?;
        *totals += self.finish_sweep().await?;
        Ok(None)
    }

    /// Splits condemned packs into those with a reachable chunk not proven elsewhere, which must
    /// stay, and those that may be removed.
    async fn split_packs(
        &self,
        packs: Vec<PackDigest>,
        reached: &Reached,
    ) -> Result<(Vec<PackDigest>, Vec<PackDigest>), AppError> {
        let mut homes = Homes::proven(&self.catalog.all_packs().await?);
        let (mut needed, mut dead) = (Vec::new(), Vec::new());
        for pack in packs {
            let is_spare = self.is_spare(pack, reached, &mut homes).await?;
            if is_spare {
                dead.push(pack)
            } else {
                needed.push(pack)
            }
            self.collecting.check_stop()?;
        }
        Ok((needed, dead))
    }

    /// Finishes an interrupted sweep that blocks a request, unless another process is collecting.
    pub(in crate::app) async fn finish_abandoned_sweep(&self) -> Result<(), AppError> {
        if self.catalog.sweeping().await? == Sweeping::default() {
            return Ok(());
        }
        if let Some(_one_at_a_time) = self.catalog.claim_collecting().await? {
            self.records.prove_current().await?;
            self.finish_sweep().await?;
        }
        Ok(())
    }

    /// Carries out a decided sweep, which a crash may have interrupted.
    pub(super) async fn finish_sweep(&self) -> Result<CollectTotals, AppError> {
        let sweeping = self.catalog.sweeping().await?;
        let mut totals = CollectTotals::default();
        if sweeping == Sweeping::default() {
            return Ok(totals);
        }
        if !sweeping.packs.is_empty() {
            let mut after = None;
            loop {
                after = self.catalog.forget_places(after, PLACES_PAGE).await?;
                if after.is_none() {
                    break;
                }
            }
        }
        let packs = sweeping.packs.iter().map(|pack| ObjectName::Pack(*pack)).collect();
        (totals.pack_count, totals.pack_bytes) = self.remove(packs).await?;
        let objects = sweeping.objects.iter().map(|object| object.object()).collect();
        (totals.object_count, totals.object_bytes) = self.remove(objects).await?;
        self.catalog.end_sweep(sweeping).await?;
        Ok(totals)
    }

    /// Removes objects. Returns their number, and their length in bytes.
    async fn remove(&self, names: Vec<ObjectName>) -> Result<(u64, u64), AppError> {
        let removals = stream::iter(names.into_iter().map(|name| async move {
            let len = self.store.len(&name).await?;
            if len.is_some() {
                self.store.delete(&name).await?;
            }
            Ok::<_, AppError>(len)
        }));
        let mut removals = removals.buffer_unordered(REMOVALS_AT_ONCE);
        let (mut count, mut bytes) = (0, 0);
        while let Some(len) = removals.try_next().await? {
            count += u64::from(len.is_some());
            bytes += len.unwrap_or(0);
        }
        Ok((count, bytes))
    }
}
