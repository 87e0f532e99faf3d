//! The objects of a registry, copied to another store and proven on the way.
//!
//! # Invariants
//!
//! 1. Each object is proven against its name before it is written: by its hash, by the hash of each
//!    chunk of a pack, or by its syntax ([`Proof`]). The check of the target at the end reads all
//!    of them again there.
//! 2. Damage is reported and stays known. A damaged pack with a sound footer is copied as it is,
//!    because a repair keeps the sound part of it. Other damaged objects are left out, and the
//!    check of the target finds that they are missing.
//! 3. At most [`COPIES_AT_ONCE`] objects are in memory, of at most 17 MiB each.
//!
//! # After a crash
//!
//! A put is whole or absent. The next run copies what the target does not list.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use seawall_api::digest::PackDigest;
use seawall_store::kind::Proof;
use seawall_store::pack::InspectedPack;
use seawall_store::port::{ObjectKind, ObjectName, ObjectStore, Put};

use super::fsck::{FsckOrder, FsckStatus};
use super::rebuild::Damage;
use crate::app::content::objects::{Found, read_with, unproven};
use crate::app::jobs::JobState;
use crate::app::records::Subject;
use crate::app::{AppError, Registry};
use crate::catalog::Catalog;
use crate::catalog::check::{Class, Finding};

/// The number of objects that are copied at once.
const COPIES_AT_ONCE: usize = 8;
/// The number of objects whose lengths are asked for at once.
const LENS_AT_ONCE: usize = 16;
/// The number of packs in a question to the catalog.
const PAGE_COUNT: u32 = 1000;
/// The maximum number of findings that are looked at.
const FINDINGS_MAX: u32 = 10_000;
/// The first and the longest pause between looks at a running check.
const POLL: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(300));

/// A stage of a relocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Copies objects.
    Objects,
    /// Moves the rows of the catalog.
    Rows,
    /// Checks the target.
    Check,
}

/// A receiver of progress. Called from several threads; must return at once.
pub trait Watch: Send + Sync {
    /// Reports the start of a stage, and its total length in bytes if that is known.
    fn begin(&self, stage: Stage, total_bytes: Option<u64>);
    /// Reports that another `bytes` bytes are done.
    fn advance(&self, bytes: u64);
    /// Reports that `bytes` bytes of the stage were there already.
    fn present(&self, bytes: u64);
}

/// A number of objects, and their total length.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Amount {
    /// The number of objects.
    pub count: u64,
    /// The total length, in bytes.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// The objects of a store, compared with a target.
pub struct Plan {
    missing: Vec<(ObjectName, u64)>,
    /// The objects that the target lacks.
    pub to_copy: Amount,
    /// The objects that the target has.
    pub present: Amount,
}

/// The outcome of copying.
#[derive(Debug, Default)]
pub struct Copied {
    /// The objects that were copied.
    pub copied: Amount,
    /// The objects of the source that do not match their names.
    pub damage: Vec<Damage>,
}

/// A source and a target of objects.
pub struct Copying {
    /// The store to read.
    pub from: Arc<dyn ObjectStore>,
    /// The store to write.
    pub to: Arc<dyn ObjectStore>,
}

impl Copying {
    /// Compares the stores. The catalog knows the lengths of packs.
    ///
    /// # Errors
    /// Fails if a port fails.
    pub async fn plan(&self, catalog: &Catalog) -> Result<Plan, AppError> {
        let lens = pack_lens(catalog).await?;
        let mut missing = Vec::new();
        let (mut to_copy, mut present) = <(Amount, Amount)>::default();
        for kind in ObjectKind::ALL {
            let there: HashSet<ObjectName> = self.to.list(*kind).try_collect().await?;
            let names = self.from.list(*kind).map(|name| {
                let lens = &lens;
                async move {
                    let name = name?;
                    let known = match &name {
                        ObjectName::Pack(digest) => lens.get(digest).copied(),
                        _ => None,
                    };
                    let len = match known {
                        Some(len) => Some(len),
                        // Unreadable here is found out when the object is read.
                        None => self.from.len(&name).await.unwrap_or(Some(0)),
                    };
                    Ok::<_, AppError>((name, len))
                }
            });
            let mut names = names.buffer_unordered(LENS_AT_ONCE);
            while let Some((name, len)) = names.try_next().await? {
                // An object without a length was removed meanwhile.
                let Some(len) = len else { continue };
                match there.contains(&name) {
                    true => present.add(len),
                    false => {
                        to_copy.add(len);
                        missing.push((name, len));
                    }
                }
            }
        }
        Ok(Plan { missing, to_copy, present })
    }

    /// Copies what the target lacks.
    ///
    /// # Errors
    /// Fails if a store fails.
    pub async fn copy(&self, plan: Plan, watch: &dyn Watch) -> Result<Copied, AppError> {
        watch.begin(Stage::Objects, Some(plan.to_copy.bytes.saturating_add(plan.present.bytes)));
        watch.present(plan.present.bytes);
        let copies = stream::iter(plan.missing).map(|(name, len)| async move {
            let found = self.copy_one(&name).await?;
            watch.advance(len);
            Ok::<_, AppError>((name, found))
        });
        let mut copies = copies.buffer_unordered(COPIES_AT_ONCE);
        let mut done = Copied::default();
        while let Some((name, (len, damage))) = copies.try_next().await? {
            if let Some(len) = len {
                done.copied.add(len);
            }
            if let Some(what) = damage {
                let damage = Damage { object: name.path(), what };
                tracing::error!(object = %damage.object, what = %damage.what, "damage found");
                done.damage.push(damage);
            }
        }
        done.damage.sort_by(|a, b| a.object.cmp(&b.object));
        Ok(done)
    }

