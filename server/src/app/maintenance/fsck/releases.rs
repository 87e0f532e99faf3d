//! Checks of releases: their documents, and everything the documents name.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::TryStreamExt;
use seawall_api::digest::{DescriptorDigest, IndexDigest, ReleaseDigest};
use seawall_store::port::{ObjectKind, ObjectName};

use super::{Check, GONE, PAGE_COUNT};
use crate::app::AppError;
use crate::app::content::descriptors::descriptors_of;
use crate::app::content::objects::Found;
use crate::catalog::Release;
use crate::catalog::collect::Grip;

impl Check {
    /// Checks every visible release, in the order of publication.
    pub(super) async fn releases(&mut self) -> Result<(), AppError> {
        let catalog = self.checker.catalog.clone();
        let mut looked_at = HashMap::new();
        loop {
            let after = self.cursor.split_once(' ').and_then(|(application, version)| {
                Some((application.parse().ok()?, version.parse().ok()?))
            });
            let page = catalog.known_releases(after, PAGE_COUNT).await?;
            if page.is_empty() {
                return Ok(());
            }
            for row in page {
                self.release(&row, &mut looked_at).await?;
                self.done(format!("{} {}", row.application, row.version), 0).await?;
            }
        }
    }

    async fn release(
        &mut self,
        row: &Release,
        looked_at: &mut HashMap<IndexDigest, bool>,
    ) -> Result<(), AppError> {
        let catalog = self.checker.catalog.clone();
        self.missing_record(row).await?;
        let name = ObjectName::Release(row.digest);
        let described = match self.read(row.digest).await?.or_reason(|| GONE.to_owned()) {
            Ok((described, _)) => described,
            Err(what) => {
                // The release was deleted in the meantime, together with its document.
                if catalog.release_of(row.digest).await?.is_some() {
                    self.damage(&name, what, vec![row.digest]).await?;
                }
                return Ok(());
            }
        };
        if (described.application(), described.version()) != (&row.application, &row.version) {
            let what = format!("it is {}:{}", described.application(), described.version());
            return self.damage(&name, what, vec![row.digest]).await;
        }
        self.sound(&name).await?;
        let indexes: BTreeSet<_> = described.disks().map(|(_, disk)| disk.index).collect();
        for index in indexes {
            if looked_at.get(&index) != Some(&true) {
                let is_sound = self.index_of(row.digest, index).await?;
                looked_at.insert(index, is_sound);
            }
            catalog.record_indexes(row.digest, vec![index]).await?;
        }
        Ok(())
    }

    /// Checks an index named by a release. Returns true if the list is intact and its row exists.
    async fn index_of(
        &mut self,
        release: ReleaseDigest,
        index: IndexDigest,
    ) -> Result<bool, AppError> {
        let name = ObjectName::Index(index);
        let catalog = self.checker.catalog.clone();
        let list = match self.read(index).await?.or_reason(|| GONE.to_owned()) {
            Ok((list, _)) => list,
            Err(what) => {
                if catalog.release_of(release).await?.is_some() {
                    self.damage(&name, what, vec![release]).await?;
                }
                return Ok(false);
            }
        };
        if catalog.index(index, Grip::ANY).await?.is_some() {
            return Ok(true);
        }
        // A rebuilt catalog has rows only for indexes that were complete at the time.
        self.complete_index(index, &list).await?;
        match self.row_of(index, &list).await? {
            Ok(known) => {
                catalog.add_index(known, Grip::ANY).await?;
                Ok(true)
            }
            Err(leaf) => {
                let what = format!("it needs leaf {leaf}, which is incomplete");
                self.damage(&name, what, vec![release]).await?;
                Ok(false)
            }
        }
    }

    /// Checks a release document. Returns the number of bytes read.
    pub(super) async fn document(&mut self, digest: ReleaseDigest) -> Result<u64, AppError> {
        let name = ObjectName::Release(digest);
        let is_known = self.checker.catalog.release_of(digest).await?.is_some();
        match self.read(digest).await? {
            Found::Gone => Ok(0),
            Found::Sound((_, len)) => {
                if !is_known {
                    self.reclaimable(&name, len, "no release has this document");
                }
                Ok(len)
            }
            Found::Damaged(what) if is_known => {
                self.damage(&name, what, vec![digest]).await?;
                Ok(0)
            }
            Found::Damaged(what) => {
                self.reclaimable(&name, 0, &what);
                Ok(0)
            }
        }
    }

    /// Checks every descriptor in the store or named by a release.
    pub(super) async fn descriptors(&mut self) -> Result<(), AppError> {
        let mut needed = self.needed_descriptors().await?;
        let in_store: Vec<_> =
            self.checker.store.list(ObjectKind::Descriptor).try_collect().await?;
        let mut names: BTreeMap<_, _> =
            in_store.into_iter().map(|name| (name.path(), name)).collect();
        for digest in needed.keys() {
            let name = ObjectName::Descriptor(*digest);
            names.insert(name.path(), name);
        }
        for (path, name) in names {
            let ObjectName::Descriptor(digest) = name else { continue };
            if path <= self.cursor {
                continue;
            }
            let needed_by = needed.remove(&digest).unwrap_or_default();
            let len = self.descriptor(digest, needed_by).await?;
            self.done(path, len).await?;
        }
        Ok(())
    }

    async fn descriptor(
        &mut self,
        digest: DescriptorDigest,
        needed_by: Vec<ReleaseDigest>,
    ) -> Result<u64, AppError> {
        let name = ObjectName::Descriptor(digest);
        let (what, len) = match self.read(digest).await?.or_reason(|| GONE.to_owned()) {
            Ok((_, len)) => (None, len),
            Err(what) => (Some(what), 0),
        };
        let mut still = Vec::new();
        for release in needed_by {
            if self.checker.catalog.release_of(release).await?.is_some() {
                still.push(release);
            }
        }
        match what {
            None if still.is_empty() => self.reclaimable(&name, len, "no release refers to it"),
            None => self.sound(&name).await?,
            Some(what) if still.is_empty() => self.reclaimable(&name, len, &what),
            Some(what) => self.damage(&name, what, still).await?,
        }
        Ok(len)
    }

    /// Returns the releases that need each descriptor, as far as their documents are readable.
    async fn needed_descriptors(
        &mut self,
    ) -> Result<HashMap<DescriptorDigest, Vec<ReleaseDigest>>, AppError> {
        let mut needed: HashMap<_, Vec<_>> = HashMap::new();
        let mut after = None;
        loop {
            let page = self.checker.catalog.known_releases(after, PAGE_COUNT).await?;
            let Some(last) = page.last() else { return Ok(needed) };
            after = Some((last.application.clone(), last.version.clone()));
            for row in page {
                let Found::Sound((described, _)) = self.read(row.digest).await? else { continue };
                for digest in descriptors_of(&described) {
                    needed.entry(digest).or_default().push(row.digest);
                }
            }
        }
    }
}
