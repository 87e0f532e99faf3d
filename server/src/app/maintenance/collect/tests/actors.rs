//! The actors of the simulation: a client's steps through the use cases.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use seawall_api::digest::ChunkDigest;
use seawall_api::index::{ChunkRef, Extent, Leaf};
use seawall_api::names::Version;
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_api::units::ChunkLen;
use seawall_store::codec::Encoding;
use seawall_store::pack::PackWriter;
use seawall_store::read::Prover;

use super::sim::application;
use crate::app::tests::fixture::{TinyDisk, TinyRelease};
use crate::app::{AppError, Publisher, Registry};
use crate::catalog::{LeaseId, Purpose};

/// Pushes a release like the command line, and starts over once if content is missing at the end.
/// The chunks in `trusted` were seen in a parent release and are not asked about.
pub(super) async fn push(
    registry: &Registry,
    tiny: &TinyRelease,
    trusted: &BTreeSet<ChunkDigest>,
) -> Result<(), AppError> {
    let lease = registry.content.open_lease(application(), Purpose::Push).await?;
    match push_under(registry, lease, tiny, trusted).await {
        Err(AppError::Incomplete { .. }) => {
            push_under(registry, lease, tiny, &BTreeSet::new()).await
        }
        outcome => outcome,
    }
}

async fn push_under(
    registry: &Registry,
    lease: LeaseId,
    tiny: &TinyRelease,
    trusted: &BTreeSet<ChunkDigest>,
) -> Result<(), AppError> {
    for disk in &tiny.disks {
        upload(registry, lease, disk, trusted).await?;
    }
    let bytes = Bytes::copy_from_slice(tiny.release.bytes());
    let publisher = Publisher { lease, token: "sim".to_owned() };
    registry.releases.publish(&application(), bytes, publisher).await.map(|_| ())
}

pub(super) async fn upload(
    registry: &Registry,
    lease: LeaseId,
    disk: &TinyDisk,
    trusted: &BTreeSet<ChunkDigest>,
) -> Result<(), AppError> {
    let index = disk.index.digest();
    if registry.content.is_whole(index).await? {
        return Ok(());
    }
    let asked: Vec<_> = disk.chunks().into_iter().filter(|c| !trusted.contains(c)).collect();
    let missing = registry.content.missing_chunks(lease, asked.clone()).await?;
    let missing: BTreeSet<_> = missing.iter().map(|at| asked[*at as usize]).collect();
    let mut writer = PackWriter::default();
    let mut sent = BTreeSet::new();
    for (digest, plain) in &disk.plain {
        if missing.contains(digest) && sent.insert(*digest) {
            writer.push(*digest, ChunkLen::new(plain.len() as u64).unwrap(), plain);
        }
    }
    if !writer.is_empty() {
        let pack = writer.finish(None);
        registry.content.upload_pack(lease, pack.digest, pack.bytes).await?;
    }
    let (leaf, bytes) = disk.leaf_bytes();
    if registry.content.missing_leaves(lease, vec![leaf]).await? == [0] {
        registry.content.put_leaf(lease, leaf, bytes).await?;
    }
    let bytes = Bytes::from(disk.index.encode());
    registry.content.put_index(lease, index, bytes).await.map(|_| ())
}

/// The outcome of a pull.
#[derive(Debug, PartialEq)]
pub(super) enum Pulled {
    /// Every byte of the release was read.
    Whole,
    /// The release does not exist.
    Absent,
    /// The lease ended during the pull, so that missing content is permitted.
    LeaseEnded,
}

/// Pulls a release under a lease, and compares every chunk with its digest.
pub(super) async fn pull(registry: &Registry, version: &Version) -> Result<Pulled, AppError> {
    let lease = registry.content.open_lease(application(), Purpose::Pull).await?;
    let selector = Selector::Version(version.clone());
    let bytes = match registry.releases.document(&application(), &selector).await {
        Ok(bytes) => bytes,
        Err(AppError::NotFound { .. } | AppError::Gone { .. }) => return Ok(Pulled::Absent),
        Err(error) => return Err(error),
    };
    let outcome = read_all(registry, &bytes).await;
    match registry.content.renew_lease(lease).await {
        Err(AppError::LeaseEnded { .. }) => return Ok(Pulled::LeaseEnded),
        renewed => renewed?,
    }
    registry.content.end_lease(lease).await?;
    outcome.map(|()| Pulled::Whole)
}

/// Reads every chunk of a release from its pack, and compares the chunk with its digest.
pub(super) async fn read_all(registry: &Registry, document: &[u8]) -> Result<(), AppError> {
    let release = Release::parse(document).unwrap();
    for (_, disk) in release.disks() {
        let bytes = registry.content.index_bytes(disk.index).await?;
        let index = seawall_api::index::DiskIndex::decode(&bytes).unwrap();
        for leaf in index.leaves() {
            let leaf = Leaf::decode_any(&registry.content.leaf_bytes(leaf.digest).await?).unwrap();
            read_leaf(registry, &leaf).await?;
        }
    }
    Ok(())
}

async fn read_leaf(registry: &Registry, leaf: &Leaf) -> Result<(), AppError> {
    let chunks = leaf.extents().iter().filter_map(|extent| match extent {
        Extent::Data(chunk) => Some(chunk.digest),
        Extent::Hole(_) => None,
    });
    let chunks: Vec<_> = chunks.collect();
    let (packs, places) = registry.content.locate_chunks(chunks.clone()).await?;
    let (mut open, mut prover) = (HashMap::new(), Prover::default());
    for (chunk, place) in chunks.iter().zip(places) {
        let pack = packs[place.pack as usize];
        if let Entry::Vacant(entry) = open.entry(pack) {
            entry.insert(registry.content.pack(pack).await?);
        }
        let frame = place.frame;
        let end = frame.offset + u64::from(frame.stored_len);
        let stored = open[&pack].read(frame.offset..end).await?;
        let chunk = ChunkRef { digest: *chunk, len: frame.plain_len };
        let encoding = Encoding::from_number(frame.encoding).unwrap();
        prover.prove(chunk, encoding, &stored).expect("the bytes of the chunk");
    }
    Ok(())
}
