//! Spare packs: packs whose reachable chunks all have their place in another, proven pack.
//!
//! The catalog may be wrong about the place of a chunk: an older copy does not know of later
//! repacks and repairs, and a pack may have rotted. Therefore, a pack with a reachable chunk is
//! removed only after the bytes at the chunk's place were proven.

use std::collections::{BTreeSet, HashMap, HashSet};

use seawall_api::digest::PackDigest;

use super::mark::Reached;
use crate::app::AppError;
use crate::app::content::objects::{Found, read_footer, retry_once};
use crate::app::maintenance::collect::Collector;
use crate::catalog::collect::{PackKey, PackRow};

/// The rows of packs, and the packs proven so far.
pub(super) struct Homes {
    rows: HashMap<PackKey, PackRow>,
    /// The packs that were read and found intact; `None` to trust the catalog.
    proven: Option<HashSet<PackKey>>,
}

impl Homes {
    /// Trusts the catalog. For plans, which change nothing.
    pub(super) fn assumed(rows: &[PackRow]) -> Self {
        let rows = rows.iter().map(|row| (row.key, *row)).collect();
        Self { rows, proven: None }
    }

    /// Requires every pack to be read before anything relies on it.
    pub(super) fn proven(rows: &[PackRow]) -> Self {
        Self { proven: Some(HashSet::new()), ..Self::assumed(rows) }
    }
}

impl Collector {
    /// Returns whether every reachable chunk in a pack has its place in another, intact pack. Marks
    /// packs found damaged as lost.
    pub(super) async fn is_spare(
        &self,
        pack: PackDigest,
        reached: &Reached,
        homes: &mut Homes,
    ) -> Result<bool, AppError> {
        let read = retry_once(|| read_footer(&*self.store, pack)).await?;
        // An unreadable pack cannot be served either.
        let Found::Sound((_, footer)) = read else { return Ok(true) };
        let chunks = footer.frames().iter().map(|frame| frame.digest);
        let chunks: Vec<_> = chunks.filter(|chunk| reached.chunks.contains(chunk)).collect();
        let places = self.catalog.places_of(chunks.clone()).await?;
        if places.len() < chunks.len() {
            return Ok(false);
        }
        let keys: BTreeSet<_> = places.iter().map(|place| place.pack).collect();
        for key in keys {
            if !self.is_home(key, pack, homes).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns whether the chunks placed in a pack are safe there if `without` is removed.
    async fn is_home(
        &self,
        key: PackKey,
        without: PackDigest,
        homes: &mut Homes,
    ) -> Result<bool, AppError> {
        // A pack without a row here is newer than the rows.
        let Some(home) = homes.rows.get_mut(&key).filter(|row| !row.is_lost) else {
            return Ok(false);
        };
        if home.digest == without {
            return Ok(false);
        }
        let Some(proven) = &mut homes.proven else { return Ok(true) };
        if proven.contains(&key) {
            return Ok(true);
        }
        self.collecting.check_stop()?;
        if self.content.is_sound(home.digest).await? {
            proven.insert(key);
            return Ok(true);
        }
        tracing::error!(pack = %home.digest, "damaged pack: other packs with its chunks are kept");
        home.is_lost = true;
        self.content.mark_pack_lost(home.digest).await?;
        Ok(false)
    }
}
