//! Releases and channels, rebuilt from the store's records.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_api::reference::Selector;
use seawall_api::release::Release as Described;
use seawall_store::port::{ObjectKind, ObjectName, ObjectStore};

use super::{READS_AT_ONCE, Rebuild};
use crate::app::AppError;
use crate::app::content::descriptors::descriptors_of;
use crate::app::content::objects::{self, OTHER_BYTES};
use crate::app::records::{MoveRecord, Record, ReleaseRecord, Subject, TombstoneRecord};
use crate::catalog::check::LostObject;
use crate::catalog::collect::{Grip, Tombstone};
use crate::catalog::{ChannelMove, PastChannel, Release};

const UNREADABLE: &str = "this version of Seawall cannot read the record";

/// The records of moves by channel, then by sequence number.
pub(super) type Moves = BTreeMap<(ApplicationName, ChannelName), BTreeMap<u64, ObjectName>>;

/// A release record with its name and its tombstone.
struct Named {
    application: ApplicationName,
    version: Version,
    digest: ReleaseDigest,
    published_at_secs: u64,
    published_by: String,
    deleted: Option<Deleted>,
}

/// The time and author of a deletion; defaults if the tombstone is unreadable.
#[derive(Clone, Default)]
struct Deleted {
    at_secs: u64,
    by: String,
}

async fn read_record<T: Record>(
    store: Arc<dyn ObjectStore>,
    name: ObjectName,
) -> Result<Result<T, String>, AppError> {
    let decode = |bytes: &Bytes| T::decode(bytes).ok_or_else(|| UNREADABLE.to_owned());
    Ok(objects::read_with(&*store, &name, decode).await?.sound(&name))
}