    /// Copies an object. Returns its length if it was written, and its damage if there is any.
    async fn copy_one(&self, name: &ObjectName) -> Result<(Option<u64>, Option<String>), AppError> {
        let (bytes, damage) = match self.proven(name).await? {
            (Found::Gone, _) => return Ok((None, None)),
            (Found::Sound(bytes), _) => (Some(bytes), None),
            (Found::Damaged(why), bytes) => (bytes, Some(why)),
        };
        let Some(bytes) = bytes else { return Ok((None, damage)) };
        let len = bytes.len() as u64;
        let put = self.to.put(name, bytes).await?;
        Ok(((put == Put::Created).then_some(len), damage))
    }

    /// Reads an object and proves it. Returns the bytes of a damaged one, too, if they are of use.
    async fn proven(&self, name: &ObjectName) -> Result<(Found<Bytes>, Option<Bytes>), AppError> {
        let ObjectName::Pack(digest) = name else {
            let of_record = |bytes: &Bytes| match name.kind().rules().proof {
                Proof::Record if !is_record(name, bytes) => {
                    Err("it is not a record of this version".to_owned())
                }
                _ => Ok(bytes.clone()),
            };
            return Ok((read_with(&*self.from, name, of_record).await?, None));
        };
        let mut found = self.proven_pack(name, *digest).await?;
        if matches!(found.0, Found::Damaged(_)) {
            // A disk may fail once.
            found = self.proven_pack(name, *digest).await?;
        }
        Ok(found)
    }

    async fn proven_pack(
        &self,
        name: &ObjectName,
        digest: PackDigest,
    ) -> Result<(Found<Bytes>, Option<Bytes>), AppError> {
        let bytes = match unproven(&*self.from, name).await? {
            Found::Sound(bytes) => bytes,
            other => return Ok((other, None)),
        };
        let given = bytes.clone();
        let inspected = tokio::task::spawn_blocking(move || InspectedPack::read(digest, &given));
        let internal = |error: tokio::task::JoinError| AppError::Internal {
            action: "prove a pack",
            source: error.into(),
        };
        Ok(match inspected.await.map_err(internal)? {
            Ok(pack) if pack.unsound.is_empty() => (Found::Sound(bytes), None),
            Ok(pack) => {
                let (bad, all) = (pack.unsound.len(), pack.frames.len());
                let why = format!("{bad} of its {all} chunks are damaged");
                (Found::Damaged(why), Some(bytes))
            }
            Err(error) => (Found::Damaged(error.to_string()), None),
        })
    }

    /// Copies objects again that a check of the target found missing or damaged, if they are sound
    /// in the source. Returns their number.
    ///
    /// # Errors
    /// Fails if a store fails.
    pub async fn heal(&self, findings: &[Finding]) -> Result<u64, AppError> {
        let mut healed = 0;
        for finding in findings.iter().filter(|finding| finding.class == Class::Damage) {
            let Some(name) = ObjectName::parse(&finding.object) else { continue };
            if let (Found::Sound(bytes), _) = self.proven(&name).await? {
                self.to.replace(&name, bytes).await?;
                healed += 1;
            }
        }
        Ok(healed)
    }
}

fn is_record(name: &ObjectName, bytes: &[u8]) -> bool {
    Subject::parse(name).is_some_and(|subject| subject.is_recorded_in(bytes))
}

async fn pack_lens(catalog: &Catalog) -> Result<HashMap<PackDigest, u64>, AppError> {
    let mut lens = HashMap::new();
    let mut after = None;
    loop {
        let page = catalog.known_packs(after, PAGE_COUNT).await?;
        let Some(last) = page.last() else { return Ok(lens) };
        after = Some(last.digest);
        lens.extend(page.iter().map(|pack| (pack.digest, pack.len)));
    }
}

/// Returns true if a store has no object of any kind.
///
/// # Errors
/// Fails if the store cannot be read.
pub async fn is_empty(store: &dyn ObjectStore) -> Result<bool, AppError> {
    for kind in ObjectKind::ALL {
        if store.list(*kind).try_next().await?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Checks a whole registry that nobody else uses, from the beginning.
///
/// # Errors
/// Fails if the check does not complete.
pub async fn check(registry: &Registry, watch: &dyn Watch) -> Result<FsckStatus, AppError> {
    let checker = &registry.checker;
    checker.start_fsck(FsckOrder { rate: 0, restart: true }).await?;
    let (mut told, mut pause) = (None, POLL.0);
    loop {
        let status = checker.fsck_status(FINDINGS_MAX).await?;
        let bytes = status.progress.bytes;
        match told {
            None => watch.begin(Stage::Check, Some(status.progress.total_bytes)),
            Some(told) => watch.advance(bytes.saturating_sub(told)),
        }
        told = Some(bytes.max(told.unwrap_or(0)));
        match status.state {
            Some(JobState::Complete) => return Ok(status),
            Some(JobState::Running) => {}
            Some(JobState::Interrupted) => {
                checker.start_fsck(FsckOrder { rate: 0, restart: false }).await?;
            }
            Some(JobState::Stopped | JobState::Failed) | None => {
                let source = status.failure.unwrap_or_else(|| "it was stopped".to_owned()).into();
                return Err(AppError::Internal { action: "check the target", source });
            }
        }
        tokio::time::sleep(pause).await;
        pause = POLL.1.min(2 * pause);
    }
}
