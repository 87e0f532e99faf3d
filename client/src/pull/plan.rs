//! Pull, stage 3: for each extent in place, seed or fetch. Pure but for reading cached leaves.

use std::collections::HashMap;

use seawall_api::index::{ChunkRef, Extent};

use super::seeds::Seeds;
use crate::directory::DiskLayout;
use crate::fetch::{FetchError, Group, Place, SeedPlace, Want};
use crate::host::HostError;

/// Chunks located with one question: those of about 256 MiB of disk.
const GROUP_LEN: usize = 4096;

/// Plain bytes of data on the disks, repeats counted.
pub(super) fn data_bytes(layouts: &[DiskLayout]) -> Result<u64, HostError> {
    let mut sum = 0;
    for layout in layouts {
        for run in layout.data_runs()? {
            sum += run.end - run.start;
        }
    }
    Ok(sum)
}

/// What is wanted, in disk order, a group at a time.
///
/// Seeds are numbered after the disks themselves: a seed below `layouts.len()` is the disk's own
/// file, which a pull that broke off may have filled in part (`is_resumed`).
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

/// Groups that are brought before what they missed is: about 4 GiB of disk. A pull that goes on
/// may miss all that it looks for in place, and remembers no more than this.
pub(super) const GROUPS_AT_ONCE: usize = 16;

/// What was not found where it was looked for, to be taken from `seeds` or else fetched.
pub(super) fn regroup(
    missed: Vec<Want>,
    seeds: Option<&Seeds>,
    own_count: usize,
) -> Vec<Result<Group, FetchError>> {
    // The same chunk may have been missed at several places.
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
    /// Where in the group a chunk is, so that each is read or fetched once.
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
            // Each place is looked at by itself: the same chunk may be whole at one and not yet
            // written at another.
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
