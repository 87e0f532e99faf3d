//! The plan of a collection: the content to remove, with exact sizes.

use std::collections::{HashMap, HashSet};
use std::ops::AddAssign;

use futures::TryStreamExt;
use seawall_api::digest::PackDigest;
use seawall_store::gc::{Liveness, Repack, RepackGroup, group};
use seawall_store::kind::Root;
use seawall_store::port::{ObjectKind, ObjectName};
use serde::{Deserialize, Serialize};

use super::CollectOptions;
use super::mark::Reached;
use super::spare::Homes;
use crate::app::AppError;
use crate::app::content::objects::read_footer;
use crate::app::maintenance::collect::Collector;
use crate::app::sweep::Swept;
use crate::catalog::collect::{Collectable, PackKey, PackRow};

/// Places per catalog query.
pub(super) const PLACES_PAGE: u32 = 100_000;

/// The quantities of a collection.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct CollectTotals {
    /// The number of removed packs: without reachable chunks, or with all of them moved.
    pub pack_count: u64,
    /// The length of the removed packs, in bytes.
    pub pack_bytes: u64,
    /// The number of packs written for the reachable chunks of sparse packs.
    pub repacked_count: u64,
    /// The length of the written packs, in bytes.
    pub repacked_bytes: u64,
    /// The number of removed leaves, indexes, descriptors and release documents.
    pub object_count: u64,
    /// The length of the removed objects, in bytes.
    pub object_bytes: u64,
}

impl AddAssign for CollectTotals {
    fn add_assign(&mut self, more: Self) {
        self.pack_count += more.pack_count;
        self.pack_bytes += more.pack_bytes;
        self.repacked_count += more.repacked_count;
        self.repacked_bytes += more.repacked_bytes;
        self.object_count += more.object_count;
        self.object_bytes += more.object_bytes;
    }
}

impl From<Swept> for CollectTotals {
    fn from(swept: Swept) -> Self {
        let Swept { pack_count, pack_bytes, object_count, object_bytes } = swept;
        Self { pack_count, pack_bytes, object_count, object_bytes, ..Self::default() }
    }
}

impl CollectTotals {
    /// Returns the decrease in the size of the store, in bytes.
    #[must_use]
    pub fn freed_bytes(&self) -> u64 {
        (self.pack_bytes + self.object_bytes).saturating_sub(self.repacked_bytes)
    }
}

/// The plan of a collection.
#[derive(Clone, Debug, Default)]
pub struct CollectPlan {
    reached: Reached,
    /// Packs without reachable chunks, and their lengths in bytes.
    dead: Vec<(PackDigest, u64)>,
    /// Sparse packs, and their lengths in bytes.
    sparse: Vec<(PackDigest, u64)>,
    pub(super) groups: Vec<RepackGroup>,
    objects: Vec<(Collectable, u64)>,
}

impl CollectPlan {
    /// Returns the quantities of the plan.
    #[must_use]
    pub fn totals(&self) -> CollectTotals {
        let bytes = |packs: &[(PackDigest, u64)]| packs.iter().map(|(_, len)| len).sum::<u64>();
        CollectTotals {
            pack_count: (self.dead.len() + self.sparse.len()) as u64,
            pack_bytes: bytes(&self.dead) + bytes(&self.sparse),
            repacked_count: self.groups.len() as u64,
            repacked_bytes: self.groups.iter().map(|group| group.live.pack_len()).sum(),
            object_count: self.objects.len() as u64,
            object_bytes: self.objects.iter().map(|(_, len)| len).sum(),
        }
    }

    /// Returns the planned decrease in the size of the store, in bytes.
    #[must_use]
    pub fn freed_bytes(&self) -> u64 {
        self.totals().freed_bytes()
    }

    /// Returns the number of reachable chunks.
    #[must_use]
    pub fn reachable_chunk_count(&self) -> u64 {
        self.reached.chunks.count() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.dead.is_empty() && self.sparse.is_empty() && self.objects.is_empty()
    }

    pub(super) fn condemned_packs(&self) -> Vec<(PackDigest, u64)> {
        self.dead.iter().chain(&self.sparse).copied().collect()
    }

    pub(super) fn condemned_objects(&self) -> Vec<Collectable> {
        self.objects.iter().map(|(object, _)| *object).collect()
    }

    /// Removes sparse packs from the plan, so that they stay.
    pub(super) fn spare(&mut self, packs: &[PackDigest]) {
        self.sparse.retain(|(pack, _)| !packs.contains(pack));
    }

    pub(super) fn reached(&self) -> &Reached {
        &self.reached
    }

    pub(super) fn into_reached(self) -> Reached {
        self.reached
    }
}

