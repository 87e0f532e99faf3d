//! Disks, and a source of their chunks in memory, for tests of the flows.

use std::collections::HashSet;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use seawall_api::digest::ChunkDigest;
use seawall_api::index::Extent;
use seawall_store::image::{self, OpenOptions};
use seawall_store::read::Reader;
use seawall_store::scan::{self, LeafScan, ScanError};
use seawall_store::testing::MemoryPacks;

use crate::directory::{DiskLayout, IndexCache};
use crate::fetch::{Deliver, Fetch, Origin, SeedPlace, Want};
use crate::folder::Folder;
use crate::host::HostError;
use crate::progress::Silent;

/// A source with the chunks of disks, and the layouts of these disks.
pub(crate) struct Bench {
    pub(crate) packs: Arc<MemoryPacks>,
    dir: tempfile::TempDir,
    packed: HashSet<ChunkDigest>,
}

/// Returns bytes that do not compress.
pub(crate) fn noise(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { packs: Arc::default(), dir, packed: HashSet::new() }
    }

    /// Cuts a disk as a push does, and stores its new chunks in one pack.
    pub(crate) fn disk(&mut self, bytes: &[u8]) -> DiskLayout {
        let at = |name: String| self.dir.path().join(name);
        fs::write(at("disk.raw".to_owned()), bytes).unwrap();
        let image = image::open(&at("disk.raw".to_owned()), &OpenOptions::default()).unwrap();
        let keep = |_: usize, scan: &LeafScan| -> Result<(), ScanError> {
            fs::write(at(format!("{}.leaf", scan.leaf.digest().to_hex())), scan.leaf.encode())
                .unwrap();
            Ok(())
        };
        let index = scan::scan_disk(image.as_ref(), 1, &keep, &|_| {}).unwrap();
        fs::write(at(format!("{}.list", index.digest().to_hex())), index.encode()).unwrap();
        let cache = IndexCache::new(Folder::open(self.dir.path()).unwrap());
        let layout = cache.layout(index.digest()).unwrap();
        let mut new = Vec::new();
        for (offset, extent) in layout.extents().flatten() {
            if let Extent::Data(chunk) = extent
                && self.packed.insert(chunk.digest)
            {
                let offset = usize::try_from(offset).unwrap();
                new.push(&bytes[offset..offset + usize::from(chunk.len)]);
            }
        }
        self.packs.pack(new);
        layout
    }

    pub(crate) fn reader(&self) -> Arc<Reader> {
        Arc::new(Reader::new(self.packs.clone(), 2))
    }

    pub(crate) fn fetch(&self) -> Fetch {
        Fetch { reader: self.reader(), progress: Arc::new(Silent) }
    }
}

/// One disk in memory, written from chunks. Its former content is the one seed.
pub(crate) struct MemoryDisk {
    before: Vec<u8>,
    now: Mutex<Vec<u8>>,
}

impl MemoryDisk {
    pub(crate) fn new(before: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { now: Mutex::new(before.clone()), before })
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Deliver for MemoryDisk {
    fn deliver(&self, want: &Want, plain: &[u8], _: Origin<'_>) -> Result<(), HostError> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        for place in &want.places {
            let offset = usize::try_from(place.offset).unwrap();
            now[offset..offset + plain.len()].copy_from_slice(plain);
        }
        Ok(())
    }

    fn read_seed(&self, place: SeedPlace, plain: &mut [u8]) -> bool {
        let offset = usize::try_from(place.offset).unwrap();
        plain.copy_from_slice(&self.before[offset..offset + plain.len()]);
        true
    }
}
