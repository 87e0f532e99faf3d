//! What deleting each release would free.

use std::collections::{HashMap, HashSet};

use futures::{StreamExt, TryStreamExt, stream};
use seawall_api::digest::{IndexDigest, LeafDigest, ReleaseDigest};
use seawall_api::reference::Selector;

use super::plan::PLACES_PAGE;
use crate::app::{AppError, Registry};

/// How many leaves are read at once.
const READS_AT_ONCE: usize = 8;
/// Of a leaf or chunk that more than one release reaches.
const SHARED: u32 = u32::MAX;

/// What releases occupy in the store.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// For each release, the bytes of chunks, as they are stored, that no other release reaches.
    pub own_bytes: HashMap<ReleaseDigest, u64>,
    /// The bytes of chunks that several releases reach.
    pub shared_bytes: u64,
    /// The bytes of chunks that no release reaches: a collection removes them.
    pub unreachable_bytes: u64,
}

/// What releases occupied last, and the state of the catalog then.
pub(in crate::app) type Measured = tokio::sync::Mutex<Option<(At, Usage)>>;
/// Releases that had become visible, what may have left litter, and sweeps: as long as they stay,
/// so does what releases occupy.
type At = (u64, u64, u64);

impl Registry {
    /// What each visible release occupies alone: reads every leaf and looks at every chunk, unless
    /// nothing changed since it did.
    ///
    /// # Errors
    /// When a release cannot be read, or a port fails.
    pub async fn usage(&self) -> Result<Usage, AppError> {
        let state = self.catalog.collect_state(self.host.now_secs()).await?;
        let at = (state.published, state.litter, state.sweeps);
        let mut last = self.usage.lock().await;
        if let Some((when, usage)) = &*last
            && *when == at
        {
            return Ok(usage.clone());
        }
        let usage = self.measure().await?;
        *last = Some((at, usage.clone()));
        Ok(usage)
    }

    async fn measure(&self) -> Result<Usage, AppError> {
        let releases = self.catalog.roots().await?.releases;
        let mut owners: HashMap<IndexDigest, u32> = HashMap::new();
        for (owner, release) in (0..).zip(&releases) {
            let selector = Selector::Digest(release.digest);
            let document = match self.read_release(&release.application, &selector).await {
                Err(AppError::NotFound { .. } | AppError::Gone { .. }) => continue,
                read => read?,
            };
            let indexes: HashSet<_> = document.disks().map(|(_, disk)| disk.index).collect();
            for index in indexes {
                owners.entry(index).and_modify(|known| *known = SHARED).or_insert(owner);
            }
        }
        let mut leaves: HashMap<LeafDigest, u32> = HashMap::new();
        for (index, owner) in owners {
            for leaf in self.read_index(index).await?.leaves() {
                let known = leaves.entry(leaf.digest).or_insert(owner);
                if *known != owner {
                    *known = SHARED;
                }
            }
        }
        let chunks = self.owned_chunks(leaves).await?;
        self.weigh(&chunks, &releases.iter().map(|r| r.digest).collect::<Vec<_>>()).await
    }

    /// Each chunk's prefix and owner, ascending.
    async fn owned_chunks(
        &self,
        leaves: HashMap<LeafDigest, u32>,
    ) -> Result<Vec<([u8; 8], u32)>, AppError> {
        let mut chunks: Vec<([u8; 8], u32)> = Vec::new();
        let mut settled = 0;
        let reads = leaves.into_iter().map(|(leaf, owner)| async move {
            Ok::<_, AppError>((owner, self.read_leaf(leaf).await?))
        });
        let mut reads = stream::iter(reads).buffer_unordered(READS_AT_ONCE);
        while let Some((owner, leaf)) = reads.try_next().await? {
            let prefix = |bytes: &[u8; 32]| *bytes.first_chunk().unwrap_or(&[0; 8]);
            chunks.extend(leaf.chunks().map(|chunk| (prefix(chunk.digest.as_bytes()), owner)));
            // As in `MarksBuilder`: what repeats takes no room for long.
            if chunks.len() > 2 * settled + (1 << 20) {
                settle(&mut chunks);
                settled = chunks.len();
            }
        }
        settle(&mut chunks);
        Ok(chunks)
    }

    async fn weigh(
        &self,
        chunks: &[([u8; 8], u32)],
        releases: &[ReleaseDigest],
    ) -> Result<Usage, AppError> {
        let mut usage = Usage::default();
        let mut own = vec![0u64; releases.len()];
        let mut after = None;
        loop {
            let page = self.catalog.places(after, PLACES_PAGE).await?;
            for place in &page {
                let bytes = u64::from(place.stored_len);
                let prefix = place.digest.as_bytes().first_chunk().unwrap_or(&[0; 8]);
                let found = chunks.binary_search_by_key(prefix, |(prefix, _)| *prefix);
                let owner = found.ok().and_then(|at| chunks.get(at)).map(|(_, owner)| *owner);
                match owner.map(|owner| own.get_mut(owner as usize)) {
                    Some(Some(own)) => *own += bytes,
                    Some(None) => usage.shared_bytes += bytes,
                    None => usage.unreachable_bytes += bytes,
                }
            }
            after = page.last().map(|place| place.digest);
            if after.is_none() {
                break;
            }
        }
        usage.own_bytes = releases.iter().copied().zip(own).collect();
        Ok(usage)
    }
}

/// Sorts by chunk, each once: with its owner, or as shared.
fn settle(chunks: &mut Vec<([u8; 8], u32)>) {
    chunks.sort_unstable();
    chunks.dedup_by(|next, kept| {
        let is_same = next.0 == kept.0;
        if is_same && next.1 != kept.1 {
            kept.1 = SHARED;
        }
        is_same
    });
}
