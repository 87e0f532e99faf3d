//! The layout of a raw file: the disk itself, with holes between its runs of data.

use std::iter;
use std::ops::Range;

use super::{Clusters, HostRun, Layout, LayoutError, Part, Placement};

/// The plan of a raw file, or of the raw part of a file.
#[derive(Clone, Debug)]
pub struct RawLayout {
    disk_len: u64,
    /// Clusters of one byte, so that runs are kept as given.
    data: Clusters,
}

impl RawLayout {
    /// Lays out a disk of `disk_len` bytes with data in these runs.
    ///
    /// Runs are sorted and do not overlap; everything else reads as zeros.
    pub fn new(
        disk_len: u64,
        data_runs: impl IntoIterator<Item = Range<u64>>,
    ) -> Result<Self, LayoutError> {
        Ok(Self { disk_len, data: Clusters::of(0, disk_len, data_runs)? })
    }
}

impl Layout for RawLayout {
    fn file_len(&self) -> u64 {
        self.disk_len
    }

    fn host_offset(&self, guest_offset: u64) -> Option<HostRun> {
        let run = self.data.host_offset(guest_offset)?;
        Some(HostRun { offset: guest_offset, ..run })
    }

    fn placement(&self) -> Placement {
        Placement { start: 0, units: None }
    }

    fn parts(&self) -> Box<dyn Iterator<Item = Part> + Send + '_> {
        let ends = iter::once(0).chain(self.data.runs().iter().map(|run| run.end()));
        let runs = ends.zip(self.data.runs()).flat_map(|(hole, run)| {
            [Part::Zeros(run.guest - hole), Part::Guest(run.guest..run.end())]
        });
        let end = self.data.runs().last().map_or(0, |run| run.end());
        let parts = runs.chain(iter::once(Part::Zeros(self.disk_len - end)));
        Box::new(parts.filter(|part| part.part_len() > 0))
    }
}
