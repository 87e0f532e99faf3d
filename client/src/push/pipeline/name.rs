//! Name: the lists of the scanned leaves, sent last. A list names its leaves, so that all of them
//! are in the registry by then.

use seawall_api::index::{DiskIndex, LeafRef, leaf_count};

use super::{Inputs, Place, PushError};

/// The leaves of each disk. `None` until a leaf is scanned.
pub(super) struct Names(Vec<Vec<Option<LeafRef>>>);

impl Names {
    pub(super) fn new(inputs: &Inputs) -> Self {
        let counts = inputs.disks.iter().map(|disk| leaf_count(disk.disk_len));
        Self(counts.map(|count| vec![None; count]).collect())
    }

    /// Returns the places of all leaves, in disk order.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> + use<> {
        let counts: Vec<_> = self.0.iter().map(Vec::len).enumerate().collect();
        let of_disk = |(disk, count)| (0..count).map(move |leaf| Place { disk, leaf });
        counts.into_iter().flat_map(of_disk)
    }

    pub(super) fn set(&mut self, at: Place, entry: LeafRef) {
        self.0[at.disk][at.leaf] = Some(entry);
    }

    /// Stores the list of each disk and returns it.
    pub(super) async fn store(self, inputs: &Inputs) -> Result<Vec<DiskIndex>, PushError> {
        let mut indexes = Vec::with_capacity(self.0.len());
        for (disk, leaves) in inputs.disks.iter().zip(self.0) {
            let leaves: Option<Vec<LeafRef>> = leaves.into_iter().collect();
            let leaves = leaves.ok_or(PushError::Defect)?;
            let index = DiskIndex::new(disk.disk_len, disk.grid_offset, leaves)
                .map_err(|e| PushError::Scan { path: disk.path.clone(), source: e.into() })?;
            inputs.push.registry.put_index(&inputs.lease, &index).await?;
            indexes.push(index);
        }
        Ok(indexes)
    }
}
