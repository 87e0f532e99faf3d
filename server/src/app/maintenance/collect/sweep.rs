//! The sweep: removes the rows, then the bytes, of condemned content without users.

use std::collections::HashSet;

use seawall_api::digest::PackDigest;

use super::mark::Reached;
use super::spare::Homes;
use super::{CollectTotals, Phase};
use crate::app::AppError;
use crate::app::maintenance::collect::Collector;
use crate::catalog::collect::{OlderLeases, Sweep};
use crate::catalog::engine::Claim;

impl Collector {
    /// Sweeps condemned content, unless an older lease is alive. `reached` is an earlier mark,
    /// reused if no release became visible since.
    pub(super) async fn sweep(
        &self,
        claim: &Claim,
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
        *totals += self.sweeper.finish(claim).await?.into();
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
}
