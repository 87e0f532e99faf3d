//! The part of the catalog's port for checks (fsck): progress, findings, damaged releases, and the
//! rows to compare with the store.
//!
//! # Invariants
//!
//! 1. A check's progress and its findings up to that point are saved in one transaction. After a
//!    kill, the check resumes at its last saved state and reports nothing twice.
//! 2. Damage of a release is derived, never stored. A release is damaged as long as an object it
//!    needs is lost, and is sound once that object is stored again.

use std::path::PathBuf;

use seawall_api::digest::{IndexDigest, LeafDigest, PackDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_store::port::ObjectName;

use super::collect::Hand;
use super::error::CatalogError;
use super::model::{ChannelMove, Frame, IndexRow, LeafRow, NewPack, Release};

/// The id of the process that runs a check, unique among all processes that serve a catalog.
pub type Runner = [u8; 16];

/// A check and its progress.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckRun {
    /// The number of the check, from 1.
    pub run: u64,
    /// The process that runs the check.
    pub runner: Runner,
    /// Time of the last heartbeat, in seconds since 1970-01-01 UTC.
    pub beat_at_secs: u64,
    /// True if the check was told to stop.
    pub is_stopped: bool,
    /// Start of the check, in seconds since 1970-01-01 UTC.
    pub started_at_secs: u64,
    /// End of the check, in seconds since 1970-01-01 UTC; `None` until the check has covered
    /// everything.
    pub completed_at_secs: Option<u64>,
    /// Limit of the read rate, in bytes per second; 0 for no limit.
    pub rate: u64,
    /// The current phase, numbered by the caller.
    pub phase: u32,
    /// The last item checked in this phase, as text of the caller's choice.
    pub cursor: String,
    /// The number of objects and rows checked.
    pub objects: u64,
    /// The number of bytes read.
    pub bytes: u64,
    /// The approximate number of bytes to read, estimated at the start.
    pub total_bytes: u64,
    /// The number of objects that nothing needs.
    pub reclaimable_count: u64,
    /// Total length of those objects, in bytes.
    pub reclaimable_bytes: u64,
    /// The reason the check failed, if it did.
    pub failure: Option<String>,
}

/// A request to run a check.
#[derive(Clone, Copy, Debug)]
pub struct ClaimCheck {
    /// The requesting process.
    pub runner: Runner,
    /// Time of the request, in seconds since 1970-01-01 UTC.
    pub now_secs: u64,
    /// The time without a heartbeat after which a runner is taken for dead, in seconds.
    pub patience_secs: u64,
    /// Limit of the read rate, in bytes per second; 0 for no limit.
    pub rate: u64,
    /// True to start over instead of resuming an interrupted check.
    pub restart: bool,
}

/// The outcome of a [`ClaimCheck`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClaimedCheck {
    /// The caller runs this check, which is new or resumed.
    Yours(CheckRun),
    /// Another runner is alive.
    Held,
}

/// The class of a finding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// A needed object is missing or does not match its name.
    Damage,
    /// Damage that was found and repaired.
    Mended,
    /// An object that nothing needs.
    Reclaimable,
}

/// A finding of a check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The kind of the object.
    pub kind: String,
    /// The object.
    pub object: String,
    /// The description of the finding.
    pub what: String,
    /// The class of the finding.
    pub class: Class,
}

/// The findings of a check, up to a limit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Findings {
    /// The findings, damage first, then by object.
    pub list: Vec<Finding>,
    /// The number of damaged or mended objects, by kind.
    pub damage: Vec<(String, u64)>,
}

/// An object that a release needs and the store lacks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LostObject {
    /// The object's path in the store.
    pub object: String,
    /// The description of the damage.
    pub what: String,
}

/// The evidence that a sound object was damaged before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Healing {
    /// The object counts as healed only if its damage was recorded.
    IfNoted,
    /// The caller saw the damage and replaced the object.
    Seen,
}

/// A pack as recorded in the catalog.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KnownPack {
    /// The pack's digest.
    pub digest: PackDigest,
    /// Length of the pack in bytes.
    pub len: u64,
    /// True if the store was found to lack the pack.
    pub is_lost: bool,
    /// True if the pack is condemned. Chunks of a condemned pack may have no place.
    pub is_condemned: bool,
}

/// A move of a channel, in the list of all moves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MoveRow {
    /// The position in the list of all moves, as a cursor.
    pub at: String,
    /// The application.
    pub application: ApplicationName,
    /// The channel.
    pub channel: ChannelName,
    /// The move.
    pub change: ChannelMove,
}

