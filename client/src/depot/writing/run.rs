//! A run of the mirror: its beginning, its mark in the depot, and its end.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use seawall_api::digest::{ChunkDigest, PackDigest};
use seawall_store::backend::Listed;
use seawall_store::pack::{Footer, TRAILER_LEN};
use seawall_store::port::ObjectName;
use seawall_store::read::Place;
use serde::{Deserialize, Serialize};

use super::stock::{Stock, places};
use super::{Depot, DepotError, Writer};
use crate::depot::documents::IDENTITY;
use crate::registry::RegistryError;

/// The mark of a run.
pub(super) const RUNNING: &str = "mirror/running";
const RUNNING_LEN_MAX: u64 = 4 << 10;
/// The bytes that are read of the end of a pack at once: the usual footer, and the trailer.
const TAIL_LEN: u64 = 64 << 10;
/// The number of packs whose ends are read at once.
const TAILS_AT_ONCE: usize = 8;
/// The resolution of the times in a list, in seconds.
const CLOCK_STEP_SECS: u64 = 2;

/// The mark of a run.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Running {
    nonce: String,
    /// The time since which packs may lie here that no document names, by the clock of the place,
    /// in seconds since 1970-01-01 UTC.
    packs_since_secs: Option<u64>,
}

fn secs(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

impl Depot {
    /// Learns, once in a run, what a run that died left behind.
    pub(super) async fn look(
        &self,
        writer: &Writer,
        stock: &mut Stock,
    ) -> Result<(), RegistryError> {
        if stock.has_looked {
            return Ok(());
        }
        let marks = writer.medium.list("mirror").await?;
        if let Some(mark) = marks.iter().find(|it| it.path == RUNNING) {
            let left = writer.mark().await?.and_then(|mark| mark.packs_since_secs);
            let since = secs(mark.modified).saturating_sub(CLOCK_STEP_SECS);
            let since = left.map_or(since, |left| left.min(since));
            stock.chunks.extend(writer.left_behind(since).await?);
            stock.packs_since_secs = Some(since);
        }
        stock.has_looked = true;
        Ok(())
    }

    /// Begins to write, unless that has begun: makes the depot if it is new, and leaves the mark of
    /// this run.
    pub(super) async fn begin(
        &self,
        writer: &Writer,
        stock: &mut Stock,
    ) -> Result<(), RegistryError> {
        if stock.is_running {
            return Ok(());
        }
        self.look(writer, stock).await?;
        if writer.is_new {
            writer.medium.write(IDENTITY, self.identity.encode()).await?;
        }
        let packs_since_secs = stock.packs_since_secs;
        let mark = Running { nonce: writer.owner.nonce.clone(), packs_since_secs };
        let mark = serde_json::to_vec(&mark).unwrap_or_default();
        writer.medium.write(RUNNING, mark.into()).await?;
        stock.is_running = true;
        Ok(())
    }

    /// Ends a run, unless something was written that no document names yet: then the mark stays,
    /// for the next run to find it.
    ///
    /// # Errors
    /// Fails if the mark cannot be removed, or another run has begun.
    pub async fn end(&self) -> Result<(), RegistryError> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let mut stock = writer.stock.lock().await;
        if !stock.is_running || stock.is_unnamed {
            return Ok(());
        }
        if !stock.has_published {
            writer.check_turn().await?;
        }
        writer.medium.remove(RUNNING).await?;
        stock.is_running = false;
        Ok(())
    }
}

impl Writer {
    async fn mark(&self) -> Result<Option<Running>, RegistryError> {
        let mark = self.medium.read(RUNNING, RUNNING_LEN_MAX).await?;
        Ok(mark.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Fails if another run has begun since this one did.
    pub(super) async fn check_turn(&self) -> Result<(), RegistryError> {
        match self.mark().await? {
            Some(mark) if mark.nonce == self.owner.nonce => Ok(()),
            _ => Err(DepotError::Taken { address: self.medium.address().to_owned() }.into()),
        }
    }

    /// Returns the chunks of the packs that were written since a time.
    async fn left_behind(
        &self,
        since_secs: u64,
    ) -> Result<Vec<(ChunkDigest, Place)>, RegistryError> {
        let listed = self.medium.list("packs").await?;
        let packs = listed.into_iter().filter(|it| secs(it.modified) >= since_secs);
        let packs = packs.filter_map(|it| match ObjectName::parse(&it.path) {
            Some(ObjectName::Pack(pack)) => Some((pack, it)),
            _ => None,
        });
        let footers = packs.map(|(pack, listed)| self.footer(pack, listed));
        let found: Vec<_> =
            stream::iter(footers).buffer_unordered(TAILS_AT_ONCE).try_collect().await?;
        let frames = found
            .into_iter()
            .flatten()
            .flat_map(|(pack, footer)| places(pack, footer.frames()).collect::<Vec<_>>());
        Ok(frames.collect())
    }

    /// Reads the footer of a pack; `None` if it is no sound pack.
    async fn footer(
        &self,
        pack: PackDigest,
        listed: Listed,
    ) -> Result<Option<(PackDigest, Footer)>, RegistryError> {
        let Listed { path, len, .. } = listed;
        let mut start = len.saturating_sub(TAIL_LEN);
        let mut tail = self.medium.range(&path, start..len).await?;
        let Some(trailer) = tail.last_chunk::<TRAILER_LEN>() else { return Ok(None) };
        let Ok(place) = Footer::place(len, trailer) else { return Ok(None) };
        if place.start < start {
            start = place.start;
            tail = self.medium.range(&path, start..len).await?;
        }
        let at = |offset: u64| usize::try_from(offset - start).unwrap_or(usize::MAX);
        let footer: Bytes = tail.slice(at(place.start)..at(place.end));
        Ok(Footer::of_tail(pack, &footer, place.start).ok().map(|footer| (pack, footer)))
    }
}
