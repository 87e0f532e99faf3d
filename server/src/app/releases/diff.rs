//! Diff: the differences between two releases, and the cost of moving from one to the other.
//!
//! # Invariants
//!
//! 1. A leaf in both releases adds no new chunks. Only leaves exclusive to `to` are searched for
//!    new chunks; the chunks of every leaf of `from` are then removed.
//! 2. Memory is bounded by the chunks in leaves exclusive to `to`, at most [`CHUNKS_MAX`], the
//!    lists of both releases' indexes, at most [`LEAVES_MAX`] entries, and two leaves.
//! 3. A diff reads nothing before its turn, and no turn exceeds [`TIME_MAX`], even after the client
//!    has disconnected.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use seawall_api::digest::{ChunkDigest, IndexDigest, LeafDigest, ReleaseDigest};
use seawall_api::index::{DiskIndex, leaf_count};
use seawall_api::names::{ApplicationName, DiskName, MachineName};
use seawall_api::reference::Selector;
use seawall_api::release::{Disk, Machine, Release};
use seawall_api::units::DiskLen;
use tokio::time::timeout;

use super::Releases;
use crate::app::AppError;
use crate::catalog::collect::Grip;

mod extents;
mod fields;

use extents::Comparison;
pub use fields::FieldDiff;

/// Concurrent diffs. Each may hold [`CHUNKS_MAX`] chunks in memory.
pub(in crate::app) const DIFFS_AT_ONCE: usize = 1;
/// The maximum number of chunks in the leaves exclusive to `to`: those of 128 GiB of data.
const CHUNKS_MAX: usize = 2_000_000;
/// The maximum number of leaves in the indexes of both releases, some 130 MiB of memory.
const LEAVES_MAX: usize = 1 << 20;
/// The maximum time to wait for a turn.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// The maximum duration of a diff.
const TIME_MAX: Duration = Duration::from_secs(60);
/// Chunks per catalog query.
const LOCATE_BATCH: usize = 16_384;

/// The differences between two releases.
#[derive(Clone, Debug)]
pub struct ReleaseDiff {
    /// The base release.
    pub from: ReleaseDigest,
    /// The target release.
    pub to: ReleaseDigest,
    /// The differing fields outside machines.
    pub fields: Vec<FieldDiff>,
    /// The differing machines.
    pub machines: Vec<MachineDiff>,
    /// The number of distinct chunks exclusive to `to`.
    pub download_chunks: u64,
    /// The stored length of the chunks exclusive to `to`, in bytes.
    pub download_bytes: u64,
    /// The plain length of the chunks exclusive to `to`, in bytes.
    pub new_plain_bytes: u64,
    /// The data of `to` in chunks present anywhere in `from`, in bytes.
    pub reused_plain_bytes: u64,
}

/// An added, removed or changed machine.
#[derive(Clone, Debug)]
pub struct MachineDiff {
    /// The machine's name.
    pub machine: MachineName,
    /// The presence of the machine in the two releases.
    pub presence: Presence,
    /// The differing fields outside disks.
    pub fields: Vec<FieldDiff>,
    /// The differing disks.
    pub disks: Vec<DiskDiff>,
}

/// The presence of an item in two releases.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// The item is only in `to`.
    Added,
    /// The item is only in `from`.
    Removed,
    /// The item is in both, and differs.
    Changed,
}

/// An added, removed or changed disk.
#[derive(Clone, Debug)]
pub struct DiskDiff {
    /// The disk's name.
    pub disk: DiskName,
    /// The presence of the disk in the two releases.
    pub presence: Presence,
    /// The differing fields other than the content.
    pub fields: Vec<FieldDiff>,
    /// The disk in `from`.
    pub from: Option<Disk>,
    /// The disk in `to`.
    pub to: Option<Disk>,
    /// The number of runs in `to` with bytes that differ from `from` at the same place.
    pub changed_extents: u64,
    /// The total length of the differing runs, in bytes.
    pub changed_bytes: u64,
    /// The plain length of the disk's chunks absent from `from`, in bytes.
    pub new_plain_bytes: u64,
}

/// One of the two releases in a comparison.
pub type Side = (ApplicationName, Selector);

/// The indexes of both releases, each read once.
type Indexes = HashMap<IndexDigest, DiskIndex>;

/// The chunks exclusive to `to`: the plain length, and the last disk that counted the chunk.
type NewChunks = HashMap<ChunkDigest, (u32, Option<u32>)>;

fn presence(from: bool, to: bool) -> Presence {
    match (from, to) {
        (false, _) => Presence::Added,
        (true, false) => Presence::Removed,
        (true, true) => Presence::Changed,
    }
}

