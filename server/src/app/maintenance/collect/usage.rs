//! The disk usage of releases: the bytes freed by deleting each release.

use std::collections::{HashMap, HashSet};

use futures::{StreamExt, TryStreamExt, stream};
use seawall_api::digest::{IndexDigest, LeafDigest, ReleaseDigest};
use seawall_api::reference::Selector;

use super::plan::PLACES_PAGE;
use crate::app::AppError;
use crate::app::maintenance::collect::Collector;

/// Leaves read concurrently.
const READS_AT_ONCE: usize = 8;
/// The owner of a leaf or chunk reachable from several releases.
const SHARED: u32 = u32::MAX;

/// The disk usage of all releases.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// The stored bytes of chunks exclusive to each release. A release with damaged content is
    /// omitted, and its unreadable content is ignored. Empty if the damaged content is shared by
    /// several releases.
    pub own_bytes: HashMap<ReleaseDigest, u64>,
    /// The stored bytes of chunks reachable from several releases.
    pub shared_bytes: u64,
    /// The stored bytes of chunks unreachable from every readable release, as a collection would
    /// remove.
    pub unreachable_bytes: u64,
}

/// The validity of a measurement with damaged releases, in seconds. The catalog does not signal
/// their repair.
const PARTIAL_TTL_SECS: u64 = 60;

/// The last measurement: the catalog's state, the expiry in seconds since 1970-01-01 UTC, and the
/// usage.
pub(in crate::app) type Measured = tokio::sync::Mutex<Option<(At, u64, Usage)>>;
/// The counters of published releases, of litter, and of sweeps. Usage does not change while these
/// counters stay the same.
type At = (u64, u64, u64);

impl Collector {
    /// Returns the disk usage of all visible releases. Reads every leaf and looks up every chunk,
    /// unless the last measurement is still valid.
    ///
    /// # Errors
    /// Fails if a port fails.
    pub async fn usage(&self) -> Result<Usage, AppError> {
        let now_secs = self.host.now_secs();
        let state = self.catalog.collect_state(now_secs).await?;
        let at = (state.published, state.litter, state.sweeps);
        let mut last = self.usage.lock().await;
        if let Some((when, until_secs, usage)) = &*last
            && *when == at
            && now_secs < *until_secs
        {
            return Ok(usage.clone());
        }
        let (usage, is_whole) = self.measure().await?;
        let ttl_secs = if is_whole { u64::MAX } else { PARTIAL_TTL_SECS };
        *last = Some((at, now_secs.saturating_add(ttl_secs), usage.clone()));
        Ok(usage)
    }

    /// Measures the usage. Returns false as the second value if anything was unreadable.
    async fn measure(&self) -> Result<(Usage, bool), AppError> {
        let releases = self.catalog.roots().await?.releases;
        let mut damaged = HashSet::new();
        let mut owners: HashMap<IndexDigest, u32> = HashMap::new();
        for (owner, release) in (0..).zip(&releases) {
            let selector = Selector::Digest(release.digest);
            let document = match self.releases.read(&release.application, &selector).await {
                Err(AppError::NotFound { .. } | AppError::Gone { .. }) => continue,
                Err(AppError::Damaged { .. }) => {
                    damaged.insert(owner);
                    continue;
                }
                read => read?,
            };
            let indexes: HashSet<_> = document.disks().map(|(_, disk)| disk.index).collect();
            for index in indexes {
                owners.entry(index).and_modify(|known| *known = SHARED).or_insert(owner);
            }
        }
        let mut leaves: HashMap<LeafDigest, u32> = HashMap::new();
        for (index, owner) in owners {
            let list = match self.content.read(index).await {
                Err(AppError::Damaged { .. }) => {
                    damaged.insert(owner);
                    continue;
                }
                read => read?,
            };
            for leaf in list.leaves() {
                let known = leaves.entry(leaf.digest).or_insert(owner);
                if *known != owner {
                    *known = SHARED;
                }
            }
        }
        let chunks = self.owned_chunks(leaves, &mut damaged).await?;
        let digests: Vec<_> = releases.iter().map(|release| release.digest).collect();
        let mut usage = self.weigh(&chunks, &digests).await?;
        for (_, release) in (0..).zip(&digests).filter(|(owner, _)| damaged.contains(owner)) {
            usage.own_bytes.remove(release);
        }
        if damaged.contains(&SHARED) {
            usage.own_bytes.clear();
        }
        Ok((usage, damaged.is_empty()))
    }

    /// Returns the prefix and the owner of each chunk, ascending. Adds the owners of damaged leaves
    /// to `damaged`.
    async fn owned_chunks(
        &self,
        leaves: HashMap<LeafDigest, u32>,
        damaged: &mut HashSet<u32>,
    ) -> Result<Vec<([u8; 8], u32)>, AppError> {
        let mut chunks: Vec<([u8; 8], u32)> = Vec::new();
        let mut settled = 0;
        let reads = leaves.into_iter().map(|(leaf, owner)| async move {
            match self.content.read(leaf).await {
                Err(AppError::Damaged { .. }) => Ok::<_, AppError>((owner, None)),
                read => Ok((owner, Some(read?))),
            }
        });
        let mut reads = stream::iter(reads).buffer_unordered(READS_AT_ONCE);
        while let Some((owner, leaf)) = reads.try_next().await? {
            let Some(leaf) = leaf else {
                damaged.insert(owner);
                continue;
            };
            let prefix = |bytes: &[u8; 32]| *bytes.first_chunk().unwrap_or(&[0; 8]);
            chunks.extend(leaf.chunks().map(|chunk| (prefix(chunk.digest.as_bytes()), owner)));
            // As in `MarksBuilder`: duplicates are removed regularly, to bound memory.
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

/// Sorts and deduplicates by chunk; a chunk with several owners becomes shared.
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
