//! Channels: the only mutable names.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::ReleaseDigest;
use crate::names::{ChannelName, Version};

/// The current state of a channel. The ETag is the sequence number in quotes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Channel {
    /// The channel's name.
    pub name: ChannelName,
    /// The release the channel points to.
    pub release: ReleaseDigest,
    /// The version of the release.
    pub version: Version,
    /// The number of moves so far. The first move has number 1.
    pub sequence: u64,
    /// The time of the last move, in seconds since 1970-01-01 UTC.
    pub moved_at_secs: u64,
}

/// All channels of an application, ordered by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChannelPage {
    /// The channels.
    pub channels: Vec<Channel>,
}

/// A request to point a channel to a release.
///
/// `If-Match: "<sequence>"` names the state to replace. `If-None-Match: *` requires a new channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveChannel {
    /// The release to point to. It must belong to the same application.
    pub release: ReleaseDigest,
}

/// One move of a channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelMove {
    /// The number of the move, from 1.
    pub sequence: u64,
    /// The release the channel moved to.
    pub release: ReleaseDigest,
    /// The version of the release.
    pub version: Version,
    /// The time of the move, in seconds since 1970-01-01 UTC.
    pub moved_at_secs: u64,
    /// The name of the token that moved the channel. Empty without authentication.
    pub moved_by: String,
}

/// The moves of a channel, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChannelHistory {
    /// The moves.
    pub moves: Vec<ChannelMove>,
}
