//! Channels: the only mutable names, moved by compare-and-set.

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName};

use super::{AppError, Registry};
use crate::catalog::{Channel, ChannelMove, Expected, MoveRequest, Moved};

/// How many moves of a channel's history one answer holds, newest first.
const HISTORY_COUNT_MAX: u32 = 1000;

/// What to do when a move happened that the store was not told of.
const READ_CHANNEL: &str = "read the channel: it moved, and its next move or the next start \
                            records it";

/// Asks to point a channel at a release.
#[derive(Clone, Debug)]
pub struct ChannelChange {
    /// The channel.
    pub channel: ChannelName,
    /// The release to point at, one of the same application.
    pub release: ReleaseDigest,
    /// What the change replaces.
    pub expected: Expected,
    /// The name of the token used; empty without authentication.
    pub token: String,
}

impl Registry {
    /// All channels of an application, by name.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when there is no such application.
    pub async fn channels(&self, application: &ApplicationName) -> Result<Vec<Channel>, AppError> {
        self.find_application(application).await?;
        Ok(self.catalog.channels(application.clone()).await?)
    }

    /// A channel.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when there is none.
    pub async fn channel(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
    ) -> Result<Channel, AppError> {
        let found = self.catalog.channel(application.clone(), channel.clone()).await?;
        found.ok_or_else(|| AppError::not_found(format!("channel {application}:{channel}")))
    }

    /// The newest moves of a channel, newest first.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when there is none.
    pub async fn channel_history(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
    ) -> Result<Vec<ChannelMove>, AppError> {
        let (name, of) = (channel.clone(), application.clone());
        let moves = self.catalog.channel_moves(of, name, HISTORY_COUNT_MAX).await?;
        if moves.is_empty() {
            return Err(AppError::not_found(format!("channel {application}:{channel}")));
        }
        Ok(moves)
    }

    /// Moves a channel, unless it moved since the caller read it.
    ///
    /// # Errors
    /// [`AppError::Stale`] when it did, [`AppError::NotFound`] when there is no such release,
    /// [`AppError::CatalogOld`] when the store knows of a later move than the catalog.
    pub async fn move_channel(
        &self,
        application: &ApplicationName,
        change: ChannelChange,
    ) -> Result<Channel, AppError> {
        let object = format!("channel {application}:{}", change.channel);
        let release = change.release;
        let named = self.catalog.release(application.clone(), release).await?;
        let Some(named) = named else {
            return Err(AppError::not_found(format!("release {application}@{release}")));
        };
        // What the move will rely on when the store alone is left: its release and the move before.
        self.record_release(&named).await?;
        if let Expected::Sequence(last) = change.expected {
            self.record_last_move(application, &change.channel, last).await?;
        }
        self.check_move(application, &change.channel, change.expected).await?;
        let (name, moved_by) = (change.channel.clone(), change.token.clone());
        let request = MoveRequest {
            application: application.clone(),
            channel: change.channel,
            expected: change.expected,
            release,
            now_secs: self.host.now_secs(),
            moved_by: change.token,
        };
        match self.catalog.move_channel(request).await? {
            Moved::Done(channel) => {
                let change = ChannelMove {
                    sequence: channel.sequence,
                    release,
                    version: channel.version.clone(),
                    moved_at_secs: channel.moved_at_secs,
                    moved_by,
                };
                let done = || format!("{object} is at move {} now", change.sequence);
                let recorded = self.record_move(application, &name, &change).await;
                recorded.map_err(|error| error.unrecorded(done, READ_CHANNEL))?;
                Ok(channel)
            }
            Moved::Stale(current) => {
                // Whoever tries again after a crash comes by here, and reads where it points.
                if let Some(last) = current {
                    self.record_last_move(application, &name, last).await?;
                }
                let is_now = match current {
                    Some(sequence) => format!("is at move {sequence} now"),
                    None => "does not exist yet".to_owned(),
                };
                let shown_by = format!("seawall channels {application} {name}");
                Err(AppError::Stale { object, shown_by, is_now })
            }
            Moved::NoSuchRelease => {
                Err(AppError::not_found(format!("release {application}@{release}")))
            }
            Moved::TooMany(limit) => Err(AppError::rule(format!(
                "application {application} has {limit} channels, as many as it may have: move one \
                 of them instead of making {object}"
            ))),
        }
    }
}