/// The part of the catalog for checks. The contract is that of [`Catalog`](super::Catalog).
#[async_trait::async_trait]
pub trait Checking: Send + Sync + 'static {
    /// Returns the newest check.
    async fn check_run(&self) -> Result<Option<CheckRun>, CatalogError>;
    /// Returns the time of the last completed check, in seconds since 1970-01-01 UTC.
    async fn last_complete_check(&self) -> Result<Option<u64>, CatalogError>;
    /// Starts a check or resumes an unfinished one.
    async fn claim_check(&self, claim: ClaimCheck) -> Result<ClaimedCheck, CatalogError>;
    /// Saves the progress of a check and its findings since the last save. Returns false, and saves
    /// nothing, if the check belongs to another runner or was told to stop.
    async fn save_check(&self, run: CheckRun, found: Vec<Finding>) -> Result<bool, CatalogError>;
    /// Records a heartbeat of a check, so that a slow step is not taken for a dead runner. Returns
    /// false if the check belongs to another runner, was told to stop, or has ended.
    async fn beat_check(
        &self,
        run: u64,
        runner: Runner,
        now_secs: u64,
    ) -> Result<bool, CatalogError>;
    /// Tells the running check to stop.
    async fn stop_check(&self) -> Result<(), CatalogError>;
    /// Returns the findings of a check, at most `limit` in the list.
    async fn findings(&self, run: u64, limit: u32) -> Result<Findings, CatalogError>;

    /// Records that an object is damaged, and the releases that need it. For packs and leaves no
    /// releases are passed: the catalog has the references.
    async fn note_damage(
        &self,
        object: LostObject,
        needed_by: Vec<ReleaseDigest>,
        now_secs: u64,
    ) -> Result<(), CatalogError>;
    /// Records that an object is sound and logs the repair. Returns false if no damage was known. A
    /// lost pack or leaf is sound, and its repair logged, only once its rows are added again.
    async fn note_sound(
        &self,
        object: ObjectName,
        hand: Hand,
        healing: Healing,
    ) -> Result<bool, CatalogError>;
    /// Deletes the row of a leaf whose bytes are missing from the store, and records the leaf as
    /// lost until it is added again.
    async fn lose_leaf(&self, leaf: LeafDigest) -> Result<(), CatalogError>;
    /// Returns the objects a release is known to lack.
    async fn lost_of(&self, release: ReleaseDigest) -> Result<Vec<LostObject>, CatalogError>;
    /// Returns those indexes of releases that need a pack or leaf. An index needs itself; for other
    /// objects the list is empty.
    async fn indexes_needing(&self, object: ObjectName) -> Result<Vec<IndexDigest>, CatalogError>;
    /// Lists releases that are known to lack objects, at most `limit`.
    async fn damaged_releases(&self, limit: u32) -> Result<Vec<Release>, CatalogError>;

    /// Records the leaves of an index.
    async fn note_leaves(
        &self,
        index: IndexDigest,
        leaves: Vec<LeafDigest>,
    ) -> Result<(), CatalogError>;
    /// Records those indexes of a release that are present.
    async fn note_indexes(
        &self,
        release: ReleaseDigest,
        indexes: Vec<IndexDigest>,
    ) -> Result<(), CatalogError>;
    /// Returns whether a release needs an object. The catalog does not know this of descriptors and
    /// records: the answer is false.
    async fn is_needed(&self, object: ObjectName) -> Result<bool, CatalogError>;

    /// Returns the total length of all packs, in bytes.
    async fn packs_len(&self) -> Result<u64, CatalogError>;
    /// Returns a pack.
    async fn known_pack(&self, pack: PackDigest) -> Result<Option<KnownPack>, CatalogError>;
    /// Lists packs by digest, beginning after `after`.
    async fn known_packs(
        &self,
        after: Option<PackDigest>,
        limit: u32,
    ) -> Result<Vec<KnownPack>, CatalogError>;
    /// Returns those frames of a pack whose chunks have no row, or a row with another place in the
    /// same pack.
    async fn misplaced(
        &self,
        pack: PackDigest,
        frames: Vec<Frame>,
    ) -> Result<Vec<Frame>, CatalogError>;
    /// Corrects the rows of a pack and its chunks to match the pack's footer. A condemned pack is
    /// left alone.
    async fn correct_pack(&self, pack: NewPack, hand: Hand) -> Result<(), CatalogError>;
    /// Lists leaves by digest, complete or not, beginning after `after`.
    async fn known_leaves(
        &self,
        after: Option<LeafDigest>,
        limit: u32,
    ) -> Result<Vec<LeafRow>, CatalogError>;
    /// Lists indexes by digest, beginning after `after`.
    async fn known_indexes(
        &self,
        after: Option<IndexDigest>,
        limit: u32,
    ) -> Result<Vec<IndexRow>, CatalogError>;
    /// Lists releases in order of publication, deleted ones excluded, beginning after `after`.
    async fn known_releases(
        &self,
        after: Option<(ApplicationName, Version)>,
        limit: u32,
    ) -> Result<Vec<Release>, CatalogError>;
    /// Returns a release by its version, deleted or not.
    async fn named_release(
        &self,
        application: ApplicationName,
        version: Version,
    ) -> Result<Option<Release>, CatalogError>;
    /// Returns a release by its digest, unless deleted.
    async fn release_of(&self, release: ReleaseDigest) -> Result<Option<Release>, CatalogError>;
    /// Lists the moves of all channels, beginning after the cursor `after`.
    async fn known_moves(&self, after: String, limit: u32) -> Result<Vec<MoveRow>, CatalogError>;
    /// Returns a move of a channel.
    async fn known_move(
        &self,
        application: ApplicationName,
        channel: ChannelName,
        sequence: u64,
    ) -> Result<Option<ChannelMove>, CatalogError>;

    /// Returns the faults the engine finds in its file and in the references between rows.
    async fn check_rows(&self) -> Result<Vec<String>, CatalogError>;
    /// Returns the path of a file beside the catalog: the catalog's own path with `suffix`
    /// appended.
    fn beside(&self, suffix: &str) -> PathBuf;
    /// Writes a consistent snapshot of the catalog to a new file and verifies the copy.
    async fn back_up(&self, path: PathBuf) -> Result<(), CatalogError>;
}