impl Rebuild<'_> {
    /// Adds every release with a record, in the order of publication. Returns the recorded moves.
    pub(super) async fn releases(&mut self) -> Result<Moves, AppError> {
        let mut moves = Moves::new();
        let (mut releases, mut tombstones) = (Vec::new(), Vec::new());
        for name in self.list(ObjectKind::Name).await? {
            match Subject::parse(&name) {
                Some(Subject::Release(application, version)) => {
                    releases.push((application, version));
                }
                Some(Subject::Move(application, channel, sequence)) => {
                    moves.entry((application, channel)).or_default().insert(sequence, name);
                }
                Some(Subject::Tombstone(application, version)) => {
                    tombstones.push((application, version));
                }
                None => self.found.damaged(name.path(), "its name is not the name of a record"),
            }
        }
        let mut named = self.read_releases(releases).await?;
        let key =
            |(at, named): (usize, &Named)| ((named.application.clone(), named.version.clone()), at);
        let places: HashMap<_, _> = named.iter().enumerate().map(key).collect();
        for of in tombstones {
            let at = places.get(&of).copied();
            self.bury(&mut named, at, of).await?;
        }
        named.sort_by(|a, b| {
            let time = a.published_at_secs.cmp(&b.published_at_secs);
            time.then_with(|| a.version.precedence(&b.version))
                .then_with(|| (&a.application, &a.version).cmp(&(&b.application, &b.version)))
        });
        let known: HashSet<_> = named.iter().map(|named| named.digest).collect();
        for named in named {
            self.release(named).await?;
        }
        let mut documents = self.store.list(ObjectKind::Release);
        while let Some(name) = documents.try_next().await? {
            if matches!(&name, ObjectName::Release(digest) if !known.contains(digest)) {
                self.found.unnamed += 1;
                tracing::info!(object = %name.path(), "found a release document without a release");
            }
        }
        Ok(moves)
    }

    async fn read_releases(
        &mut self,
        releases: Vec<(ApplicationName, Version)>,
    ) -> Result<Vec<Named>, AppError> {
        let store = Arc::clone(&self.store);
        let reads = releases.into_iter().map(|(application, version)| {
            let name = Subject::Release(application.clone(), version.clone()).object();
            let read = read_record::<ReleaseRecord>(Arc::clone(&store), name);
            async move { Ok::<_, AppError>((application, version, read.await?)) }
        });
        let mut reads = stream::iter(reads).buffered(READS_AT_ONCE);
        let (mut named, mut unreadable) = (Vec::new(), Vec::new());
        while let Some((application, version, record)) = reads.try_next().await? {
            match record {
                Ok(record) => named.push(Named {
                    application,
                    version,
                    digest: record.digest,
                    published_at_secs: record.published_at_secs,
                    published_by: record.published_by,
                    deleted: None,
                }),
                Err(what) => {
                    let subject = Subject::Release(application.clone(), version.clone());
                    self.found.damaged(subject.object().path(), what);
                    unreadable.push((application, version));
                }
            }
        }
        if !unreadable.is_empty() {
            self.name_by_documents(&mut named, &unreadable).await?;
        }
        Ok(named)
    }

    /// Recovers releases with unreadable records from the release documents, which name their
    /// version. The publication time and author are lost: the present time is used, so that no age
    /// rule deletes the release soon. A version with several candidate documents is reported as
    /// damaged and not listed.
    async fn name_by_documents(
        &mut self,
        named: &mut Vec<Named>,
        unreadable: &[(ApplicationName, Version)],
    ) -> Result<(), AppError> {
        let known: HashSet<_> = named.iter().map(|named| named.digest).collect();
        let mut found: HashMap<_, Vec<ReleaseDigest>> = HashMap::new();
        for name in self.list(ObjectKind::Release).await? {
            let ObjectName::Release(digest) = name else { continue };
            if known.contains(&digest) {
                continue;
            }
            if let Ok(release) = self.document_of(digest).await? {
                let of = (release.application().clone(), release.version().clone());
                found.entry(of).or_default().push(digest);
            }
        }
        for of in unreadable {
            let title = format!("release {}:{}", of.0, of.1);
            match found.get(of).map_or(&[][..], Vec::as_slice) {
                &[digest] => {
                    self.found.damaged(
                        title,
                        format!("its record is lost; document {digest} has its name"),
                    );
                    named.push(Named {
                        application: of.0.clone(),
                        version: of.1.clone(),
                        digest,
                        published_at_secs: self.now_secs,
                        published_by: String::new(),
                        deleted: None,
                    });
                }
                documents => {
                    let what = format!("its record is lost, and {} documents", documents.len());
                    self.found.damaged(title, format!("{what} have its name: it is not listed"));
                }
            }
        }
        Ok(())
    }

    /// Marks a release as deleted. An unreadable tombstone counts as well. The content of a deleted
    /// release is not read, because it may have been collected.
    async fn bury(
        &mut self,
        named: &mut Vec<Named>,
        at: Option<usize>,
        (application, version): (ApplicationName, Version),
    ) -> Result<(), AppError> {
        let object = Subject::Tombstone(application.clone(), version.clone()).object();
        let path = object.path();
        let record = read_record::<TombstoneRecord>(Arc::clone(&self.store), object).await?;
        let found = at.and_then(|at| named.get_mut(at));
        let record = match record {
            Ok(record) => record,
            Err(what) => {
                self.found.damaged(path, what);
                if let Some(found) = found {
                    found.deleted = Some(Deleted::default());
                }
                return Ok(());
            }
        };
        let deleted = Deleted { at_secs: record.deleted_at_secs, by: record.deleted_by };
        match found {
            Some(found) => {
                if found.digest != record.digest {
                    self.found
                        .damaged(path, format!("it does not record release {}", found.digest));
                }
                found.deleted = Some(deleted);
            }
            // The release record is lost, but the version must stay taken.
            None => named.push(Named {
                application,
                version,
                digest: record.digest,
                published_at_secs: deleted.at_secs,
                published_by: String::new(),
                deleted: Some(deleted),
            }),
        }
        Ok(())
    }

    /// Adds a deleted release with its tombstone.
    async fn deleted(&mut self, row: Release, deleted: Deleted) -> Result<(), AppError> {
        let title = format!("release {}:{}", row.application, row.version);
        if !self.catalog.restore_release(row.clone(), vec![]).await? {
            self.found.damaged(title, "another release has the same digest");
            return Ok(());
        }
        let Deleted { at_secs: deleted_at_secs, by: deleted_by } = deleted;
        let tombstone = Tombstone { release: row, deleted_at_secs, deleted_by };
        self.catalog.restore_tombstone(tombstone).await?;
        self.found.deleted += 1;
        Ok(())
    }

    /// Adds a release, regardless of the state of its bytes.
    async fn release(&mut self, named: Named) -> Result<(), AppError> {
        let Named { application, version, digest, published_at_secs, published_by, deleted } =
            named;
        let title = format!("release {application}:{version}");
        let mut row = Release {
            application,
            version,
            digest,
            machines: vec![],
            published_at_secs,
            published_by,
            disk_bytes: 0,
            data_bytes: 0,
        };
        if let Some(deleted) = deleted {
            return self.deleted(row, deleted).await;
        }
        let document = self.document(&row).await?;
        let mut indexes = HashSet::new();
        match document {
            Ok(release) => {
                row.machines = release.machines().iter().map(|m| m.name.clone()).collect();
                for (_, disk) in release.disks() {
                    row.disk_bytes = row.disk_bytes.saturating_add(disk.len);
                    let index = self.catalog.index(disk.index, Grip::ANY).await?;
                    match index {
                        Some(index) => {
                            row.data_bytes = row.data_bytes.saturating_add(index.data_bytes);
                        }
                        None if indexes.contains(&disk.index) => {}
                        None => {
                            let index = ObjectName::Index(disk.index).path();
                            let what = format!("it needs {index}, which is incomplete");
                            self.found.damaged(title.as_str(), what);
                            let name = ObjectName::Index(disk.index);
                            self.needed(&name, "it is incomplete", digest).await?;
                        }
                    }
                    indexes.insert(disk.index);
                }
                self.descriptors(&title, &release).await?;
            }
            Err(what) => {
                let name = ObjectName::Release(digest);
                self.needed(&name, &what, digest).await?;
                self.found.damaged(name.path(), what);
            }
        }
        if self.catalog.restore_release(row, indexes.into_iter().collect()).await? {
            self.found.releases += 1;
        } else {
            self.found.damaged(title, "another release has the same digest");
        }
        Ok(())
    }

    /// Records the damage of an object needed by a release.
    async fn needed(
        &self,
        name: &ObjectName,
        what: &str,
        release: ReleaseDigest,
    ) -> Result<(), AppError> {
        let lost = LostObject { object: name.path(), what: what.to_owned() };
        // A rebuild has no clock; the time of discovery is used only by the log.
        Ok(self.catalog.record_damage(lost, vec![release], 0).await?)
    }

    /// Reports the missing or damaged descriptors of a release.
    async fn descriptors(&mut self, title: &str, release: &Described) -> Result<(), AppError> {
        for digest in descriptors_of(release) {
            let name = ObjectName::Descriptor(digest);
            match objects::unproven(&*self.store, &name).await?.sound(&name) {
                Ok(bytes) if name.is_of(&bytes) => {}
                Ok(_) => {
                    self.needed(&name, OTHER_BYTES, release.digest()).await?;
                    self.found.damaged(name.path(), OTHER_BYTES);
                }
                Err(what) => {
                    self.needed(&name, &what, release.digest()).await?;
                    let what = format!("it needs {}, which cannot be read", name.path());
                    self.found.damaged(title, what);
                }
            }
        }
        Ok(())
    }

    /// Reads and parses a release document by its digest.
    async fn document_of(
        &self,
        digest: ReleaseDigest,
    ) -> Result<Result<Described, String>, AppError> {
        Ok(objects::read(&*self.store, digest).await?.sound(&ObjectName::Release(digest)))
    }

    async fn document(&self, row: &Release) -> Result<Result<Described, String>, AppError> {
        let document = self.document_of(row.digest).await?;
        Ok(document.and_then(|release| {
            let (application, version) = (release.application(), release.version());
            if (application, version) != (&row.application, &row.version) {
                let wanted = format!("{}:{}", row.application, row.version);
                return Err(format!("it is {application}:{version}, recorded as {wanted}"));
            }
            Ok(release)
        }))
    }

    /// Adds every channel with at least one recorded move to a known release.
    pub(super) async fn channels(&mut self, moves: &Moves) -> Result<(), AppError> {
        for ((application, channel), objects) in moves {
            let mut past = Vec::new();
            for (&sequence, object) in objects {
                match self.past_move(application, sequence, object).await? {
                    Ok(change) => past.push(change),
                    Err(what) => self.found.damaged(object.path(), what),
                }
            }
            let last = objects.keys().next_back().copied().unwrap_or_default();
            if past.is_empty() {
                let title = format!("channel {application}:{channel}");
                self.found.damaged(title, "none of its moves can be read: the channel is lost");
                continue;
            }
            if let Some(newest) = past.last().filter(|newest| newest.sequence < last) {
                let title = format!("channel {application}:{channel}");
                let (version, sequence) = (&newest.version, newest.sequence);
                let what = format!("it was set back to {version}, move {sequence} of {last}");
                self.found.damaged(title, what);
            }
            let (application, name) = (application.clone(), channel.clone());
            let past = PastChannel { application, name, moves: past, sequence: last };
            self.catalog.restore_channel(past).await?;
            self.found.channels += 1;
        }
        Ok(())
    }

    async fn past_move(
        &self,
        application: &ApplicationName,
        sequence: u64,
        object: &ObjectName,
    ) -> Result<Result<ChannelMove, String>, AppError> {
        let record = read_record::<MoveRecord>(Arc::clone(&self.store), object.clone()).await?;
        let record = match record {
            Ok(record) if record.sequence == sequence => record,
            Ok(record) => return Ok(Err(format!("it records move {}", record.sequence))),
            Err(what) => return Ok(Err(what)),
        };
        let release = match self.catalog.release(application.clone(), record.release).await? {
            Some(release) => Some(release),
            // Histories also contain deleted releases.
            None => {
                let selector = Selector::Digest(record.release);
                let buried = self.catalog.deleted(application.clone(), selector).await?;
                buried.map(|tombstone| tombstone.release)
            }
        };
        let Some(release) = release else {
            return Ok(Err(format!(
                "it refers to release {}, which has no record",
                record.release
            )));
        };
        Ok(Ok(ChannelMove {
            sequence,
            release: record.release,
            version: release.version,
            moved_at_secs: record.moved_at_secs,
            moved_by: record.moved_by,
        }))
    }
}
