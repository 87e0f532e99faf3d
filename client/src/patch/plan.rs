//! Patch, stage 3: the steps from one release to another. Pure except for reading cached leaves.

use std::collections::{HashMap, HashSet};

use seawall_api::index::{ChunkRef, Extent};
use serde::Serialize;

use crate::directory::DiskLayout;
use crate::fetch::{FetchError, Group, Place, SeedPlace, Want};
use crate::folder::FolderPath;
use crate::host::HostError;

/// The number of chunks located with one request.
const GROUP_LEN: usize = 4096;

/// A disk of the directory before the patch.
pub(super) struct OldDisk {
    pub(super) layout: DiskLayout,
    /// The path of the file in the directory.
    pub(super) file: FolderPath,
}

/// The place of a needed chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// On an old disk, at a place that the patch leaves unchanged. Copied during the application.
    Stays(SeedPlace),
    /// On an old disk, at a place that the patch overwrites. Staged before the commit.
    Moves(SeedPlace),
    /// Only in the registry.
    Away,
}

/// Chunks to write and holes to punch.
#[derive(Default, Debug)]
pub(super) struct Steps {
    needs: Vec<(Want, Found)>,
    /// The runs that become holes, with their lengths in bytes.
    holes: Vec<(Place, u64)>,
    sums: Sums,
}

/// The sums of a plan, in plain bytes of data.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sums {
    /// The bytes that stay in place.
    pub in_place_bytes: u64,
    /// The bytes found elsewhere on the disks.
    pub moved_bytes: u64,
    /// The bytes to fetch, counting repeated chunks each time.
    pub fetched_bytes: u64,
    /// The bytes of data that become holes.
    pub punched_bytes: u64,
}

impl Sums {
    /// Returns the number of bytes to write to the disks.
    #[must_use]
    pub fn written_bytes(&self) -> u64 {
        self.moved_bytes + self.fetched_bytes
    }
}

impl Steps {
    /// Returns the steps from `old` to `new`. `in_place` has the file to write in place for each
    /// new disk, or `None` for a disk that is created.
    pub(super) fn between(
        old: &[OldDisk],
        new: &[DiskLayout],
        in_place: &[Option<FolderPath>],
    ) -> Result<Self, HostError> {
        let base: Vec<Option<usize>> = in_place
            .iter()
            .map(|file| old.iter().position(|disk| Some(&disk.file) == file.as_ref()))
            .collect();
        let mut steps = Self::default();
        let mut changes = Vec::new();
        let mut stays = HashSet::new();
        for (disk, (layout, &base)) in new.iter().zip(&base).enumerate() {
            let before = match base {
                Some(base) => Before::of(&old[base].layout)?,
                None => Before::default(),
            };
            for extent in layout.extents() {
                let (offset, extent) = extent?;
                let place = Place { disk, offset };
                match extent {
                    Extent::Data(chunk) if before.holds(offset, chunk) => {
                        steps.sums.in_place_bytes += u64::from(chunk.len);
                        stays.extend(base.map(|seed| (seed, offset)));
                    }
                    Extent::Data(chunk) => changes.push((place, chunk)),
                    Extent::Hole(len) => steps.punch(place, u64::from(len), &before),
                }
            }
        }
        let sources = sources(old, &changes, &stays)?;
        let mut known: HashMap<ChunkRef, usize> = HashMap::new();
        for (place, chunk) in changes {
            let found = sources.get(&chunk).copied().unwrap_or(Found::Away);
            match found {
                Found::Away => steps.sums.fetched_bytes += u64::from(chunk.len),
                Found::Stays(_) | Found::Moves(_) => steps.sums.moved_bytes += u64::from(chunk.len),
            }
            if let Some(&at) = known.get(&chunk) {
                steps.needs[at].0.places.push(place);
            } else {
                known.insert(chunk, steps.needs.len());
                steps.needs.push((Want { chunk, places: vec![place] }, found));
            }
        }
        Ok(steps)
    }

    /// Punches the parts of a new hole that were data.
    fn punch(&mut self, place: Place, len: u64, before: &Before) {
        for (start, end) in before.data_within(place.offset, place.offset + len) {
            self.sums.punched_bytes += end - start;
            self.holes.push((Place { offset: start, ..place }, end - start));
        }
    }

    pub(super) fn sums(&self) -> Sums {
        self.sums
    }

    pub(super) fn holes(&self) -> &[(Place, u64)] {
        &self.holes
    }

    /// Returns the chunks to copy when the patch is applied, which need no staging.
    pub(super) fn copies(&self) -> impl Iterator<Item = (&Want, SeedPlace)> {
        self.needs.iter().filter_map(|(want, found)| match found {
            Found::Stays(place) => Some((want, *place)),
            Found::Moves(_) | Found::Away => None,
        })
    }

