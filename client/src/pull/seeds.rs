//! Local disks whose chunks may stand in for a fetch.

use std::collections::HashMap;
use std::path::Path;

use seawall_api::digest::ChunkDigest;
use seawall_api::index::Extent;
use seawall_api::release::Release;
use seawall_store::image::DiskImage;

use crate::directory::{DiskLayout, IndexCache, open_image};
use crate::fetch::SeedPlace;
use crate::folder::Folder;
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
            let Ok(folder) = Folder::open(&holding.directory) else { continue };
            let cache = IndexCache::below(&folder);
            for disk in &holding.disks {
                if seeds.disks.len() < SEED_DISKS_MAX
                    && let Some(file) = holding.file(disk)
                    && let Some(layout) = cache.layout(disk.index)
                    // A directory that others may write to names no further files to be read.
                    && let Ok(image) = open_image(&folder, &file, None)
                {
                    seeds.add(image, &layout);
                }
            }
        }
        seeds
    }

    fn add(&mut self, image: Box<dyn DiskImage>, layout: &DiskLayout) {
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
