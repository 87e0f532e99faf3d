//! Name: the channels of the target, moved by compare-and-set.

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName};
use serde::Serialize;

use super::select::SelectedChannel;
use super::{Copy, CopyError};
use crate::error::ErrorKind;
use crate::registry::Expect;

/// The effect of a copy on a channel of the target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moved {
    /// The channel is new.
    Created,
    /// The channel pointed at another release.
    Moved,
    /// The channel pointed at the release already.
    Unchanged,
}

/// A copied channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MovedChannel {
    /// The application.
    pub application: ApplicationName,
    /// The channel.
    pub channel: ChannelName,
    /// The release that the channel points at in the source.
    pub release: ReleaseDigest,
    /// The effect.
    pub outcome: Moved,
}

/// Points a channel of the target at the release of the source's. Nobody else's move is undone: a
/// move between the read and the update is a conflict.
pub(super) async fn copy(
    copy: &Copy,
    selected: SelectedChannel,
) -> Result<MovedChannel, CopyError> {
    let SelectedChannel { application, channel, release } = selected;
    let (outcome, expect) = match copy.to.channel(&application, &channel).await? {
        None => (Moved::Created, Expect::New),
        Some(now) if now.release == release => (Moved::Unchanged, Expect::Sequence(now.sequence)),
        Some(now) => (Moved::Moved, Expect::Sequence(now.sequence)),
    };
    if outcome != Moved::Unchanged && !copy.dry_run {
        let moved = copy.to.move_channel(&application, &channel, expect, release).await;
        moved.map_err(|error| match error.kind() {
            ErrorKind::Conflict => CopyError::ChannelMoved {
                application: application.clone(),
                channel: channel.clone(),
                source: Box::new(error),
            },
            _ => error.into(),
        })?;
    }
    Ok(MovedChannel { application, channel, release, outcome })
}
