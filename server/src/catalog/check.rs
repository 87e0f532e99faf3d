//! The trait through which checks keep how far they are, what they found and which releases
//! suffer, and compare the catalog's rows with the store.
//!
//! # Invariants
//!
//! 1. How far a check is and what it found up to there are one transaction: one that is killed
//!    goes on where it was, and reports nothing twice.
//! 2. Whether a release is damaged is never stored: it follows from what is lost, and ends when
//!    that is put again.

use std::path::PathBuf;

use seawall_api::digest::{IndexDigest, LeafDigest, PackDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_store::port::ObjectName;

use super::collect::Hand;
use super::error::CatalogError;
use super::model::{ChannelMove, Frame, IndexRow, LeafRow, NewPack, Release};

/// Names who runs a check, among all processes that serve a catalog.
pub type Runner = [u8; 16];

/// How far a check is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckRun {
    /// Counts checks from 1.
    pub run: u64,
    /// Who runs it.
    pub runner: Runner,
    /// When its runner gave a sign of life last, seconds since 1970-01-01 UTC.
    pub beat_at_secs: u64,
    /// It was told to stop.
    pub is_stopped: bool,
    /// When it began.
    pub started_at_secs: u64,
    /// When it had looked at everything.
    pub completed_at_secs: Option<u64>,
    /// Bytes a second at most; 0 for no limit.
    pub rate: u64,
    /// What it looks at: the caller's number.
    pub phase: u32,
    /// The last of these that it has looked at: the caller's text.
    pub cursor: String,
    /// Objects and rows it has looked at.
    pub objects: u64,
    /// Bytes it has read.
    pub bytes: u64,
    /// About how many there were to read when it began.
    pub total_bytes: u64,
    /// Objects that nobody needs.
    pub reclaimable_count: u64,
    /// Their bytes.
    pub reclaimable_bytes: u64,
    /// Why it broke off.
    pub failure: Option<String>,
}

/// Asks to run a check.
#[derive(Clone, Copy, Debug)]
pub struct ClaimCheck {
    /// Who asks.
    pub runner: Runner,
    /// When.
    pub now_secs: u64,
    /// A runner that gave no sign of life for as long is dead.
    pub patience_secs: u64,
    /// Bytes a second at most; 0 for no limit.
    pub rate: u64,
    /// Begin anew where one was interrupted.
    pub restart: bool,
}

/// What became of a [`ClaimCheck`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClaimedCheck {
    /// The caller runs it: a new one, or one that goes on.
    Yours(CheckRun),
    /// Another runner is alive.
    Held,
}

/// What is to be made of a finding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// Something that is needed is gone or is not what its name says.
    Damage,
    /// It was, and is mended.
    Mended,
    /// Nobody needs it.
    Reclaimable,
}

/// Something that a check found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What kind of thing it is.
    pub kind: String,
    /// Which one.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
    /// What is to be made of it.
    pub class: Class,
}

/// What a check found, as far as it was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Findings {
    /// Damage first, then by object.
    pub list: Vec<Finding>,
    /// How many are damage, by kind.
    pub damage: Vec<(String, u64)>,
}

/// Something that a release lacks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LostObject {
    /// Its path in the store.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
}

/// Whether something that is sound was healed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Healing {
    /// If it is known to have been damaged.
    IfNoted,
    /// The caller saw that it was damaged, and replaced it.
    Seen,
}

/// A pack as the catalog has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KnownPack {
    /// Its name.
    pub digest: PackDigest,
    /// Its length in bytes.
    pub len: u64,
    /// Whether the store was found not to hold it.
    pub is_lost: bool,
    /// Whether it is about to be collected: its chunks may have no places any more.
    pub is_condemned: bool,
}

/// A move of some channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MoveRow {
    /// Its place among all moves, to go on from.
    pub at: String,
    /// The application.
    pub application: ApplicationName,
    /// The channel.
    pub channel: ChannelName,
    /// The move.
    pub change: ChannelMove,
}

