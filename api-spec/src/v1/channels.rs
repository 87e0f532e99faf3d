//! Channels: the only mutable names.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::ReleaseDigest;
use crate::names::{ChannelName, Version};

/// Where a channel points. Its ETag is the sequence number in quotes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Channel {
    /// Its name.
    pub name: ChannelName,
    /// The release it points at.
    pub release: ReleaseDigest,
    /// That release's version.
    pub version: Version,
    /// Counts its moves; 1 is the first.
    pub sequence: u64,
    /// When it moved here, seconds since 1970-01-01 UTC.
    pub moved_at_secs: u64,
}

/// All channels of an application, ordered by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChannelPage {
    /// The channels.
    pub channels: Vec<Channel>,
}

/// Asks to move a channel. `If-Match: "<sequence>"` says what it replaces,
/// `If-None-Match: *` that it must be new.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveChannel {
    /// The release to point at, one of the same application.
    pub release: ReleaseDigest,
}

/// One move of a channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelMove {
    /// Which move, from 1.
    pub sequence: u64,
    /// The release it moved to.
    pub release: ReleaseDigest,
    /// That release's version.
    pub version: Version,
    /// When, seconds since 1970-01-01 UTC.
    pub moved_at_secs: u64,
    /// Who moved it: the name of the token used; empty without authentication.
    pub moved_by: String,
}

/// The moves of a channel, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChannelHistory {
    /// The moves.
    pub moves: Vec<ChannelMove>,
}
