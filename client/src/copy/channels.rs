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

/// Points a channel of the target at the release of the source's. A move of somebody else between
/// the read and the update is a conflict.
pub(super) async fn copy(
    copy: &Copy,
    selected: SelectedChannel,
) -> Result<MovedChannel, CopyError> {
    let now = copy.to.channel(&selected.application, &selected.channel).await?;
    let (outcome, expect) = match &now {
        None => (Moved::Created, Expect::New),
        Some(now) if now.release == selected.release => {
            (Moved::Unchanged, Expect::Sequence(now.sequence))
        }
        Some(now) if copy.manner.may_move(&selected, now.sequence) => {
            (Moved::Moved, Expect::Sequence(now.sequence))
        }
        Some(_) => {
            let SelectedChannel { application, channel, .. } = selected;
            return Err(CopyError::ChannelOfOthers { application, channel });
        }
    };
    let SelectedChannel { application, channel, release } = &selected;
    let sequence = match now {
        Some(now) if outcome == Moved::Unchanged => Some(now.sequence),
        _ if copy.dry_run => None,
        _ => {
            let moved = copy.to.move_channel(application, channel, expect, *release).await;
            let moved = moved.map_err(|error| match error.kind() {
                ErrorKind::Conflict => CopyError::ChannelMoved {
                    application: application.clone(),
                    channel: channel.clone(),
                    source: Box::new(error),
                },
                _ => error.into(),
            })?;
            Some(moved.sequence)
        }
    };
    if let Some(sequence) = sequence {
        copy.manner.note(&selected, sequence);
    }
    let SelectedChannel { application, channel, release } = selected;
    Ok(MovedChannel { application, channel, release, outcome })
}
