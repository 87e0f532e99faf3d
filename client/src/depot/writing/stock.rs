//! What a run knows the depot to hold.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Seek, SeekFrom, Write};

use bytes::Bytes;
use seawall_api::digest::{ChunkDigest, DescriptorDigest, IndexDigest, LeafDigest, PackDigest};
use seawall_api::index::Leaf;
use seawall_api::names::ApplicationName;
use seawall_store::pack::Frame;
use seawall_store::read::Place;
use tempfile::SpooledTempFile;

use crate::depot::documents::{Applications, Releases, Sealed};
use crate::depot::map::MappedLeaf;

/// The length of leaves that are kept in memory, in bytes. Those past it are kept in a file.
const LEAVES_LEN_MAX: usize = 64 << 20;

/// What a run knows the depot to hold.
#[derive(Default)]
pub(super) struct Stock {
    /// Whether the mark of this run is in the depot.
    pub(super) is_running: bool,
    /// Whether it is known what a run that died left behind.
    pub(super) has_looked: bool,
    /// The time since which packs may lie there that no document names, in seconds since
    /// 1970-01-01 UTC.
    pub(super) packs_since_secs: Option<u64>,
    /// Whether something was written that no document names.
    pub(super) is_unnamed: bool,
    /// Whether a document was written in this run.
    pub(super) has_published: bool,
    /// The applications whose newest release was read.
    pub(super) seeded: HashSet<ApplicationName>,
    pub(super) chunks: HashMap<ChunkDigest, Place>,
    pub(super) leaves: Leaves,
    /// The data of the disk of each index that has a map, in bytes.
    pub(super) indexes: HashMap<IndexDigest, u64>,
    pub(super) descriptors: HashSet<DescriptorDigest>,
    pub(super) listed: HashMap<ApplicationName, Option<Sealed<Releases>>>,
    pub(super) applications: Option<Option<Sealed<Applications>>>,
}

impl Stock {
    /// Learns a leaf of a map.
    pub(super) fn learn(&mut self, leaf: &MappedLeaf) -> io::Result<()> {
        if let Ok(extents) = Leaf::decode_any(&leaf.bytes) {
            let chunks = extents.chunks().map(|chunk| chunk.digest);
            self.chunks.extend(chunks.zip(leaf.places.iter().copied()));
        }
        self.leaves.put(leaf)
    }
}

/// Returns the places of the frames of a pack.
pub(super) fn places(
    pack: PackDigest,
    frames: &[Frame],
) -> impl Iterator<Item = (ChunkDigest, Place)> + '_ {
    frames.iter().map(move |frame| {
        let (offset, stored_len) = (frame.offset, frame.stored_len);
        let (plain_len, encoding) = (frame.plain_len.get(), frame.encoding.number());
        (frame.digest, Place { pack, offset, stored_len, plain_len, encoding })
    })
}

/// Leaves with their places, in memory or, when they are many, in a file without a name.
pub(super) struct Leaves {
    spool: SpooledTempFile,
    len: u64,
    at: HashMap<LeafDigest, (u64, usize)>,
}

impl Default for Leaves {
    fn default() -> Self {
        Self { spool: SpooledTempFile::new(LEAVES_LEN_MAX), len: 0, at: HashMap::new() }
    }
}

impl Leaves {
    pub(super) fn contains(&self, leaf: LeafDigest) -> bool {
        self.at.contains_key(&leaf)
    }

    /// Keeps a leaf, unless it is kept.
    pub(super) fn put(&mut self, leaf: &MappedLeaf) -> io::Result<()> {
        if self.contains(leaf.digest) {
            return Ok(());
        }
        self.spool.seek(SeekFrom::Start(self.len))?;
        let len = leaf.bytes.len() + RECORD_LEN * leaf.places.len();
        self.spool.write_all(&leaf.bytes)?;
        for place in &leaf.places {
            self.spool.write_all(&record(place))?;
        }
        self.at.insert(leaf.digest, (self.len, leaf.bytes.len()));
        self.len += len as u64;
        Ok(())
    }

    /// Returns a leaf, `None` if it is not kept.
    pub(super) fn get(&mut self, digest: LeafDigest) -> io::Result<Option<MappedLeaf>> {
        let Some(&(offset, len)) = self.at.get(&digest) else { return Ok(None) };
        self.spool.seek(SeekFrom::Start(offset))?;
        let mut bytes = vec![0; len];
        self.spool.read_exact(&mut bytes)?;
        let leaf = Leaf::decode_any(&bytes).map_err(io::Error::other)?;
        let mut places = Vec::new();
        for chunk in leaf.chunks() {
            let mut record = [0; RECORD_LEN];
            self.spool.read_exact(&mut record)?;
            places.push(place(&record, chunk.len.get()));
        }
        Ok(Some(MappedLeaf { digest, bytes: Bytes::from(bytes), places }))
    }
}

/// The length of a place in the spool, in bytes.
const RECORD_LEN: usize = 32 + 8 + 4 + 1;

fn record(place: &Place) -> [u8; RECORD_LEN] {
    let mut record = [0; RECORD_LEN];
    record[..32].copy_from_slice(place.pack.as_bytes());
    record[32..40].copy_from_slice(&place.offset.to_le_bytes());
    record[40..44].copy_from_slice(&place.stored_len.to_le_bytes());
    record[44] = place.encoding;
    record
}

fn place(record: &[u8; RECORD_LEN], plain_len: u32) -> Place {
    let (pack, rest) = record.split_first_chunk::<32>().expect("a record begins with a digest");
    let (offset, rest) = rest.split_first_chunk::<8>().expect("an offset follows");
    let (stored_len, rest) = rest.split_first_chunk::<4>().expect("a length follows");
    Place {
        pack: PackDigest::from_bytes(*pack),
        offset: u64::from_le_bytes(*offset),
        stored_len: u32::from_le_bytes(*stored_len),
        plain_len,
        encoding: rest[0],
    }
}
