//! Loads one window of a remote disk from seeds and packs.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream;
use seawall_api::index::{ChunkRef, Extent, LEAF_SPAN, Leaf};

use crate::directory::DiskLayout;
use crate::fetch::{Deliver, Fetch, FetchError, Group, Origin, Place, SeedPlace, Seeds, Want};
use crate::host::HostError;

/// Loads windows of one disk.
pub(super) struct Loader {
    layout: DiskLayout,
    fetch: Fetch,
    seeds: Arc<Seeds>,
    /// The last leaf read and its position. Consecutive windows share a leaf.
    leaf: Mutex<Option<(usize, Arc<Leaf>)>>,
}

impl Loader {
    pub(super) fn new(layout: DiskLayout, fetch: Fetch, seeds: Arc<Seeds>) -> Self {
        Self { layout, fetch, seeds, leaf: Mutex::new(None) }
    }

    /// Returns the bytes of a range of the disk. The range must lie in one leaf.
    pub(super) async fn load(&self, range: Range<u64>) -> Result<Vec<u8>, FetchError> {
        let mut group = Group::default();
        for (chunk, places) in self.chunks(&range)? {
            let want = Want { chunk, places };
            match self.seeds.find(chunk.digest) {
                Some(place) => group.seeded.push((want, place)),
                None => group.wanted.push(want),
            }
        }
        let len = usize::try_from(range.end - range.start).map_err(|_| FetchError::Defect)?;
        let filling = Arc::new(Filling {
            start: range.start,
            bytes: Mutex::new(vec![0; len]),
            seeds: Arc::clone(&self.seeds),
        });
        loop {
            let groups = stream::iter([Ok(std::mem::take(&mut group))]);
            let (_, missed) = self.fetch.run(groups, filling.clone()).await?;
            if missed.is_empty() {
                break;
            }
            group.wanted = missed;
        }
        let filling = Arc::into_inner(filling).ok_or(FetchError::Defect)?;
        Ok(filling.bytes.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the chunks that overlap a range, each with the places where it begins.
    fn chunks(&self, range: &Range<u64>) -> Result<HashMap<ChunkRef, Vec<Place>>, FetchError> {
        let position = usize::try_from(range.start / LEAF_SPAN).map_err(|_| FetchError::Defect)?;
        let leaf = self.leaf(position)?;
        let mut offset = position as u64 * LEAF_SPAN;
        let mut chunks = HashMap::<_, Vec<_>>::new();
        for extent in leaf.extents() {
            let end = offset + extent.disk_len();
            if let Extent::Data(chunk) = extent
                && end > range.start
                && offset < range.end
            {
                chunks.entry(*chunk).or_default().push(Place { disk: 0, offset });
            }
            offset = end;
        }
        Ok(chunks)
    }

    fn leaf(&self, position: usize) -> Result<Arc<Leaf>, FetchError> {
        let mut last = self.leaf.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, leaf)) = last.as_ref().filter(|(at, _)| *at == position) {
            return Ok(Arc::clone(leaf));
        }
        let leaf = Arc::new(self.layout.leaf(position).ok_or(FetchError::Defect)?);
        *last = Some((position, Arc::clone(&leaf)));
        Ok(leaf)
    }
}

/// A window while several threads fill it.
struct Filling {
    start: u64,
    bytes: Mutex<Vec<u8>>,
    seeds: Arc<Seeds>,
}

impl Deliver for Filling {
    fn deliver(&self, want: &Want, plain: &[u8], _origin: Origin<'_>) -> Result<(), HostError> {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        for place in &want.places {
            // A chunk may begin before the window and end after it.
            let skip = usize::try_from(self.start.saturating_sub(place.offset)).unwrap_or(0);
            let at = usize::try_from(place.offset.saturating_sub(self.start)).unwrap_or(0);
            let (Some(from), Some(to)) = (plain.get(skip..), bytes.get_mut(at..)) else { continue };
            let len = from.len().min(to.len());
            to[..len].copy_from_slice(&from[..len]);
        }
        Ok(())
    }

    fn read_seed(&self, place: SeedPlace, plain: &mut [u8]) -> bool {
        self.seeds.read(place, plain)
    }
}