impl Releases {
    /// Compares two releases.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if either release does not exist, [`AppError::TooLarge`] beyond the
    /// limits, [`AppError::Busy`] if other comparisons take too long.
    pub async fn diff(&self, from: Side, to: Side) -> Result<ReleaseDiff, AppError> {
        let turn = timeout(WAIT_MAX, self.diffing.acquire()).await;
        let turn =
            turn.map_err(|_| AppError::Busy { what: "other comparisons are in progress" })?;
        let _turn = turn.map_err(|error| AppError::Internal {
            action: "compare releases",
            source: error.into(),
        })?;
        let diff = timeout(TIME_MAX, self.diff_now(from, to)).await;
        diff.unwrap_or_else(|_| Err(too_large(format!("{} s of work", TIME_MAX.as_secs()))))
    }

    async fn diff_now(&self, from: Side, to: Side) -> Result<ReleaseDiff, AppError> {
        let from = self.read(&from.0, &from.1).await?;
        let to = self.read(&to.0, &to.1).await?;
        let indexes = self.indexes_of([&from, &to]).await?;
        let new = self.new_chunks(&leaves_of(&from, &indexes), &leaves_of(&to, &indexes)).await?;
        let download_bytes = self.stored_bytes(&new).await?;
        let new_plain_bytes = new.values().map(|(len, _)| u64::from(*len)).sum();
        let mut tally = Tally { new, disk: 0, new_data_bytes: 0 };
        let machines = self.machines(&from, &to, &indexes, &mut tally).await?;
        Ok(ReleaseDiff {
            from: from.digest(),
            to: to.digest(),
            fields: fields::outside_machines(&from, &to)?,
            machines,
            download_chunks: tally.new.len() as u64,
            download_bytes,
            new_plain_bytes,
            reused_plain_bytes: self.data_bytes(&to).await?.saturating_sub(tally.new_data_bytes),
        })
    }

    async fn indexes_of(&self, releases: [&Release; 2]) -> Result<Indexes, AppError> {
        let mut indexes = Indexes::new();
        // Checked before any index is read: the document has the disk lengths, proven at
        // publication.
        let lens: HashMap<_, _> = releases
            .iter()
            .flat_map(|release| release.disks())
            .map(|(_, disk)| (disk.index, disk.len))
            .collect();
        check_leaves(lens.into_values())?;
        for (_, disk) in releases.into_iter().flat_map(Release::disks) {
            if let Entry::Vacant(vacant) = indexes.entry(disk.index) {
                vacant.insert(self.content.read(disk.index).await?);
            }
        }
        Ok(indexes)
    }

    /// Returns the data bytes of all disks of a release, counting repeated disks each time.
    async fn data_bytes(&self, release: &Release) -> Result<u64, AppError> {
        let mut sum: u64 = 0;
        for (_, disk) in release.disks() {
            let row = self.catalog.index(disk.index, Grip::ANY).await?;
            sum = sum.saturating_add(row.map_or(0, |row| row.data_bytes));
        }
        Ok(sum)
    }

    async fn new_chunks(
        &self,
        from: &HashSet<LeafDigest>,
        to: &HashSet<LeafDigest>,
    ) -> Result<NewChunks, AppError> {
        let mut new = NewChunks::new();
        for leaf in to.difference(from) {
            for chunk in self.content.read(*leaf).await?.chunks() {
                new.insert(chunk.digest, (chunk.len.get(), None));
            }
            if new.len() > CHUNKS_MAX {
                return Err(too_large(format!("{CHUNKS_MAX} chunks")));
            }
        }
        for leaf in from {
            if new.is_empty() {
                break;
            }
            for chunk in self.content.read(*leaf).await?.chunks() {
                new.remove(&chunk.digest);
            }
        }
        Ok(new)
    }

    async fn stored_bytes(&self, new: &NewChunks) -> Result<u64, AppError> {
        let mut sum = 0;
        let chunks: Vec<_> = new.keys().copied().collect();
        for batch in chunks.chunks(LOCATE_BATCH) {
            let (_, places) = self.content.locate_chunks(batch.to_vec()).await?;
            sum += places.iter().map(|place| u64::from(place.frame.stored_len)).sum::<u64>();
        }
        Ok(sum)
    }

    async fn machines(
        &self,
        from: &Release,
        to: &Release,
        indexes: &Indexes,
        tally: &mut Tally,
    ) -> Result<Vec<MachineDiff>, AppError> {
        let mut diffs = Vec::new();
        for (name, (a, b)) in pairs(from.machines(), to.machines(), |m: &Machine| &m.name) {
            let fields = fields::outside_disks(a, b)?;
            let (mine, theirs) = (a.map_or(&[][..], |m| &m.disks), b.map_or(&[][..], |m| &m.disks));
            let mut disks = Vec::new();
            for (disk, sides) in pairs(mine, theirs, |disk: &Disk| &disk.name) {
                disks.extend(self.disk(disk, sides, indexes, tally).await?);
            }
            let presence = presence(a.is_some(), b.is_some());
            if presence != Presence::Changed || !fields.is_empty() || !disks.is_empty() {
                diffs.push(MachineDiff { machine: name.clone(), presence, fields, disks });
            }
        }
        Ok(diffs)
    }

