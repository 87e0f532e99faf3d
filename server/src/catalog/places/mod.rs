//! The places of chunks: in which pack a chunk lies, and where.
//!
//! Only this part of the catalog grows with the chunks. It is a port of its own, because 10⁹ chunks
//! need another form than a row for each ([ADR 0013](../../../../docs/adr/0013-places.md)). The
//! rules decide which packs may be relied on. A place only tells where a chunk lies.
//!
//! # Contract
//!
//! 1. A chunk has one place at most, in a pack with a row.
//! 2. Calls take part in the transaction they are given.
//! 3. The cost of a call is that of a few round trips, whatever the number of chunks.

mod table;

use seawall_api::digest::ChunkDigest;

pub(super) use table::ChunkTable;

use super::model::collect::{PackKey, PlaceRow};
use super::model::content::Frame;
use super::tx::{Tx, TxResult};

/// The place of a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The pack.
    pub(super) pack: PackKey,
    /// The frame in the pack; `None` if no program of ours recorded it so.
    pub(super) frame: Option<Frame>,
}

/// The places of all chunks.
pub(super) trait Places: Send + Sync {
    /// Returns the packs of chunks, in order; `None` for a chunk without a place.
    fn packs(&self, tx: &mut dyn Tx, chunks: &[ChunkDigest]) -> TxResult<Vec<Option<PlaceRow>>>;

    /// Returns the places of chunks, in order; `None` for a chunk without a place.
    fn find(&self, tx: &mut dyn Tx, chunks: &[ChunkDigest]) -> TxResult<Vec<Option<Place>>>;

    /// Lists the packs of the next `limit` chunks after `after`, by digest.
    fn walk(
        &self,
        tx: &mut dyn Tx,
        after: Option<ChunkDigest>,
        limit: u32,
    ) -> TxResult<Vec<PlaceRow>>;

    /// Gives the chunks of these frames their place in a pack, whatever place they had.
    fn put(&self, tx: &mut dyn Tx, pack: PackKey, frames: &[Frame]) -> TxResult<()>;

    /// Deletes the places in packs being swept, among the next `limit` chunks after `after`.
    /// Returns the last of these chunks; `None` once all chunks were seen.
    fn forget(
        &self,
        tx: &mut dyn Tx,
        after: Option<ChunkDigest>,
        limit: u32,
    ) -> TxResult<Option<ChunkDigest>>;
}
