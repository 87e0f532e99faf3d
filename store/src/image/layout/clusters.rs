//! Runs of guest data, cut at the unit in which a format allocates.

use std::ops::Range;

use super::{HostRun, LayoutError};

/// Data that lies side by side both in the guest and in the file, in clusters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) struct ClusterRun {
    /// Its first cluster, counted in the guest.
    pub(in super::super) guest: u64,
    /// How many clusters it has.
    pub(in super::super) count: u64,
    /// Its first cluster, counted over the data of the file.
    pub(in super::super) rank: u64,
}

impl ClusterRun {
    /// The guest cluster after its last.
    pub(in super::super) fn end(&self) -> u64 {
        self.guest + self.count
    }
}

/// The clusters of a disk that hold data, in guest order.
#[derive(Clone, Debug)]
pub(in super::super) struct Clusters {
    cluster_bits: u32,
    runs: Vec<ClusterRun>,
}

impl Clusters {
    /// Cuts data runs at clusters of `1 << cluster_bits` bytes and joins those that touch.
    ///
    /// Runs are sorted and do not overlap.
    pub(in super::super) fn of(
        cluster_bits: u32,
        disk_len: u64,
        data_runs: impl IntoIterator<Item = Range<u64>>,
    ) -> Result<Self, LayoutError> {
        let mut runs: Vec<ClusterRun> = Vec::new();
        let mut last_end = 0;
        for run in data_runs {
            if run.start < last_end || run.end < run.start || run.end > disk_len {
                return Err(LayoutError::RunOutOfPlace { start: run.start, end: run.end });
            }
            last_end = run.end;
            if run.is_empty() {
                continue;
            }
            let first = run.start >> cluster_bits;
            let end = run.end.div_ceil(1 << cluster_bits);
            match runs.last_mut() {
                Some(last) if first <= last.end() => last.count = end - last.guest,
                last => {
                    let rank = last.map_or(0, |last| last.rank + last.count);
                    runs.push(ClusterRun { guest: first, count: end - first, rank });
                }
            }
        }
        Ok(Self { cluster_bits, runs })
    }

    /// How many clusters hold data.
    pub(in super::super) fn count(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.rank + run.count)
    }

    /// All runs, in guest order.
    pub(in super::super) fn runs(&self) -> &[ClusterRun] {
        &self.runs
    }

    /// The runs that have clusters in a range of guest clusters, in guest order, clipped to it.
    pub(in super::super) fn within(
        &self,
        clusters: Range<u64>,
    ) -> impl Iterator<Item = ClusterRun> + '_ {
        let first = self.runs.partition_point(|run| run.end() <= clusters.start);
        self.runs[first..].iter().take_while(move |run| run.guest < clusters.end).map(move |run| {
            let guest = run.guest.max(clusters.start);
            let count = run.end().min(clusters.end) - guest;
            ClusterRun { guest, count, rank: run.rank + (guest - run.guest) }
        })
    }

    /// Where guest bytes go, counted from the first byte of data in the file, when clusters of
    /// data follow one another with nothing in between.
    pub(in super::super) fn host_offset(&self, guest_offset: u64) -> Option<HostRun> {
        let cluster = guest_offset >> self.cluster_bits;
        let after = self.runs.partition_point(|run| run.guest <= cluster);
        let run = self.runs.get(after.checked_sub(1)?)?;
        let end = run.end() << self.cluster_bits;
        let len = end.checked_sub(guest_offset).filter(|len| *len > 0)?;
        let in_run = guest_offset - (run.guest << self.cluster_bits);
        Some(HostRun { offset: (run.rank << self.cluster_bits) + in_run, len })
    }
}