    async fn disk(
        &self,
        name: &DiskName,
        (from, to): (Option<&Disk>, Option<&Disk>),
        indexes: &Indexes,
        tally: &mut Tally,
    ) -> Result<Option<DiskDiff>, AppError> {
        tally.disk += 1;
        let index = |disk: Option<&Disk>| disk.and_then(|disk| indexes.get(&disk.index));
        let mut comparison = Comparison::default();
        if let Some(to_index) = index(to) {
            self.compare(index(from), to_index, &mut comparison, tally).await?;
        }
        let fields = fields::of_disk(from, to)?;
        let presence = presence(from.is_some(), to.is_some());
        let same = from.map(|disk| disk.content) == to.map(|disk| disk.content);
        if presence == Presence::Changed && same && fields.is_empty() {
            return Ok(None);
        }
        Ok(Some(DiskDiff {
            disk: name.clone(),
            presence,
            fields,
            from: from.cloned(),
            to: to.cloned(),
            changed_extents: comparison.runs(),
            changed_bytes: comparison.bytes(),
            new_plain_bytes: comparison.new_plain_bytes,
        }))
    }

    async fn compare(
        &self,
        from: Option<&DiskIndex>,
        to: &DiskIndex,
        comparison: &mut Comparison,
        tally: &mut Tally,
    ) -> Result<(), AppError> {
        for (position, leaf) in to.leaves().iter().enumerate() {
            let before =
                from.and_then(|index| index.leaves().get(position)).map(|leaf| leaf.digest);
            if before == Some(leaf.digest) {
                comparison.same_leaf();
                continue;
            }
            let after = self.content.read(leaf.digest).await?;
            let before = match before {
                Some(digest) => Some(self.content.read(digest).await?),
                None => None,
            };
            comparison.leaf(before.as_ref().map_or(&[], |leaf| leaf.extents()), after.extents());
            for chunk in after.chunks() {
                if let Some((_, counted)) = tally.new.get_mut(&chunk.digest) {
                    let len = u64::from(chunk.len);
                    tally.new_data_bytes += len;
                    if counted.replace(tally.disk) != Some(tally.disk) {
                        comparison.new_plain_bytes += len;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The totals over all disks.
struct Tally {
    new: NewChunks,
    /// The number of the current disk, from 1.
    disk: u32,
    /// The data in chunks exclusive to `to`, in bytes, counting repeats.
    new_data_bytes: u64,
}

fn too_large(limit: String) -> AppError {
    AppError::TooLarge { what: "the difference between these releases".to_owned(), limit }
}

/// Fails if the indexes of disks of these lengths exceed the memory limit.
fn check_leaves(disk_lens: impl Iterator<Item = u64>) -> Result<(), AppError> {
    let mut count: usize = 0;
    for len in disk_lens {
        // An invalid length is reported later, when the index is read.
        let leaves = DiskLen::new(len).map_or(0, leaf_count);
        count = count.saturating_add(leaves);
        if count > LEAVES_MAX {
            return Err(too_large(format!("{LEAVES_MAX} leaves")));
        }
    }
    Ok(())
}

fn leaves_of(release: &Release, indexes: &Indexes) -> HashSet<LeafDigest> {
    let indexes = release.disks().filter_map(|(_, disk)| indexes.get(&disk.index));
    indexes.flat_map(DiskIndex::leaves).map(|leaf| leaf.digest).collect()
}

type Pair<'a, T> = (Option<&'a T>, Option<&'a T>);

/// Pairs items of the same name, ordered by name.
fn pairs<'a, T, K: Ord>(
    from: &'a [T],
    to: &'a [T],
    name: impl Fn(&'a T) -> &'a K,
) -> BTreeMap<&'a K, Pair<'a, T>> {
    let mut pairs: BTreeMap<&K, Pair<'a, T>> = BTreeMap::new();
    for item in from {
        pairs.entry(name(item)).or_default().0 = Some(item);
    }
    for item in to {
        pairs.entry(name(item)).or_default().1 = Some(item);
    }
    pairs
}

#[cfg(test)]
mod tests {
    use seawall_api::problem::Code;
    use seawall_api::units::DISK_LEN_MAX;

    use super::*;

    #[test]
    fn releases_whose_indexes_do_not_fit_in_memory_are_not_compared() {
        // A quarter of the permitted leaves.
        let longest = DISK_LEN_MAX;
        assert_eq!(leaf_count(DiskLen::new(longest).unwrap()) * 4, LEAVES_MAX);
        check_leaves([longest; 4].into_iter()).unwrap();
        let error =
            check_leaves([longest, longest, 512, longest, longest].into_iter()).unwrap_err();
        assert_eq!(error.code(), Code::TooLarge);
    }
}