impl Collector {
    /// Plans the removal of everything outside `reached`.
    pub(super) async fn plan(
        &self,
        reached: Reached,
        options: CollectOptions,
    ) -> Result<CollectPlan, AppError> {
        let packs = self.catalog.all_packs().await?;
        let live = self.liveness(&packs, &reached).await?;
        let mut homes = Homes::assumed(&packs);
        let has_lost = packs.iter().any(|pack| pack.is_lost);
        let mut plan =
            CollectPlan { objects: self.dead_objects(&reached).await?, ..<_>::default() };
        let mut repacks = Vec::new();
        for (pack, live) in packs.iter().zip(live) {
            if live.chunk_count == 0 {
                if has_lost && !self.is_spare(pack.digest, &reached, &mut homes).await? {
                    continue;
                }
                let len = match pack.is_lost {
                    true => self.store.len(&ObjectName::Pack(pack.digest)).await?.unwrap_or(0),
                    false => pack.len,
                };
                plan.dead.push((pack.digest, len));
            } else if !pack.is_lost
                && pack.condemned.is_none()
                && live.is_sparse(pack.len, options.live_percent_min)
                && let Some(repack) = self.live_frames(pack, &reached).await?
            {
                plan.sparse.push((pack.digest, pack.len));
                repacks.push(repack);
            }
        }
        for (pack, len) in self.unknown_packs(&packs).await? {
            if self.is_spare(pack, &reached, &mut homes).await? {
                plan.dead.push((pack, len));
            }
        }
        plan.groups = group(repacks);
        plan.reached = reached;
        Ok(plan)
    }

    /// Returns the reachable part of each pack.
    async fn liveness(
        &self,
        packs: &[PackRow],
        reached: &Reached,
    ) -> Result<Vec<Liveness>, AppError> {
        let positions: HashMap<PackKey, usize> =
            packs.iter().enumerate().map(|(at, pack)| (pack.key, at)).collect();
        let mut live = vec![Liveness::default(); packs.len()];
        let mut marks = reached.chunks.walk();
        let mut after = None;
        loop {
            let page = self.catalog.places(after, PLACES_PAGE).await?;
            for place in &page {
                if !marks.contains(&place.digest) {
                    continue;
                }
                // A pack that is not listed is newer than the plan.
                if let Some(pack) = positions.get(&place.pack).and_then(|at| live.get_mut(*at)) {
                    pack.add(place.stored_len);
                }
            }
            self.collecting.check_stop()?;
            after = page.last().map(|place| place.digest);
            if after.is_none() {
                return Ok(live);
            }
        }
    }

    /// Returns the reachable frames of a sparse pack whose chunks have their place there. Returns
    /// `None` if the pack is unreadable; it then stays, to be found by a check.
    async fn live_frames(
        &self,
        pack: &PackRow,
        reached: &Reached,
    ) -> Result<Option<Repack>, AppError> {
        let name = ObjectName::Pack(pack.digest);
        let footer = match read_footer(&*self.store, pack.digest).await?.sound(&name) {
            Ok((_, footer)) => footer,
            Err(what) => {
                tracing::error!(pack = %pack.digest, what, "cannot repack a pack");
                return Ok(None);
            }
        };
        let marked = footer.frames().iter().filter(|frame| reached.chunks.contains(&frame.digest));
        let marked: Vec<_> = marked.copied().collect();
        let asked = marked.iter().map(|frame| frame.digest).collect();
        let places = self.catalog.places_of(asked).await?;
        let here: HashSet<_> =
            places.iter().filter(|place| place.pack == pack.key).map(|p| p.digest).collect();
        let frames = marked.into_iter().filter(|frame| here.contains(&frame.digest)).collect();
        Ok(Some(Repack { source: pack.digest, frames }))
    }

    /// Returns the unreachable leaves, indexes, descriptors and documents in the catalog or the
    /// store, with their lengths in bytes.
    async fn dead_objects(&self, reached: &Reached) -> Result<Vec<(Collectable, u64)>, AppError> {
        let mut known: HashSet<_> = self.catalog.all_objects().await?.into_iter().collect();
        for kind in ObjectKind::ALL.iter().filter(|kind| kind.rules().root == Root::Release) {
            let mut names = self.store.list(*kind);
            while let Some(name) = names.try_next().await? {
                known.extend(Collectable::of(&name));
            }
        }
        let mut dead: Vec<_> = known.difference(&reached.objects).copied().collect();
        dead.sort_unstable();
        let mut objects = Vec::with_capacity(dead.len());
        for object in dead {
            let len = self.store.len(&object.object()).await?.unwrap_or(0);
            objects.push((object, len));
        }
        Ok(objects)
    }

    /// Returns the packs in the store that have no row, with their lengths in bytes.
    async fn unknown_packs(&self, packs: &[PackRow]) -> Result<Vec<(PackDigest, u64)>, AppError> {
        let known: HashSet<_> = packs.iter().map(|pack| pack.digest).collect();
        let mut unknown = Vec::new();
        let mut names = self.store.list(ObjectKind::Pack);
        while let Some(name) = names.try_next().await? {
            let ObjectName::Pack(digest) = name else { continue };
            if !known.contains(&digest)
                && let Some(len) = self.store.len(&name).await?
            {
                unknown.push((digest, len));
            }
        }
        unknown.sort_unstable();
        Ok(unknown)
    }
}