    /// Returns the chunks to fetch.
    pub(super) fn wanted(&self) -> Vec<Want> {
        let away = self.needs.iter().filter(|(_, found)| *found == Found::Away);
        away.map(|(want, _)| want.clone()).collect()
    }

    /// Returns the contents of the journal: the number of moved bytes, and the chunks to fetch.
    ///
    /// A chunk counts once, and only if `is_in_place` holds for one of its disks.
    pub(super) fn journal_parts(&self, is_in_place: impl Fn(usize) -> bool) -> (u64, Vec<Want>) {
        let (mut moved, mut wanted) = (0, Vec::new());
        let needs = self.needs.iter();
        let gathered =
            needs.filter(|(want, _)| want.places.iter().any(|place| is_in_place(place.disk)));
        for (want, found) in gathered {
            match found {
                Found::Stays(_) => {}
                Found::Moves(_) => moved += u64::from(want.chunk.len),
                Found::Away => wanted.push(want.clone()),
            }
        }
        (moved, wanted)
    }

    /// Returns the plain length of the journal's chunks in bytes.
    pub(super) fn journal_bytes(&self, is_in_place: impl Fn(usize) -> bool) -> u64 {
        let (moved, wanted) = self.journal_parts(is_in_place);
        moved + wanted.iter().map(|want| u64::from(want.chunk.len)).sum::<u64>()
    }

    /// Returns the groups of chunks to stage, and the number of plain bytes staged already.
    pub(super) fn groups(
        &self,
        is_staged: impl Fn(&Want) -> bool,
    ) -> (Vec<Result<Group, FetchError>>, u64) {
        let (mut rest, mut kept_bytes) = (Vec::new(), 0);
        for (want, found) in &self.needs {
            match found {
                Found::Stays(_) => {}
                Found::Moves(_) | Found::Away if is_staged(want) => {
                    kept_bytes += u64::from(want.chunk.len);
                }
                Found::Moves(_) | Found::Away => rest.push((want, found)),
            }
        }
        let groups = rest.chunks(GROUP_LEN).map(|part| {
            let mut group = Group::default();
            for &(want, found) in part {
                match found {
                    Found::Stays(_) => {}
                    Found::Moves(place) => group.seeded.push((want.clone(), *place)),
                    Found::Away => group.wanted.push(want.clone()),
                }
            }
            Ok(group)
        });
        (groups.collect(), kept_bytes)
    }
}

/// The data extents of a disk before the patch, by offset.
#[derive(Default)]
struct Before {
    extents: Vec<(u64, ChunkRef)>,
}

impl Before {
    fn of(layout: &DiskLayout) -> Result<Self, HostError> {
        let mut extents = Vec::new();
        for extent in layout.extents() {
            if let (offset, Extent::Data(chunk)) = extent? {
                extents.push((offset, chunk));
            }
        }
        Ok(Self { extents })
    }

    fn holds(&self, offset: u64, chunk: ChunkRef) -> bool {
        let at = self.extents.binary_search_by_key(&offset, |(offset, _)| *offset);
        at.is_ok_and(|at| self.extents[at].1 == chunk)
    }

    /// Returns the runs of data between two offsets, merged.
    fn data_within(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let first = self.extents.partition_point(|(at, chunk)| at + u64::from(chunk.len) <= start);
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for &(at, chunk) in self.extents[first..].iter().take_while(|(at, _)| *at < end) {
            let (from, to) = (at.max(start), (at + u64::from(chunk.len)).min(end));
            match runs.last_mut() {
                Some(run) if run.1 == from => run.1 = to,
                _ => runs.push((from, to)),
            }
        }
        runs
    }
}

/// Locates the changed chunks on the old disks, preferring places that stay.
fn sources(
    old: &[OldDisk],
    changes: &[(Place, ChunkRef)],
    stays: &HashSet<(usize, u64)>,
) -> Result<HashMap<ChunkRef, Found>, HostError> {
    let needed: HashSet<_> = changes.iter().map(|(_, chunk)| *chunk).collect();
    let mut found: HashMap<ChunkRef, Found> = HashMap::new();
    for (seed, disk) in old.iter().enumerate() {
        for extent in disk.layout.extents() {
            let (offset, Extent::Data(chunk)) = extent? else { continue };
            if !needed.contains(&chunk) {
                continue;
            }
            let place = SeedPlace { seed, offset };
            if stays.contains(&(seed, offset)) {
                found.insert(chunk, Found::Stays(place));
            } else {
                found.entry(chunk).or_insert(Found::Moves(place));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
