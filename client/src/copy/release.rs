//! Copies one release: content first, then the names.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use seawall_api::digest::{ChunkDigest, IndexDigest, LeafDigest};
use seawall_api::problem::Code;
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_api::v1::{Lease, LeasePurpose};
use seawall_store::read::Reader;

use super::lacking::{self, LEAVES_PER_BATCH, NamedLeaf};
use super::select::SelectedRelease;
use super::{Amount, CopiedRelease, Copy, CopyError, frames};
use crate::error::ErrorKind;
use crate::fetch::Packs;
use crate::hold;
use crate::registry::RegistryError;
use crate::resolve::{self, Resolved};

/// The leaves that are stored concurrently.
const LEAVES_STORED_AT_ONCE: usize = 4;

/// The objects that earlier releases of a dry run would bring to the target.
#[derive(Default)]
pub(super) struct Planned {
    leaves: HashSet<LeafDigest>,
    chunks: HashSet<ChunkDigest>,
}

/// Copies a release that the target lacks.
pub(super) async fn copy(
    copy: &Copy,
    selected: &SelectedRelease,
    planned: &mut Planned,
) -> Result<CopiedRelease, CopyError> {
    let SelectedRelease { application, version, digest } = selected;
    let mut copied = CopiedRelease {
        application: application.clone(),
        version: version.clone(),
        digest: *digest,
        already_present: is_present(copy, selected).await?,
        held_bytes: 0,
        sent: Amount::default(),
    };
    if copied.already_present {
        return Ok(copied);
    }
    let lease = copy.to.open_lease(application, LeasePurpose::Push, Some(version)).await?;
    let selector = Selector::Digest(*digest);
    let work = resolve::held(&copy.from, application, &selector, async |it| {
        let transfer = Transfer { copy, lease: &lease, source: it, reader: reader(it) };
        transfer.run(&mut copied, planned).await
    });
    let outcome = hold::renewing(copy.to.as_ref(), &lease, work).await;
    if outcome.is_err() || copy.dry_run {
        // An unended lease expires.
        let _ = copy.to.end_lease(&lease).await;
    }
    outcome.map(|()| copied)
}

fn reader(source: &Resolved) -> Arc<Reader> {
    // Frames are decoded only to find the damage in a refused pack.
    Arc::new(Reader::new(Arc::new(Packs::of(source)), 1))
}

/// Returns true if the target has the release.
async fn is_present(copy: &Copy, selected: &SelectedRelease) -> Result<bool, CopyError> {
    let SelectedRelease { application, version, digest } = selected;
    let selector = Selector::Version(version.clone());
    match resolve::document(copy.to.as_ref(), application, &selector).await {
        Ok(found) if found.digest() == *digest => Ok(true),
        Ok(found) => Err(CopyError::VersionTaken {
            application: application.clone(),
            version: version.clone(),
            taken_by: found.digest(),
            copied: *digest,
        }),
        // A damaged document is restored by its copy.
        Err(error) if matches!(error.code(), Some(Code::NotFound | Code::Damaged)) => Ok(false),
        Err(error) if error.code() == Some(Code::Gone) => Err(CopyError::VersionDeleted {
            application: application.clone(),
            version: version.clone(),
            source: Box::new(error),
        }),
        Err(error) => Err(error.into()),
    }
}

/// The copy of one release under way.
struct Transfer<'a> {
    copy: &'a Copy,
    lease: &'a Lease,
    source: &'a Resolved,
    reader: Arc<Reader>,
}

impl Transfer<'_> {
    async fn run(
        &self,
        copied: &mut CopiedRelease,
        planned: &mut Planned,
    ) -> Result<(), CopyError> {
        let release = self.source.release();
        let indexes: BTreeSet<_> = release.disks().map(|(_, disk)| disk.index).collect();
        for index in indexes {
            self.index(index, copied, planned).await?;
        }
        if self.copy.dry_run {
            return Ok(());
        }
        self.descriptors(release).await?;
        let published = self.copy.to.publish(release, self.lease).await;
        published.map_err(|error| self.refused(error)).map(drop)
    }

    /// Returns the error of a refused publish. A version that another push took meanwhile is named.
    fn refused(&self, error: RegistryError) -> CopyError {
        error.about(self.source.release().application()).into()
    }

    /// Copies what the target lacks of a disk, then the disk's list.
    async fn index(
        &self,
        index: IndexDigest,
        copied: &mut CopiedRelease,
        planned: &mut Planned,
    ) -> Result<(), CopyError> {
        let (from, to) = (&self.copy.from, &self.copy.to);
        let list = from.index(index).await?;
        let compared = lacking::leaves(to.as_ref(), self.lease, &list).await?;
        copied.held_bytes += compared.held_bytes;
        self.copy.progress.reused(compared.held_bytes);
        let mut lacking = compared.lacking;
        if self.copy.dry_run {
            lacking.retain(|leaf| planned.leaves.insert(leaf.digest));
        }
        for batch in lacking.chunks(LEAVES_PER_BATCH) {
            match self.batch(batch, copied, planned).await {
                // Without a lease, a collection may move chunks and remove their pack.
                Err(CopyError::Read(error)) if error.kind() == ErrorKind::NotFound => {
                    tracing::info!(%error, "locating chunks once more");
                    self.batch(batch, copied, planned).await?;
                }
                outcome => outcome?,
            }
        }
        if !self.copy.dry_run {
            to.put_index(self.lease, &list).await?;
        }
        Ok(())
    }

    /// Copies the chunks that the target lacks of some leaves, then the leaves.
    async fn batch(
        &self,
        batch: &[NamedLeaf],
        copied: &mut CopiedRelease,
        planned: &mut Planned,
    ) -> Result<(), CopyError> {
        let to = self.copy.to.as_ref();
        let leaves = lacking::fetch(&self.copy.from, batch).await?;
        let mut chunks = lacking::chunks(to, self.lease, &leaves).await?;
        if self.copy.dry_run {
            chunks.retain(|chunk| planned.chunks.insert(chunk.digest));
        }
        let span: u64 = batch.iter().map(|leaf| leaf.span_len).sum();
        let requests = self.reader.plan(chunks).await?;
        let sent = match self.copy.dry_run {
            true => Amount::planned(&requests),
            false => frames::send(self.copy, self.lease, &self.reader, requests).await?,
        };
        copied.held_bytes += span.saturating_sub(sent.bytes);
        self.copy.progress.reused(span.saturating_sub(sent.bytes));
        copied.sent = copied.sent + sent;
        if !self.copy.dry_run {
            let puts: Vec<_> = leaves.iter().map(|leaf| to.put_leaf(self.lease, leaf)).collect();
            let puts = stream::iter(puts).buffer_unordered(LEAVES_STORED_AT_ONCE);
            puts.try_collect::<()>().await?;
        }
        Ok(())
    }

    async fn descriptors(&self, release: &Release) -> Result<(), CopyError> {
        let named = release.machines().iter().filter_map(|it| it.descriptor.as_ref());
        let named: BTreeSet<_> = named.map(|descriptor| descriptor.digest).collect();
        for digest in named {
            let bytes = self.copy.from.descriptor(digest).await?;
            self.copy.to.put_descriptor(self.lease, bytes).await?;
        }
        Ok(())
    }
}
