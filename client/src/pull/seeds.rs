//! Local disks whose chunks may stand in for a fetch.

use std::collections::HashMap;
use std::path::Path;

use seawall_api::digest::ChunkDigest;
use seawall_api::index::Extent;
use seawall_api::release::Release;
use seawall_store::image::{self, DiskImage, OpenOptions};

use crate::directory::{IndexCache, OWN_FOLDER};
use crate::fetch::SeedPlace;
use crate::host::HostState;

/// Disks that are opened as seeds at most.
const SEED_DISKS_MAX: usize = 64;
/// Chunks that are remembered of them: about 64 GiB of data, and 64 MiB of memory.
const SEED_CHUNKS_MAX: usize = 1 << 20;

/// The chunks of local disks, by digest.
#[derive(Default)]
pub(crate) struct Seeds {
    disks: Vec<Box<dyn DiskImage>>,
    chunks: HashMap<ChunkDigest, (u32, u64)>,
}

impl Seeds {
    /// Opens the releases that this host holds, those of the same application first.
    ///
    /// A holding that cannot be read is left out: a seed only saves time.
    pub(crate) fn open(state: &HostState, release: &Release, except: &Path) -> Self {
        let mut seeds = Self::default();
        for holding in state.holdings(release.application()) {
            if holding.directory == except {
                continue;
            }
            let cache = IndexCache::new(holding.directory.join(OWN_FOLDER).join("indexes"));
            for disk in &holding.disks {
                if seeds.disks.len() < SEED_DISKS_MAX {
                    seeds.add(&disk.path, cache.layout(disk.index));
                }
            }
        }
        seeds
    }

    fn add(&mut self, path: &Path, layout: Option<crate::directory::DiskLayout>) {
        let Some(layout) = layout else { return };
        // A directory that others may write to names no further files to be read.
        let options = OpenOptions { allow_backing: false, ..OpenOptions::default() };
        let Ok(image) = image::open(path, &options) else { return };
        if image.disk_len() != layout.index().disk_len().get() {
            return;
        }
        let disk = u32::try_from(self.disks.len()).unwrap_or(u32::MAX);
        for (offset, extent) in layout.extents().flatten() {
            if let Extent::Data(chunk) = extent
                && self.chunks.len() < SEED_CHUNKS_MAX
            {
                self.chunks.entry(chunk.digest).or_insert((disk, offset));
            }
        }
        self.disks.push(image);
    }

    /// A place that held the chunk when its disk was pulled.
    pub(crate) fn find(&self, chunk: ChunkDigest) -> Option<SeedPlace> {
        let (disk, offset) = self.chunks.get(&chunk)?;
        Some(SeedPlace { seed: *disk as usize, offset: *offset })
    }

    /// Fills `plain` from a place; `false` where it cannot be read.
    pub(crate) fn read(&self, place: SeedPlace, plain: &mut [u8]) -> bool {
        self.disks.get(place.seed).is_some_and(|disk| {
            let end = place.offset.checked_add(plain.len() as u64);
            end.is_some_and(|end| end <= disk.disk_len())
                && disk.read_at(place.offset, plain).is_ok()
        })
    }
}
