//! Push, stage 1: opens the disks' files.

use std::path::PathBuf;
use std::sync::Arc;

use seawall_api::index::DiskIndex;
use seawall_api::units::DiskLen;
use seawall_store::image::DiskImage;
use seawall_store::scan::{self, LeafScan, ScanError};

use super::{Push, PushError, Reuse};
use crate::disk::{DiskError, DiskSource, OpenDisk};
use crate::host::{HostState, ScanMemo};
use crate::progress::Stage;
use crate::spec::DiskSpec;

/// An open disk and the known part of its content.
pub(super) struct Source {
    path: PathBuf,
    disk: OpenDisk,
    memo: Option<ScanMemo>,
    index: Option<DiskIndex>,
    is_recalled: bool,
}

/// Opens every disk of the push, in document order, and recalls known indexes.
pub(super) async fn open(push: &Arc<Push>) -> Result<Vec<Source>, PushError> {
    let push = Arc::clone(push);
    blocking(move || push.spec.disks().map(|(_, disk)| Source::open(&push, disk)).collect()).await
}

/// Runs blocking work on a thread for blocking work.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PushError> + Send + 'static,
) -> Result<T, PushError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| PushError::Defect)?
}

impl Source {
    fn open(push: &Push, disk: &DiskSpec) -> Result<Self, PushError> {
        let DiskSpec { path, format, packed, .. } = disk;
        let disk = match packed {
            None => push.access.open(path, *format, push.progress.as_ref())?,
            Some(packed) => {
                let image = packed.open(path, *format)?;
                push.access.guard(image.into(), None)?
            }
        };
        // Taken before any byte is cut, so that every later write is detected.
        let memo = push.state.memo(disk.image.files());
        // A file may contain several disks, and may be read in several formats.
        let memo = memo.map(|memo| match packed {
            None => memo.of_part(&disk.source.taken_for()),
            Some(packed) => memo.of_part(&format!("{}:{}", disk.source.taken_for(), packed.part())),
        });
        let recalled = if push.full_scan { None } else { memo.as_ref() };
        let index = recalled
            .and_then(|memo| push.state.recall(memo))
            .filter(|index| index.disk_len().get() == disk.image.disk_len());
        let is_recalled = index.is_some();
        Ok(Self { path: path.clone(), disk, memo, index, is_recalled })
    }

    pub(super) fn image(&self) -> &Arc<dyn DiskImage> {
        &self.disk.image
    }

    /// Returns the assumed format of the disk's file.
    pub(super) fn taken_for(&self) -> &DiskSource {
        &self.disk.source
    }

    pub(super) fn path(&self) -> &PathBuf {
        &self.path
    }

    pub(super) fn index(&self) -> Option<&DiskIndex> {
        self.index.as_ref()
    }

    pub(super) fn is_recalled(&self) -> bool {
        self.is_recalled
    }

    pub(super) fn set_index(&mut self, index: DiskIndex) {
        self.index = Some(index);
        self.is_recalled = false;
    }

    /// Fails if the disk's files changed since they were opened.
    pub(super) fn check_unchanged(&self) -> Result<(), PushError> {
        match &self.memo {
            Some(memo) if !memo.is_current() => Err(PushError::Changed { path: self.path.clone() }),
            _ => Ok(()),
        }
    }

    pub(super) fn remember(&self, state: &HostState) {
        if let (Some(memo), Some(index)) = (&self.memo, &self.index) {
            state.remember(memo, index);
        }
    }

    /// Returns the number of bytes to read, which are data by the disk's allocation map.
    pub(super) fn allocated_bytes(&self) -> Result<u64, PushError> {
        let mut sum = 0;
        let mut offset = 0;
        while let Some(run) = self.image().next_data(offset).map_err(DiskError::from)? {
            sum += run.end - run.start;
            offset = run.end;
        }
        Ok(sum)
    }

    fn scan_error(&self) -> impl Fn(ScanError) -> PushError + use<> {
        let path = self.path.clone();
        move |source| PushError::Scan { path: path.clone(), source }
    }

    /// Checks the disk's length before anything is sent.
    pub(super) fn disk_len(&self) -> Result<DiskLen, PushError> {
        DiskLen::new(self.image().disk_len()).map_err(|e| self.scan_error()(e.into()))
    }
}

/// Scans every disk without a recalled index, and sends nothing.
pub(super) async fn scan(push: &Arc<Push>, sources: &mut [Source]) -> Result<(), PushError> {
    let pending: Vec<_> = sources.iter_mut().filter(|source| source.index.is_none()).collect();
    let mut total = 0;
    for source in &pending {
        total += source.allocated_bytes()?;
    }
    push.progress.begin(Stage::Scan, Some(total));
    for source in pending {
        let (image, push) = (Arc::clone(source.image()), Arc::clone(push));
        let failed = source.scan_error();
        let index = blocking(move || {
            let ignore = |_: usize, _: &LeafScan| Ok::<_, ScanError>(());
            let advance = |bytes| push.progress.advance(bytes);
            scan::scan_disk(image.as_ref(), push.threads, &ignore, &advance).map_err(failed)
        });
        source.index = Some(index.await?);
    }
    Ok(())
}

/// Returns the positions of the disks to read, whose indexes the registry does not hold.
pub(super) async fn not_held(
    push: &Arc<Push>,
    sources: &mut [Source],
    reuse: &mut Reuse,
) -> Result<Vec<usize>, PushError> {
    let mut pending = Vec::new();
    for (position, source) in sources.iter_mut().enumerate() {
        let is_held = match &source.index {
            Some(index) => push.registry.has_index(index.digest()).await?,
            None => false,
        };
        if is_held {
            reuse.unchanged_disks += 1;
        } else {
            source.is_recalled = false;
            pending.push(position);
        }
    }
    Ok(pending)
}
