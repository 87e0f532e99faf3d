//! Repacking: the reachable chunks of sparse packs move to new packs.

use std::time::Duration;

use seawall_api::digest::PackDigest;
use seawall_api::problem::Code;
use seawall_store::gc::RepackGroup;
use seawall_store::pack::{PackWriter, VerifiedPack};
use seawall_store::port::ObjectName;

use super::mark::Reached;
use super::{CollectOptions, CollectPlan, CollectTotals, Phase};
use crate::app::AppError;
use crate::app::content::indexes::leaf_row;
use crate::app::content::objects::{self, Found};
use crate::app::content::packs::row_of;
use crate::app::maintenance::collect::Collector;
use crate::catalog::collect::{Added, Grip};
use crate::catalog::engine::Claim;

impl Collector {
    /// Moves the reachable chunks of a plan's sparse packs. Removes packs that could not be moved
    /// from the plan.
    pub(super) async fn repack(
        &self,
        claim: &Claim,
        plan: &mut CollectPlan,
        options: CollectOptions,
        totals: &mut CollectTotals,
    ) -> Result<(), AppError> {
        for group in std::mem::take(&mut plan.groups) {
            let sources: Vec<_> = group.sources.iter().map(|source| source.source).collect();
            self.collecting.enter(Phase::Repacking);
            self.collecting.check_stop()?;
            let made = match self.repack_group(claim, &group).await {
                Ok(made) => made,
                // Damaged packs stay until their repair; the other groups continue.
                Err(AppError::Damaged { object }) => {
                    tracing::warn!(object, "not repacked: run `seawall fsck`");
                    plan.spare(&sources);
                    continue;
                }
                // Dead packs are removed first, so that the next collection has space for the copy.
                Err(error) if error.code() == Code::StorageFull => {
                    tracing::warn!(%error, "not repacked: not enough space for a copy");
                    plan.spare(&sources);
                    continue;
                }
                Err(error) => return Err(error),
            };
            totals.repacked_count += 1;
            totals.repacked_bytes += made;
            self.refit_leaves(&sources, plan.reached()).await?;
            if let Some(rate) = options.rate_max {
                // Counts the bytes read and the bytes written.
                let copied = (2 * made).saturating_mul(1000);
                tokio::time::sleep(Duration::from_millis(copied / rate.max(1))).await;
            }
        }
        Ok(())
    }

    /// Moves one group to a new pack. Returns the length of the new pack, in bytes.
    async fn repack_group(&self, claim: &Claim, group: &RepackGroup) -> Result<u64, AppError> {
        let pack = match self.copy_group(group).await? {
            Some(pack) => pack,
            None => {
                self.mark_unsound_lost(group).await?;
                // All sources are intact now: the first read had a transient error.
                let internal = || AppError::Internal {
                    action: "repack",
                    source: "repacking sound packs produced a damaged one".into(),
                };
                self.copy_group(group).await?.ok_or_else(internal)?
            }
        };
        let from: Vec<PackDigest> = group.sources.iter().map(|source| source.source).collect();
        loop {
            let state = self.catalog.collect_state(self.host.now_secs()).await?;
            let grip = Grip { sweeps: Some(state.sweeps), ..Grip::ANY };
            let name = ObjectName::Pack(pack.digest());
            self.content.keep(&name, pack.bytes().clone(), self.content.actor(None)).await?;
            if self.catalog.move_frames(row_of(&pack), from.clone(), grip).await? == Added::Present
            {
                return Ok(pack.bytes().len() as u64);
            }
            self.sweeper.finish(claim).await?;
        }
    }

    /// Builds the new pack and proves it like an upload, so that damage at rest is not copied.
    /// Returns `None` if a source is damaged.
    async fn copy_group(&self, group: &RepackGroup) -> Result<Option<VerifiedPack>, AppError> {
        let mut writer = PackWriter::default();
        for source in &group.sources {
            let name = ObjectName::Pack(source.source);
            let Found::Sound(bytes) = objects::unproven(&*self.store, &name).await? else {
                return Ok(None);
            };
            if source.copy_into(&mut writer, &bytes).is_err() {
                return Ok(None);
            }
        }
        let made = writer.finish(None);
        match self.content.prove_pack(made.digest, made.bytes).await {
            Err(AppError::DigestMismatch { .. } | AppError::Invalid { .. }) => Ok(None),
            proven => proven.map(Some),
        }
    }

    /// Fails on the first damaged source, and marks it as lost.
    ///
    /// # Errors
    /// [`AppError::Damaged`] if a source is damaged, or the error of a port.
    async fn mark_unsound_lost(&self, group: &RepackGroup) -> Result<(), AppError> {
        for source in &group.sources {
            if !self.content.is_sound(source.source).await? {
                self.content.mark_pack_lost(source.source).await?;
                return Err(AppError::Damaged { object: ObjectName::Pack(source.source).path() });
            }
        }
        Ok(())
    }

    /// Updates the packs of the reachable leaves that needed one of `packs`.
    pub(super) async fn refit_leaves(
        &self,
        packs: &[PackDigest],
        reached: &Reached,
    ) -> Result<(), AppError> {
        for leaf in self.catalog.leaves_in(packs.to_vec()).await? {
            if reached.has_leaf(leaf) {
                let read = self.content.read(leaf).await?;
                let chunks = read.chunks().collect();
                // A leaf with lost chunks keeps its rows, and thereby its packs.
                self.catalog.add_leaf(leaf_row(leaf, &read), chunks, Grip::ANY).await?;
            }
        }
        Ok(())
    }
}
