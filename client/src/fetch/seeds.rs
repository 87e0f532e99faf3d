//! Local disks whose chunks replace fetches.

use std::collections::HashMap;
use std::path::Path;

use seawall_api::digest::ChunkDigest;
use seawall_api::index::Extent;
use seawall_api::release::Release;
use seawall_store::image::DiskImage;

use super::SeedPlace;
use crate::directory::{DiskLayout, IndexCache, open_image};
use crate::folder::Folder;
use crate::host::HostState;

/// The maximum number of disks opened as seeds.
const SEED_DISKS_MAX: usize = 64;
/// The maximum number of chunks indexed: about 64 GiB of data, in 64 MiB of memory.
const SEED_CHUNKS_MAX: usize = 1 << 20;

/// The chunks of local disks, by digest.
#[derive(Default)]
pub(crate) struct Seeds {
    disks: Vec<Box<dyn DiskImage>>,
    chunks: HashMap<ChunkDigest, (u32, u64)>,
}

impl Seeds {
    /// Opens the holdings of this host as seeds, those of the same application first.
    ///
    /// Skips holdings that cannot be read, because a seed only saves time.
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
                    // Without permission for further files, as others may have write access to the
                    // directory.
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

    /// Returns a place that held the chunk when its disk was pulled.
    pub(crate) fn find(&self, chunk: ChunkDigest) -> Option<SeedPlace> {
        let (disk, offset) = self.chunks.get(&chunk)?;
        Some(SeedPlace { seed: *disk as usize, offset: *offset })
    }

    /// Fills `plain` from a place. Returns false if the bytes cannot be read.
    pub(crate) fn read(&self, place: SeedPlace, plain: &mut [u8]) -> bool {
        self.disks.get(place.seed).is_some_and(|disk| {
            let end = place.offset.checked_add(plain.len() as u64);
            end.is_some_and(|end| end <= disk.disk_len())
                && disk.read_at(place.offset, plain).is_ok()
        })
    }
}
