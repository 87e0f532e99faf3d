//! Checks (fsck): findings, damaged releases, and the rows to compare with the store.
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
