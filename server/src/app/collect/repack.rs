//! Repack: what is reachable in sparse packs moves to new ones.

use std::time::Duration;

use seawall_api::digest::PackDigest;
use seawall_store::gc::RepackGroup;
use seawall_store::pack::PackWriter;
use seawall_store::port::ObjectName;

use super::mark::Reached;
use super::{CollectOptions, CollectPlan, CollectTotals, Phase};
use crate::app::indexes::leaf_row;
use crate::app::packs::row_of;
use crate::app::{AppError, Registry};
use crate::catalog::collect::{Added, Grip};

impl Registry {
    /// Moves what is reachable in a plan's sparse packs.
    pub(super) async fn repack(
        &self,
        plan: &CollectPlan,
        options: CollectOptions,
        totals: &mut CollectTotals,
    ) -> Result<(), AppError> {
        for group in &plan.groups {
            self.collecting.enter(Phase::Repacking);
            self.collecting.check_stop()?;
            let made = self.repack_group(group).await?;
            totals.repacked_count += 1;
            totals.repacked_bytes += made;
            let sources: Vec<_> = group.sources.iter().map(|source| source.source).collect();
            self.refit_leaves(&sources, plan.reached()).await?;
            if let Some(rate) = options.rate_max {
                // What was read and what was written.
                let copied = (2 * made).saturating_mul(1000);
                tokio::time::sleep(Duration::from_millis(copied / rate.max(1))).await;
            }
        }
        Ok(())
    }

    /// Returns the length of the new pack.
    async fn repack_group(&self, group: &RepackGroup) -> Result<u64, AppError> {
        let mut writer = PackWriter::default();
        for source in &group.sources {
            let name = ObjectName::Pack(source.source);
            let bytes = self.store.get(&name).await?;
            let damaged = |_| AppError::Damaged { object: name.path() };
            source.copy_into(&mut writer, &bytes).map_err(damaged)?;
        }
        let made = writer.finish(None);
        // Decoded and hashed as if it were uploaded: damage at rest is not passed on.
        let pack = self.prove_pack(made.digest, made.bytes).await?;
        let from: Vec<PackDigest> = group.sources.iter().map(|source| source.source).collect();
        loop {
            let state = self.catalog.collect_state(self.host.now_secs()).await?;
            let grip = Grip { sweeps: Some(state.sweeps), ..Grip::ANY };
            let name = ObjectName::Pack(pack.digest());
            self.keep(&name, pack.bytes().clone(), self.hand(None)).await?;
            if self.catalog.move_frames(row_of(&pack), from.clone(), grip).await? == Added::Present
            {
                return Ok(pack.bytes().len() as u64);
            }
            self.finish_sweep().await?;
        }
    }

    /// Writes anew which packs the reachable leaves need that needed one of `packs`.
    pub(super) async fn refit_leaves(
        &self,
        packs: &[PackDigest],
        reached: &Reached,
    ) -> Result<(), AppError> {
        for leaf in self.catalog.leaves_in(packs.to_vec()).await? {
            if reached.has_leaf(leaf) {
                let read = self.read_leaf(leaf).await?;
                let chunks = read.chunks().collect();
                // One whose chunks are lost keeps its rows: its packs stay.
                self.catalog.add_leaf(leaf_row(leaf, &read), chunks, Grip::ANY).await?;
            }
        }
        Ok(())
    }
}
