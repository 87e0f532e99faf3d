//! Runs of guest data, in the clusters in which a format allocates.

use std::ops::Range;

use super::{HostRun, LayoutError};

/// A run of clusters that adjoin both in the guest and in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) struct ClusterRun {
    /// The number of the first cluster in the guest.
    pub(in super::super) guest: u64,
    /// The number of clusters.
    pub(in super::super) count: u64,
    /// The number of the first cluster among the clusters with data.
    pub(in super::super) rank: u64,
}

impl ClusterRun {
    /// Returns the guest cluster after the last one.
    pub(in super::super) fn end(&self) -> u64 {
        self.guest + self.count
    }
}

/// The clusters of a disk with data, in guest order.
#[derive(Clone, Debug)]
pub(in super::super) struct Clusters {
    cluster_bits: u32,
    runs: Vec<ClusterRun>,
}

impl Clusters {
    /// Extends data runs to clusters of `1 << cluster_bits` bytes, and joins runs that touch.
    ///
    /// Fails unless the runs are sorted, do not overlap and lie in the disk.
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

    /// Returns the number of clusters with data.
    pub(in super::super) fn count(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.rank + run.count)
    }

    /// Returns all runs, in guest order.
    pub(in super::super) fn runs(&self) -> &[ClusterRun] {
        &self.runs
    }

    /// Returns the runs in a range of guest clusters, clipped to it and in guest order.
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

    /// Returns the place of guest bytes, relative to the start of the data in the file, if clusters
    /// with data follow one another without gaps.
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
