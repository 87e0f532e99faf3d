//! Spare packs: what is reachable in them lies in its own place as well, and that was read.
//!
//! A catalog may be wrong about where a chunk lies: it is an older copy and knows of no repack and
//! no repair since, or the pack rotted. So a pack with a reachable chunk in it goes only once the
//! bytes in that chunk's place are proven.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use seawall_api::digest::PackDigest;

use super::mark::Reached;
use crate::app::rebuild::content::{read_footer, twice};
use crate::app::{AppError, Registry};
use crate::catalog::collect::{PackKey, PackRow};

/// The packs that have rows, and what was found of them since.
pub(super) struct Homes {
    rows: HashMap<PackKey, PackRow>,
    /// Those that were read; `None` where the catalog is believed, as a plan does.
    proven: Option<HashSet<PackKey>>,
}

impl Homes {
    /// As the catalog has them: for a plan, which changes nothing.
    pub(super) fn believed(rows: &[PackRow]) -> Self {
        let rows = rows.iter().map(|row| (row.key, *row)).collect();
        Self { rows, proven: None }
    }

    /// Each is read before anything relies on it.
    pub(super) fn proven(rows: &[PackRow]) -> Self {
        Self { proven: Some(HashSet::new()), ..Self::believed(rows) }
    }
}

impl Registry {
    /// Whether every reachable chunk in a pack has its place in another one, which is sound. A pack
    /// that turns out not to be is lost from then on.
    pub(super) async fn is_spare(
        &self,
        pack: PackDigest,
        reached: &Reached,
        homes: &mut Homes,
    ) -> Result<bool, AppError> {
        let footer = match twice(|| read_footer(Arc::clone(&self.store), pack)).await? {
            Ok((_, footer)) => footer,
            // What cannot be read cannot be served either.
            Err(_) => return Ok(true),
        };
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

    /// Whether what has its place in a pack is safe there when `without` goes.
    async fn is_home(
        &self,
        key: PackKey,
        without: PackDigest,
        homes: &mut Homes,
    ) -> Result<bool, AppError> {
        // One that has no row here is newer than the rows.
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
        if self.is_sound(home.digest).await? {
            proven.insert(key);
            return Ok(true);
        }
        tracing::error!(pack = %home.digest, "it is damaged: what else holds its chunks stays");
        home.is_lost = true;
        self.lose_pack(home.digest).await?;
        Ok(false)
    }
}
