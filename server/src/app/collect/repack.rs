//! Repack: what is reachable in sparse packs moves to new ones.

use std::time::Duration;

use seawall_api::digest::PackDigest;
use seawall_store::gc::RepackGroup;
use seawall_store::pack::{PackWriter, VerifiedPack};
use seawall_store::port::ObjectName;

use super::mark::Reached;
use super::{CollectOptions, CollectPlan, CollectTotals, Phase};
use crate::app::indexes::leaf_row;
use crate::app::packs::row_of;
use crate::app::rebuild::readable;
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
            let made = match self.repack_group(group).await {
                Ok(made) => made,
                // What is damaged stays where it is until it is mended; the rest goes on.
                Err(AppError::Damaged { object }) => {
                    tracing::warn!(object, "not repacked: run `seawall fsck`");
                    continue;
                }
                Err(error) => return Err(error),
            };
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
        let Some(pack) = self.copy_group(group).await? else {
            return Err(self.damaged_source(group).await?);
        };
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

    /// The new pack, decoded and hashed as if it were uploaded: damage at rest is not passed on.
    /// `None` where there is some.
    async fn copy_group(&self, group: &RepackGroup) -> Result<Option<VerifiedPack>, AppError> {
        let mut writer = PackWriter::default();
        for source in &group.sources {
            let name = ObjectName::Pack(source.source);
            let Ok(bytes) = readable(&*self.store, self.store.get(&name).await).await? else {
                return Ok(None);
            };
            if source.copy_into(&mut writer, &bytes).is_err() {
                return Ok(None);
            }
        }
        let made = writer.finish(None);
        match self.prove_pack(made.digest, made.bytes).await {
            Err(AppError::DigestMismatch { .. } | AppError::Invalid { .. }) => Ok(None),
            proven => proven.map(Some),
        }
    }

    /// Finds the pack that is damaged, and says so to whoever may mend it.
    async fn damaged_source(&self, group: &RepackGroup) -> Result<AppError, AppError> {
        for source in &group.sources {
            let name = ObjectName::Pack(source.source);
            let is_sound = match readable(&*self.store, self.store.get(&name).await).await? {
                Ok(bytes) => self.prove_pack(source.source, bytes).await.is_ok(),
                Err(_) => false,
            };
            if !is_sound {
                self.catalog.lose_pack(source.source).await?;
                self.note_damage(&name).await;
                return Ok(AppError::Damaged { object: name.path() });
            }
        }
        let source = "sound packs made an unsound one".into();
        Ok(AppError::Internal { action: "repack", source })
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
