//! Channels and their moves.

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName, Version};

/// A channel and the release it points at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Channel {
    /// The channel's name.
    pub name: ChannelName,
    /// The release the channel points at.
    pub release: ReleaseDigest,
    /// The version of that release.
    pub version: Version,
    /// The number of the channel's last move, from 1.
    pub sequence: u64,
    /// Time of the last move, in seconds since 1970-01-01 UTC.
    pub moved_at_secs: u64,
}

/// One move of a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChannelMove {
    /// The number of the move, from 1.
    pub sequence: u64,
    /// The release the channel moved to.
    pub release: ReleaseDigest,
    /// The version of that release.
    pub version: Version,
    /// Time of the move, in seconds since 1970-01-01 UTC.
    pub moved_at_secs: u64,
    /// The name of the token that moved the channel; empty without authentication.
    pub moved_by: String,
}

/// A channel as known before its catalog was lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PastChannel {
    /// The application of the channel.
    pub application: ApplicationName,
    /// The channel's name.
    pub name: ChannelName,
    /// The known moves, oldest first; at least one.
    pub moves: Vec<ChannelMove>,
    /// The number of the last move, whether or not that move is known. A number is never reused.
    pub sequence: u64,
}

/// The state of a channel that a move expects to replace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// The channel does not exist yet.
    Absent,
    /// The channel's last move has this number.
    Sequence(u64),
}

/// A request to move a channel.
#[derive(Clone, Debug)]
pub struct MoveRequest {
    /// The channel's application.
    pub application: ApplicationName,
    /// The channel.
    pub channel: ChannelName,
    /// The expected state of the channel.
    pub expected: Expected,
    /// The release to point at.
    pub release: ReleaseDigest,
    /// Time of the request, in seconds since 1970-01-01 UTC.
    pub now_secs: u64,
    /// The name of the requesting token; empty without authentication.
    pub moved_by: String,
}

/// The outcome of a [`MoveRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Moved {
    /// The channel points at the release.
    Done(Channel),
    /// The channel is not in the expected state. The number of its last move, if any.
    Stale(Option<u64>),
    /// The application has no such release.
    NoSuchRelease,
    /// The application already has the maximum number of channels, given here.
    TooMany(u32),
}
