//! Pull, stage 3: in place, seed or fetch for each extent. Pure except for reading cached leaves.

use std::collections::HashMap;

use seawall_api::index::{ChunkRef, Extent};

use crate::directory::DiskLayout;
use crate::fetch::{FetchError, Group, Place, SeedPlace, Seeds, Want};
use crate::host::HostError;

/// The number of chunks located with one request: those of about 256 MiB of disk.
const GROUP_LEN: usize = 4096;

/// Returns the number of data bytes on the disks, including repeated chunks.
pub(super) fn data_bytes(layouts: &[DiskLayout]) -> Result<u64, HostError> {
    let mut sum = 0;
    for layout in layouts {
        for run in layout.data_runs()? {
            sum += run.end - run.start;
        }
    }
    Ok(sum)
}

/// Returns the wanted chunks in disk order, in groups.
///
/// Seeds are numbered after the disks. A seed below `layouts.len()` is the disk's own file, which
/// an interrupted pull may have filled in part (`is_resumed`).
pub(super) fn groups<'a>(
    layouts: &'a [DiskLayout],
    seeds: &'a Seeds,
    is_resumed: bool,
) -> impl Iterator<Item = Result<Group, FetchError>> + Send + use<'a> {
    let mut extents = layouts.iter().enumerate().flat_map(|(disk, layout)| {
        layout.extents().map(move |extent| extent.map(|(offset, extent)| (disk, offset, extent)))
    });
    std::iter::from_fn(move || {
        let mut gather = Gather::new(seeds, layouts.len(), is_resumed);
        while gather.len < GROUP_LEN {
            match extents.next() {
                None => break,
                Some(Err(error)) => return Some(Err(error.into())),
                Some(Ok((disk, offset, extent))) => gather.add(Place { disk, offset }, extent),
            }
        }
        (gather.len > 0).then_some(Ok(gather.group))
    })
}

/// The number of groups fetched before their missed chunks: about 4 GiB of disk. Bounds the memory
/// of a resumed pull, which may miss every chunk in place.
pub(super) const GROUPS_AT_ONCE: usize = 16;

/// Groups missed chunks again, to be taken from `seeds` or else fetched.
pub(super) fn regroup(
    missed: Vec<Want>,
    seeds: Option<&Seeds>,
    own_count: usize,
) -> Vec<Result<Group, FetchError>> {
    // A chunk may be missed at several places.
    let mut wants: Vec<Want> = Vec::new();
    let mut positions: HashMap<ChunkRef, usize> = HashMap::new();
    for want in missed {
        match positions.get(&want.chunk) {
            Some(&at) => wants[at].places.extend(want.places),
            None => {
                positions.insert(want.chunk, wants.len());
                wants.push(want);
            }
        }
    }
    let groups = wants.chunks(GROUP_LEN).map(|part| {
        let mut group = Group::default();
        for want in part {
            match seeds.and_then(|seeds| seeds.find(want.chunk.digest)) {
                Some(at) => {
                    let seed = at.seed + own_count;
                    group.seeded.push((want.clone(), SeedPlace { seed, ..at }));
                }
                None => group.wanted.push(want.clone()),
            }
        }
        Ok(group)
    });
    groups.collect()
}

struct Gather<'a> {
    group: Group,
    len: usize,
    /// The position of each chunk in the group, so that each is read or fetched once.
    wanted: HashMap<ChunkRef, usize>,
    seeded: HashMap<ChunkRef, usize>,
    seeds: &'a Seeds,
    own_count: usize,
    is_resumed: bool,
}

impl<'a> Gather<'a> {
    fn new(seeds: &'a Seeds, own_count: usize, is_resumed: bool) -> Self {
        let (wanted, seeded) = (HashMap::new(), HashMap::new());
        let group = Group::default();
        Self { group, len: 0, wanted, seeded, seeds, own_count, is_resumed }
    }

    fn add(&mut self, place: Place, extent: Extent) {
        let Extent::Data(chunk) = extent else { return };
        if self.is_resumed {
            // Each place is checked separately: a chunk may be complete at one place and unwritten
            // at another.
            let own = SeedPlace { seed: place.disk, offset: place.offset };
            self.group.seeded.push((Want { chunk, places: vec![place] }, own));
        } else if let Some(&at) = self.seeded.get(&chunk) {
            self.group.seeded[at].0.places.push(place);
        } else if let Some(&at) = self.wanted.get(&chunk) {
            self.group.wanted[at].places.push(place);
        } else if let Some(found) = self.seeds.find(chunk.digest) {
            let found = SeedPlace { seed: found.seed + self.own_count, ..found };
            self.seeded.insert(chunk, self.group.seeded.len());
            self.group.seeded.push((Want { chunk, places: vec![place] }, found));
        } else {
            self.wanted.insert(chunk, self.group.wanted.len());
            self.group.wanted.push(Want { chunk, places: vec![place] });
        }
        self.len += 1;
    }
}

#[cfg(test)]
mod tests;
