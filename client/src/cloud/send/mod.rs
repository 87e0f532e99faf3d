//! Send: writes the blocks of a disk to a volume.
//!
//! Blocks are read in runs, hashed on several threads, and put with many calls in flight. A journal
//! on this host notes the written blocks, so that a flow that was killed writes the others only.
//! Without the journal all blocks are written again, which the provider permits.

mod journal;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use seawall_store::image::DiskImage;
use seawall_store::read::StoredDisk;
use sha2::{Digest, Sha256};

use self::journal::Journal;
use super::{Cloud, CloudError, VolumeSpec};
use crate::host::HostState;
use crate::progress::Progress;

/// The number of blocks that are read at once.
const RUN_BLOCKS_MAX: u64 = 8;
/// The number of runs that are read concurrently.
const RUNS_AT_ONCE: usize = 3;
/// The maximum number of calls in flight. The provider's own pace may be lower.
const CALLS_AT_ONCE: usize = 100;

/// A block: its index, its bytes and their SHA-256.
type Block = (u64, Bytes, [u8; 32]);

/// A sender of disks to volumes.
pub(super) struct Sender<'a> {
    pub(super) cloud: &'a dyn Cloud,
    pub(super) state: &'a HostState,
    pub(super) progress: &'a dyn Progress,
}

impl Sender<'_> {
    /// Writes the blocks of a disk to a volume and waits until it is complete. Returns its name.
    pub(super) async fn send(
        &self,
        spec: &VolumeSpec,
        image: &Arc<StoredDisk>,
        blocks: &[u64],
    ) -> Result<String, CloudError> {
        let volume = self.cloud.begin(spec).await?;
        let mut journal = Journal::open(self.state, &volume)?;
        let mut digests: BTreeMap<u64, [u8; 32]> = BTreeMap::new();
        for index in blocks {
            if let Some(digest) = journal.digest(*index) {
                digests.insert(*index, digest);
            }
        }
        let block_len = self.cloud.block_len();
        self.progress.reused(digests.len() as u64 * block_len);
        let (total, done) = (blocks.len() as u64, AtomicU64::new(digests.len() as u64));
        let runs = runs(blocks.iter().copied().filter(|index| !digests.contains_key(index)));
        let read = stream::iter(runs).map(|run| read(Arc::clone(image), run, block_len));
        let blocks =
            read.buffered(RUNS_AT_ONCE).map_ok(|run| stream::iter(run.into_iter().map(Ok)));
        let mut puts = blocks
            .try_flatten()
            .map_ok(|(index, bytes, digest): Block| {
                let percent = done.fetch_add(1, Ordering::Relaxed) * 100 / total.max(1);
                let percent = u8::try_from(percent).unwrap_or(100);
                let (cloud, volume) = (self.cloud, volume.as_str());
                async move {
                    cloud.put(volume, index, (bytes, digest), percent).await?;
                    Ok::<_, CloudError>((index, digest))
                }
            })
            .try_buffer_unordered(CALLS_AT_ONCE);
        while let Some((index, digest)) = puts.try_next().await? {
            journal.note(index, digest)?;
            digests.insert(index, digest);
            self.progress.advance(block_len);
            self.progress.transferred(block_len);
        }
        drop(puts);
        let digests: Vec<_> = digests.into_values().collect();
        self.cloud.complete(&volume, &digests).await?;
        self.cloud.settle(&volume).await?;
        journal.remove();
        Ok(volume)
    }
}

/// Joins adjacent indexes to runs of at most [`RUN_BLOCKS_MAX`] blocks: first, and count.
fn runs(indexes: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for index in indexes {
        match runs.last_mut() {
            Some((first, count)) if *first + *count == index && *count < RUN_BLOCKS_MAX => {
                *count += 1;
            }
            _ => runs.push((index, 1)),
        }
    }
    runs
}

/// Reads and hashes a run of blocks. What follows the disk is zeros.
async fn read(
    image: Arc<StoredDisk>,
    (first, count): (u64, u64),
    block_len: u64,
) -> Result<Vec<Block>, CloudError> {
    let work = move || {
        let start = first * block_len;
        let len = usize::try_from(count * block_len).map_err(|_| CloudError::Defect)?;
        let mut bytes = vec![0; len];
        let rest = image.disk_len().saturating_sub(start).min(len as u64);
        let rest = usize::try_from(rest).map_err(|_| CloudError::Defect)?;
        image.read_at(start, &mut bytes[..rest]).map_err(|error| match image.failure() {
            Some(failure) => CloudError::Read(failure),
            None => CloudError::Image(error),
        })?;
        let block_len = usize::try_from(block_len).map_err(|_| CloudError::Defect)?;
        let mut bytes = Bytes::from(bytes);
        let blocks = (first..first + count).map(|index| {
            let block = bytes.split_to(block_len);
            let digest = Sha256::digest(&block).into();
            (index, block, digest)
        });
        Ok(blocks.collect())
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| CloudError::Defect)?
}
