//! Checks of packs: every frame is decoded and hashed, and compared with the rows.

use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt;
use seawall_api::digest::PackDigest;
use seawall_store::pack::InspectedPack;
use seawall_store::port::{ObjectKind, ObjectName};

use super::{Check, Class, GONE, PAGE_COUNT};
use crate::app::AppError;
use crate::app::content::objects::{Found, read_pack};
use crate::app::content::packs::frame_of;
use crate::catalog::NewPack;
use crate::catalog::collect::{Added, Grip};

/// The maximum number of damaged chunks listed in a finding.
const BAD_NAMED: usize = 3;

impl Check {
    /// Checks a pack. Returns the number of bytes read.
    pub(super) async fn pack(&mut self, digest: PackDigest) -> Result<u64, AppError> {
        let mut is_second = false;
        loop {
            let bytes = match self.read_bytes(&ObjectName::Pack(digest)).await? {
                Found::Sound(bytes) => bytes,
                Found::Gone => return Ok(0),
                Found::Damaged(what) => {
                    self.bad_pack(digest, 0, what).await?;
                    return Ok(0);
                }
            };
            let len = bytes.len() as u64;
            let inspected =
                self.checker.content.examine(move || InspectedPack::read(digest, &bytes));
            let what = match inspected.await? {
                Ok(pack) if pack.unsound.is_empty() => {
                    self.sound_pack(digest, len, &pack).await?;
                    return Ok(len);
                }
                Ok(pack) => what_of(&pack),
                Err(error) => error.to_string(),
            };
            // Read again, because a disk may fail once, or a push may have repaired the pack in
            // between.
            if is_second {
                self.bad_pack(digest, len, what).await?;
                return Ok(len);
            }
            is_second = true;
        }
    }

    /// Quarantines a pack: its chunks count as missing until a push or a repair brings them again.
    async fn bad_pack(
        &mut self,
        digest: PackDigest,
        len: u64,
        what: String,
    ) -> Result<(), AppError> {
        let name = ObjectName::Pack(digest);
        let catalog = self.checker.catalog.clone();
        if catalog.known_pack(digest).await?.is_none() {
            self.reclaimable(&name, len, &what);
            return Ok(());
        }
        catalog.mark_pack_lost(digest).await?;
        if catalog.is_needed(name.clone()).await? {
            return self.damage(&name, what, vec![]).await;
        }
        self.sound(&name).await?;
        self.reclaimable(&name, len, &what);
        Ok(())
    }

    async fn sound_pack(
        &mut self,
        digest: PackDigest,
        len: u64,
        pack: &InspectedPack,
    ) -> Result<(), AppError> {
        let name = ObjectName::Pack(digest);
        let catalog = self.checker.catalog.clone();
        let Some(known) = catalog.known_pack(digest).await? else {
            self.reclaimable(
                &name,
                len,
                "it is not in the catalog: an upload is in progress, or was abandoned",
            );
            return Ok(());
        };
        if known.is_condemned {
            self.reclaimable(&name, len, "it is about to be collected");
            return Ok(());
        }
        let frames: Vec<_> = pack.frames.iter().map(frame_of).collect();
        let misplaced = catalog.misplaced(digest, frames.clone()).await?;
        if known.is_lost {
            catalog
                .correct_pack(NewPack { digest, len, frames }, self.checker.content.actor(None))
                .await?;
            self.mended(&name, "it was lost, and is present again".to_owned());
        } else if known.len != len || !misplaced.is_empty() {
            // A collection condemns a pack before the places of its chunks are removed.
            if catalog.known_pack(digest).await?.is_some_and(|known| !known.is_condemned) {
                let actor = self.checker.content.actor(None);
                catalog.correct_pack(NewPack { digest, len, frames }, actor).await?;
                let count = misplaced.len();
                let what = format!("it or the rows of {count} chunks contradicted the pack");
                self.find("catalog", format!("row of {}", name.path()), what, Class::Mended);
            }
        }
        self.sound(&name).await
    }

    /// Checks that every pack in the catalog has its object in full length.
    pub(super) async fn pack_rows(&mut self) -> Result<(), AppError> {
        let catalog = self.checker.catalog.clone();
        loop {
            let after = PackDigest::from_hex(&self.cursor).ok();
            let page = catalog.known_packs(after, PAGE_COUNT).await?;
            let Some(last) = page.last().map(|pack| pack.digest) else { break };
            for pack in page {
                let name = ObjectName::Pack(pack.digest);
                let len = self.checker.store.len(&name).await?;
                let still = match len {
                    Some(len) if len == pack.len => continue,
                    _ => catalog.known_pack(pack.digest).await?,
                };
                let Some(still) = still.filter(|still| !still.is_condemned) else { continue };
                if !still.is_lost {
                    catalog.mark_pack_lost(pack.digest).await?;
                }
                if catalog.is_needed(name.clone()).await? {
                    let what = match len {
                        None => GONE.to_owned(),
                        Some(len) => format!("it has {len} bytes instead of {}", pack.len),
                    };
                    self.damage(&name, what, vec![]).await?;
                }
            }
            self.done(last.to_hex(), 0).await?;
        }
        self.adopt_packs().await
    }

    /// Moves the chunks of lost packs to other packs that hold the same chunks, whether in the
    /// catalog or not. Such packs come from concurrent pushes, or from a repack or a repair that is
    /// unknown to an older copy of the catalog.
    async fn adopt_packs(&mut self) -> Result<(), AppError> {
        let checker = Arc::clone(&self.checker);
        let lost = checker.catalog.all_packs().await?.into_iter().filter(|pack| pack.is_lost);
        let lost: HashMap<_, _> = lost.map(|pack| (pack.key, pack.digest)).collect();
        if lost.is_empty() {
            return Ok(());
        }
        let mut names = checker.store.list(ObjectKind::Pack);
        while let Some(name) = names.try_next().await? {
            let ObjectName::Pack(digest) = name else { continue };
            let read = read_pack(&*checker.store, digest).await?;
            let Found::Sound(pack) = read else { continue };
            let chunks = pack.frames.iter().map(|frame| frame.digest).collect();
            let places = checker.catalog.places_of(chunks).await?;
            let lost_here = places.iter().filter_map(|place| lost.get(&place.pack));
            let count = lost_here.filter(|home| **home != digest).count();
            if count == 0 {
                self.done(self.cursor.clone(), 0).await?;
                continue;
            }
            // Read before the pack's bytes, so that `add_pack` detects a sweep that begins or ends
            // in between.
            let sweeps = checker.catalog.collect_state(checker.host.now_secs()).await?.sweeps;
            let is_here = checker.content.is_sound(digest).await?;
            self.done(self.cursor.clone(), if is_here { pack.len } else { 0 }).await?;
            if !is_here {
                continue;
            }
            let grip = Grip { sweeps: Some(sweeps), ..self.grip() };
            if checker.catalog.add_pack(pack, grip).await? == Added::Present {
                self.mended(&name, format!("it contains {count} chunks of lost packs"));
            }
        }
        Ok(())
    }
}

fn what_of(pack: &InspectedPack) -> String {
    let (bad, all) = (pack.unsound.len(), pack.frames.len());
    let named = pack.unsound.iter().take(BAD_NAMED).filter_map(|(at, _)| pack.frames.get(*at));
    let named: Vec<_> = named.map(|frame| frame.digest.to_string()).collect();
    let more = if bad > named.len() { ", …" } else { "" };
    format!("{bad} of its {all} chunks are damaged: {}{more}", named.join(", "))
}
