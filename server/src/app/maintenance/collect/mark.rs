//! The mark: everything reachable from visible releases.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};
use seawall_api::digest::{IndexDigest, LeafDigest, ReleaseDigest};
use seawall_api::reference::Selector;
use seawall_store::gc::{Marks, MarksBuilder};

use crate::app::AppError;
use crate::app::content::descriptors::descriptors_of;
use crate::app::maintenance::collect::Collector;
use crate::catalog::Release;
use crate::catalog::collect::Collectable;

/// Objects read concurrently.
const READS_AT_ONCE: usize = 8;

/// Everything reachable from visible releases.
#[derive(Clone, Debug, Default)]
pub(super) struct Reached {
    /// The reachable chunks.
    pub(super) chunks: Marks,
    /// The reachable leaves, indexes, descriptors and documents.
    pub(super) objects: HashSet<Collectable>,
    /// The number of releases that had become visible when the roots were listed.
    pub(super) published: u64,
}

impl Reached {
    pub(super) fn leaves(&self) -> HashSet<LeafDigest> {
        let leaves = self.objects.iter().filter_map(|object| match object {
            Collectable::Leaf(leaf) => Some(*leaf),
            _ => None,
        });
        leaves.collect()
    }

    pub(super) fn has_leaf(&self, leaf: LeafDigest) -> bool {
        self.objects.contains(&Collectable::Leaf(leaf))
    }
}

/// Wraps an error from reading a root, because a collection must not guess the needs of a release.
fn unreadable(root: impl Into<String>) -> impl FnOnce(AppError) -> AppError {
    let root = root.into();
    move |source| AppError::RootUnreadable { root, source: Box::new(source) }
}

impl Collector {
    /// Marks everything reachable from visible releases, except those in `without`.
    pub(super) async fn mark(&self, without: &HashSet<ReleaseDigest>) -> Result<Reached, AppError> {
        let roots = self.catalog.roots().await?;
        let mut objects = HashSet::new();
        let mut indexes = HashSet::new();
        let releases = roots.releases.iter().filter(|release| !without.contains(&release.digest));
        for release in releases {
            indexes.extend(self.mark_document(release, &mut objects).await?);
        }
        let mut lists = stream::iter(indexes.iter().copied().map(|index| self.leaves_of(index)))
            .buffer_unordered(READS_AT_ONCE);
        let mut leaves = HashSet::new();
        while let Some(list) = lists.try_next().await? {
            leaves.extend(list);
        }
        objects.extend(indexes.iter().copied().map(Collectable::Index));
        objects.extend(leaves.iter().copied().map(Collectable::Leaf));
        let mut chunks = MarksBuilder::default();
        let mut reads = stream::iter(leaves.into_iter().map(|leaf| async move {
            self.content.read(leaf).await.map_err(unreadable(format!("leaf {leaf}")))
        }))
        .buffer_unordered(READS_AT_ONCE);
        while let Some(leaf) = reads.try_next().await? {
            leaf.chunks().for_each(|chunk| chunks.add(&chunk.digest));
            self.collecting.check_stop()?;
        }
        Ok(Reached { chunks: chunks.finish(), objects, published: roots.published })
    }

    /// Marks a release's document and descriptors. Returns the release's indexes.
    async fn mark_document(
        &self,
        row: &Release,
        objects: &mut HashSet<Collectable>,
    ) -> Result<Vec<IndexDigest>, AppError> {
        let selector = Selector::Digest(row.digest);
        let title = format!("release {}:{}", row.application, row.version);
        let release = match self.releases.read(&row.application, &selector).await {
            // The release was deleted after the listing, and is left to the next collection.
            Err(AppError::NotFound { .. } | AppError::Gone { .. }) => return Ok(vec![]),
            read => read.map_err(unreadable(title))?,
        };
        objects.insert(Collectable::Release(row.digest));
        objects.extend(descriptors_of(&release).into_iter().map(Collectable::Descriptor));
        Ok(release.disks().map(|(_, disk)| disk.index).collect())
    }

    async fn leaves_of(&self, index: IndexDigest) -> Result<Vec<LeafDigest>, AppError> {
        let list = self.content.read(index).await.map_err(unreadable(format!("index {index}")))?;
        Ok(list.leaves().iter().map(|leaf| leaf.digest).collect())
    }
}
