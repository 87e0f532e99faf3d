//! Tiny releases, made as a push makes them.

use std::collections::BTreeMap;

use bytes::Bytes;
use seawall_api::content::SubtreeValue;
use seawall_api::digest::{ChunkDigest, ContentDigest, LeafDigest};
use seawall_api::index::{ChunkRef, DiskIndex, Extent, Leaf, LeafRef};
use seawall_api::release::{Architecture, Bus, Disk, Document, Firmware, Machine, Release, Schema};
use seawall_api::units::{ChunkLen, DiskLen};
use seawall_store::pack::{FinishedPack, PackWriter};

/// The length of every chunk in these tests.
pub const CHUNK: usize = 4096;

/// A disk cut into chunks, one leaf long. `.` stands for a hole of a chunk's length.
pub struct TinyDisk {
    pub plain: Vec<(ChunkDigest, Vec<u8>)>,
    pub leaf: Leaf,
    pub index: DiskIndex,
}

impl TinyDisk {
    /// Creates a disk with a chunk for each letter. The same letter gives the same chunk.
    pub fn new(letters: &str) -> Self {
        let mut plain = Vec::new();
        let mut bytes = Vec::new();
        let mut extents: Vec<Extent> = Vec::new();
        for letter in letters.bytes() {
            if letter == b'.' {
                bytes.extend_from_slice(&[0; CHUNK]);
                match extents.last_mut() {
                    Some(Extent::Hole(len)) => *len += CHUNK as u32,
                    _ => extents.push(Extent::Hole(CHUNK as u32)),
                }
                continue;
            }
            let chunk = noise(letter);
            let digest = ChunkDigest::of(&chunk);
            bytes.extend_from_slice(&chunk);
            let len = ChunkLen::new(CHUNK as u64).unwrap();
            extents.push(Extent::Data(ChunkRef { digest, len }));
            plain.push((digest, chunk));
        }
        let content = ContentDigest::of(&bytes);
        let leaf = Leaf::new(extents, bytes.len() as u64).unwrap();
        let value = SubtreeValue(*content.as_bytes());
        let len = DiskLen::new(bytes.len() as u64).unwrap();
        let leaves = vec![LeafRef { digest: leaf.digest(), value }];
        let index = DiskIndex::new(len, 0, leaves).unwrap();
        assert_eq!(index.content(), content);
        Self { plain, leaf, index }
    }

    pub fn pack(&self) -> FinishedPack {
        let mut writer = PackWriter::default();
        let mut seen = std::collections::HashSet::new();
        for (digest, bytes) in &self.plain {
            if seen.insert(*digest) {
                writer.push(*digest, ChunkLen::new(bytes.len() as u64).unwrap(), bytes);
            }
        }
        writer.finish(None)
    }

    pub fn chunks(&self) -> Vec<ChunkDigest> {
        self.plain.iter().map(|(digest, _)| *digest).collect()
    }

    pub fn leaf_bytes(&self) -> (LeafDigest, Bytes) {
        (self.leaf.digest(), Bytes::from(self.leaf.encode()))
    }

    pub fn disk(&self, name: &str) -> Disk {
        Disk {
            name: name.parse().unwrap(),
            len: self.index.disk_len().get(),
            content: self.index.content(),
            index: self.index.digest(),
            bus: Bus::Virtio,
        }
    }
}

/// Returns incompressible bytes that differ by seed.
fn noise(seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; CHUNK];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

pub fn machine(name: &str, disks: Vec<Disk>) -> Machine {
    Machine {
        name: name.parse().unwrap(),
        architecture: Architecture::X86_64,
        firmware: Firmware::Bios,
        cpus: 2,
        memory_mib: 2048,
        start_order: 0,
        disks,
        network_cards: vec![],
        annotations: BTreeMap::new(),
        descriptor: None,
    }
}

/// A release with machines `db` and `web`, whose disks have these letters.
pub struct TinyRelease {
    pub release: Release,
    pub disks: Vec<TinyDisk>,
}

impl TinyRelease {
    pub fn new(application: &str, version: &str, db: &str, web: &str) -> Self {
        Self::edited(application, version, [db, web], |_| {})
    }

    pub fn edited(
        application: &str,
        version: &str,
        letters: [&str; 2],
        edit: impl FnOnce(&mut Document),
    ) -> Self {
        let disks: Vec<_> = letters.iter().map(|letters| TinyDisk::new(letters)).collect();
        let mut document = Document {
            schema: Schema::V1,
            application: application.parse().unwrap(),
            version: version.parse().unwrap(),
            machines: vec![
                machine("db", vec![disks[0].disk("root")]),
                machine("web", vec![disks[1].disk("root")]),
            ],
            networks: vec![],
            parameters: BTreeMap::new(),
            annotations: BTreeMap::new(),
        };
        edit(&mut document);
        Self { release: Release::new(document).unwrap(), disks }
    }
}