/// Keeps what checks know. Part of [`Catalog`](super::Catalog), under the same contract.
#[async_trait::async_trait]
pub trait Checking: Send + Sync + 'static {
    /// The newest check.
    async fn check_run(&self) -> Result<Option<CheckRun>, CatalogError>;
    /// When the last check that came to its end did so.
    async fn last_complete_check(&self) -> Result<Option<u64>, CatalogError>;
    /// Begins a check, or goes on with one that broke off.
    async fn claim_check(&self, claim: ClaimCheck) -> Result<ClaimedCheck, CatalogError>;
    /// Keeps how far a check is and what it found since the last time; false when it is not the
    /// caller's any more, or was told to stop: then nothing is kept.
    async fn save_check(&self, run: CheckRun, found: Vec<Finding>) -> Result<bool, CatalogError>;
    /// Gives a sign of life of a check, whatever step takes its time; false when it is not the
    /// caller's any more, or has ended.
    async fn beat_check(
        &self,
        run: u64,
        runner: Runner,
        now_secs: u64,
    ) -> Result<bool, CatalogError>;
    /// Tells the check under way to stop.
    async fn stop_check(&self) -> Result<(), CatalogError>;
    /// What a check found, at most `limit` of it.
    async fn findings(&self, run: u64, limit: u32) -> Result<Findings, CatalogError>;

    /// Notes that an object is damaged, and which releases need it; packs and leaves need none to
    /// be named, as the catalog knows.
    async fn note_damage(
        &self,
        object: LostObject,
        needed_by: Vec<ReleaseDigest>,
        now_secs: u64,
    ) -> Result<(), CatalogError>;
    /// Notes that an object is sound again, and logs that it was healed; false when it was not
    /// known to be damaged. A pack or a leaf that is lost is sound, and logged, once it is added.
    async fn note_sound(
        &self,
        object: ObjectName,
        hand: Hand,
        healing: Healing,
    ) -> Result<bool, CatalogError>;
    /// Forgets a leaf whose bytes the store does not hold any more, and remembers that it is lost
    /// until it is added again.
    async fn lose_leaf(&self, leaf: LeafDigest) -> Result<(), CatalogError>;
    /// What a release is known to lack.
    async fn lost_of(&self, release: ReleaseDigest) -> Result<Vec<LostObject>, CatalogError>;
    /// The indexes of releases that need an object: a pack, a leaf, or an index itself.
    async fn indexes_needing(&self, object: ObjectName) -> Result<Vec<IndexDigest>, CatalogError>;
    /// Releases that are known to lack something, at most `limit`.
    async fn damaged_releases(&self, limit: u32) -> Result<Vec<Release>, CatalogError>;

    /// Remembers which leaves an index has.
    async fn note_leaves(
        &self,
        index: IndexDigest,
        leaves: Vec<LeafDigest>,
    ) -> Result<(), CatalogError>;
    /// Remembers which indexes a release has, of those that are present.
    async fn note_indexes(
        &self,
        release: ReleaseDigest,
        indexes: Vec<IndexDigest>,
    ) -> Result<(), CatalogError>;
    /// Whether a release needs an object; of descriptors and records the catalog does not know.
    async fn is_needed(&self, object: ObjectName) -> Result<bool, CatalogError>;

    /// What the packs have in bytes, together.
    async fn packs_len(&self) -> Result<u64, CatalogError>;
    /// A pack.
    async fn known_pack(&self, pack: PackDigest) -> Result<Option<KnownPack>, CatalogError>;
    /// Packs by name, from the one after `after`.
    async fn known_packs(
        &self,
        after: Option<PackDigest>,
        limit: u32,
    ) -> Result<Vec<KnownPack>, CatalogError>;
    /// Those of a pack's frames whose chunks the catalog does not know, or knows to lie elsewhere
    /// in that pack.
    async fn misplaced(
        &self,
        pack: PackDigest,
        frames: Vec<Frame>,
    ) -> Result<Vec<Frame>, CatalogError>;
    /// Makes the rows of a pack and its chunks say what its footer says.
    async fn correct_pack(&self, pack: NewPack, hand: Hand) -> Result<(), CatalogError>;
    /// Leaves by name, complete or not, from the one after `after`.
    async fn known_leaves(
        &self,
        after: Option<LeafDigest>,
        limit: u32,
    ) -> Result<Vec<LeafRow>, CatalogError>;
    /// Indexes by name, from the one after `after`.
    async fn known_indexes(
        &self,
        after: Option<IndexDigest>,
        limit: u32,
    ) -> Result<Vec<IndexRow>, CatalogError>;
    /// Releases that were not deleted, in the order of publishing, from the one after `after`.
    async fn known_releases(
        &self,
        after: Option<(ApplicationName, Version)>,
        limit: u32,
    ) -> Result<Vec<Release>, CatalogError>;
    /// A release by its name, deleted or not.
    async fn named_release(
        &self,
        application: ApplicationName,
        version: Version,
    ) -> Result<Option<Release>, CatalogError>;
    /// A release by its digest, unless it was deleted.
    async fn release_of(&self, release: ReleaseDigest) -> Result<Option<Release>, CatalogError>;
    /// Moves of all channels, from the one after `after`.
    async fn known_moves(&self, after: String, limit: u32) -> Result<Vec<MoveRow>, CatalogError>;
    /// A move of a channel.
    async fn known_move(
        &self,
        application: ApplicationName,
        channel: ChannelName,
        sequence: u64,
    ) -> Result<Option<ChannelMove>, CatalogError>;

    /// What the engine itself finds wrong with its file and the references between its rows.
    async fn check_rows(&self) -> Result<Vec<String>, CatalogError>;
    /// The path of a file beside the catalog, whose name ends with `suffix`.
    fn beside(&self, suffix: &str) -> PathBuf;
    /// Writes a copy of the catalog as it is at one moment into a new file, and proves it whole.
    async fn back_up(&self, path: PathBuf) -> Result<(), CatalogError>;
}
