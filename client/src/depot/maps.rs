//! The parts of maps that a depot's reader has loaded.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use seawall_api::digest::{ChunkDigest, IndexDigest, LeafDigest};
use seawall_api::index::Leaf;
use seawall_store::read::Place;

use super::DepotError;
use super::map::{self, MAP_PART_LEN_MAX, MapPart};
use super::medium::Medium;
use crate::registry::RegistryError;

/// The maximum length of the parts that are kept, in bytes at rest. At least one is kept.
const HELD_LEN_MAX: usize = 32 << 20;
/// The maximum number of indexes that are remembered: those of the largest release, and more.
const INDEXES_MAX: usize = 1 << 19;

/// The maps of the releases that were read so far. Parts are loaded when they are asked about, as a
/// host that knows the leaves asks for chunks alone.
#[derive(Default)]
pub(super) struct Maps {
    /// The indexes of the releases read so far, in order.
    indexes: Vec<IndexDigest>,
    held: VecDeque<Held>,
    /// The part to load next: a position in `indexes`, and one in the map.
    next: (usize, u32),
}

/// A part in memory.
struct Held {
    index: IndexDigest,
    position: u32,
    is_last: bool,
    len: usize,
    list: Option<Bytes>,
    leaves: HashMap<LeafDigest, Bytes>,
    places: HashMap<ChunkDigest, Place>,
}

impl Held {
    fn new(part: MapPart, len: usize) -> Self {
        let mut places = HashMap::new();
        for leaf in &part.leaves {
            // Decoded once before, by the parser of the part.
            let Ok(extents) = Leaf::decode_any(&leaf.bytes) else { continue };
            let chunks = extents.chunks().map(|chunk| chunk.digest);
            places.extend(chunks.zip(leaf.places.iter().copied()));
        }
        let leaves = part.leaves.into_iter().map(|leaf| (leaf.digest, leaf.bytes)).collect();
        let MapPart { index, position, is_last, list, .. } = part;
        Self { index, position, is_last, len, list, leaves, places }
    }
}

impl Maps {
    /// Remembers the index of a disk whose chunks may be asked for.
    pub(super) fn remember(&mut self, index: IndexDigest) {
        if !self.indexes.contains(&index) {
            if self.indexes.len() >= INDEXES_MAX {
                self.indexes.clear();
                self.next = (0, 0);
            }
            self.indexes.push(index);
        }
    }

    /// Returns the list of an index.
    pub(super) async fn list(
        &mut self,
        medium: &dyn Medium,
        index: IndexDigest,
    ) -> Result<Bytes, RegistryError> {
        self.remember(index);
        self.load(medium, index, 0).await?;
        let held = self.held.iter().find(|it| it.index == index && it.position == 0);
        // The parser found the list in every first part.
        Ok(held.and_then(|it| it.list.clone()).unwrap_or_default())
    }

    /// Returns the bytes of a leaf of the remembered indexes, `None` if it is in none of them.
    pub(super) async fn leaf(
        &mut self,
        medium: &dyn Medium,
        leaf: LeafDigest,
    ) -> Result<Option<Bytes>, RegistryError> {
        let mut found = None;
        self.search(medium, |held| {
            found = held.leaves.get(&leaf).cloned();
            found.is_some()
        })
        .await?;
        Ok(found)
    }

    /// Returns the places of chunks of the remembered indexes; `None` for those in none of them.
    pub(super) async fn locate(
        &mut self,
        medium: &dyn Medium,
        chunks: &[ChunkDigest],
    ) -> Result<Vec<Option<Place>>, RegistryError> {
        let mut places = vec![None; chunks.len()];
        self.search(medium, |held| {
            let mut is_complete = true;
            for (place, chunk) in places.iter_mut().zip(chunks) {
                if place.is_none() {
                    *place = held.places.get(chunk).copied();
                }
                is_complete &= place.is_some();
            }
            is_complete
        })
        .await?;
        Ok(places)
    }

    /// Shows the parts in memory to `seen`, then every other part from the last one on, until it
    /// has what it wants. Chunks are asked for in the order of the disk, so the next part is
    /// usually the right one.
    async fn search(
        &mut self,
        medium: &dyn Medium,
        mut seen: impl FnMut(&Held) -> bool,
    ) -> Result<(), RegistryError> {
        if self.held.iter().any(&mut seen) || self.indexes.is_empty() {
            return Ok(());
        }
        let start = (self.next.0 % self.indexes.len(), self.next.1);
        let mut at = start;
        loop {
            let index = self.indexes[at.0];
            let is_held = |it: &Held| it.index == index && it.position == at.1;
            let known = self.held.iter().find(|it| is_held(it)).map(|it| it.is_last);
            let is_last = match known {
                Some(is_last) => is_last,
                None => {
                    let held = self.load(medium, index, at.1).await?;
                    if seen(held) {
                        self.next = at;
                        return Ok(());
                    }
                    held.is_last
                }
            };
            at = if is_last { ((at.0 + 1) % self.indexes.len(), 0) } else { (at.0, at.1 + 1) };
            if at == start {
                self.next = at;
                return Ok(());
            }
        }
    }

    async fn load(
        &mut self,
        medium: &dyn Medium,
        index: IndexDigest,
        position: u32,
    ) -> Result<&Held, RegistryError> {
        let known = self.held.iter().position(|it| it.index == index && it.position == position);
        if let Some(held) = known.and_then(|at| self.held.remove(at)) {
            self.held.push_back(held);
        } else {
            let (part, len) = part(medium, index, position).await?;
            self.held.push_back(Held::new(part, len));
            while self.held.len() > 1
                && self.held.iter().map(|it| it.len).sum::<usize>() > HELD_LEN_MAX
            {
                self.held.pop_front();
            }
        }
        Ok(&self.held[self.held.len() - 1])
    }
}

/// Reads a part of a map. Returns the part with its length in bytes.
pub(super) async fn part(
    medium: &dyn Medium,
    index: IndexDigest,
    position: u32,
) -> Result<(MapPart, usize), RegistryError> {
    let document = map::path(index, position);
    let address = || medium.address().to_owned();
    let Some(bytes) = medium.read(&document, MAP_PART_LEN_MAX).await? else {
        return Err(DepotError::Gone { address: address(), object: document }.into());
    };
    let part = match MapPart::decode(&bytes) {
        Ok(part) => part,
        Err(source) => return Err(DepotError::Map { address: address(), document, source }.into()),
    };
    // A part without leaves that is not the last would make a search endless.
    let is_endless = !part.is_last && part.leaves.is_empty();
    if part.index != index || part.position != position || is_endless {
        let why = "it is another map".to_owned();
        return Err(DepotError::Document { address: address(), document, why }.into());
    }
    Ok((part, bytes.len()))
}
