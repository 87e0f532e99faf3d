//! Checks (fsck): progress, findings, damaged releases, and the rows to compare with the store.
//!
//! # Invariants
//!
//! 1. A check's progress and its findings up to that point are saved in one transaction. After a
//!    kill, the check resumes at its last saved state and reports nothing twice.
//! 2. Damage of a release is derived, never stored. A release is damaged as long as an object it
//!    needs is lost, and is sound once that object is stored again.

use seawall_api::digest::PackDigest;
use seawall_api::names::{ApplicationName, ChannelName};

use super::channels::ChannelMove;

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
