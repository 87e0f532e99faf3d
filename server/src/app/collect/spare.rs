//! Spare packs: what is reachable in them lies in its own place as well, and that was read.
//!
//! A catalog may be wrong about where a chunk lies: it is an older copy and knows of no repack and
//! no repair since, or the pack rotted. So a pack with a reachable chunk in it goes only once the
//! bytes in that chunk's place are proven.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use seawall_api::digest::PackDigest;
use seawall_store::pack::VerifiedPack;
use seawall_store::port::ObjectName;

use super::mark::Reached;
use crate::app::rebuild::content::{read_footer, twice};
use crate::app::rebuild::readable;
use crate::app::{AppError, Registry};
use crate::catalog::collect::{PackKey, PackRow};

/// The packs that have rows, and those of them that were read since.
pub(super) struct Homes {
    rows: HashMap<PackKey, PackRow>,
    proven: HashSet<PackKey>,
}

impl Homes {
    pub(super) fn new(rows: &[PackRow]) -> Self {
        let rows = rows.iter().map(|row| (row.key, *row)).collect();
        Self { rows, proven: HashSet::new() }
    }

    pub(super) fn has_lost(&self) -> bool {
        self.rows.values().any(|row| row.is_lost)
    }
}

impl Registry {
    /// Whether every reachable chunk in a pack has its place in another one, which is sound.
    ///
    /// # Errors
    /// [`AppError::RootUnreadable`] when such a place turns out not to be: it is noted, and is no
    /// place from now on.
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
            // One that has no row here is newer than the rows.
            let Some(home) = homes.rows.get(&key).filter(|row| !row.is_lost) else {
                return Ok(false);
            };
            if home.digest == pack {
                return Ok(false);
            }
            if !homes.proven.contains(&key) {
                self.prove_home(home.digest).await?;
                homes.proven.insert(key);
            }
        }
        Ok(true)
    }

    async fn prove_home(&self, pack: PackDigest) -> Result<(), AppError> {
        if self.is_sound(pack).await? {
            return Ok(());
        }
        let name = ObjectName::Pack(pack);
        self.lose(pack).await?;
        let source = Box::new(AppError::Damaged { object: name.path() });
        Err(AppError::RootUnreadable { root: format!("pack {pack}"), source })
    }

    /// Says of a pack that it is damaged, to whoever may mend it.
    pub(super) async fn lose(&self, pack: PackDigest) -> Result<(), AppError> {
        self.catalog.lose_pack(pack).await?;
        self.note_damage(&ObjectName::Pack(pack)).await;
        Ok(())
    }

    /// Whether every byte of a pack is what it was.
    pub(in crate::app) async fn is_sound(&self, pack: PackDigest) -> Result<bool, AppError> {
        let read = || async {
            let bytes = self.store.get(&ObjectName::Pack(pack)).await;
            match readable(&*self.store, bytes).await? {
                Ok(bytes) => {
                    let verified = self.examine(move || VerifiedPack::verify(pack, bytes)).await?;
                    Ok(verified.map_err(|error| error.to_string()))
                }
                Err(what) => Ok(Err(what)),
            }
        };
        Ok(twice(read).await?.is_ok())
    }
}
