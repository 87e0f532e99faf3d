//! Channels: the only mutable names, moved by compare-and-set.

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName};

use super::Releases;
use crate::app::AppError;
use crate::catalog::{Channel, ChannelMove, Expected, MoveRequest, Moved};

/// The maximum number of moves in a response, newest first.
const HISTORY_COUNT_MAX: u32 = 1000;

/// The next step after a move whose record could not be written.
const READ_CHANNEL: &str = "read the channel: the move took effect, and the next move or start of \
                            the registry records it";

/// A request to point a channel at a release.
#[derive(Clone, Debug)]
pub struct ChannelChange {
    /// The channel.
    pub channel: ChannelName,
    /// The target release, of the same application.
    pub release: ReleaseDigest,
    /// The state that the change replaces.
    pub expected: Expected,
    /// The name of the token used; empty without authentication.
    pub token: String,
}

impl Releases {
    /// Returns all channels of an application, by name.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such application.
    pub async fn channels(&self, application: &ApplicationName) -> Result<Vec<Channel>, AppError> {
        self.names.find_application(application).await?;
        Ok(self.catalog.channels(application.clone()).await?)
    }

    /// Returns the latest moves of a channel, newest first.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such channel.
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

    /// Moves a channel, unless the channel moved after the caller read it.
    ///
    /// # Errors
    /// [`AppError::Stale`] if the channel moved, [`AppError::NotFound`] if there is no such
    /// release, [`AppError::CatalogOld`] if the store has a record of a later move than the
    /// catalog.
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
        // A rebuild from the store needs the records of the release and of the previous move.
        self.records.record_release(&named).await?;
        if let Expected::Sequence(last) = change.expected {
            self.records.record_last_move(application, &change.channel, last).await?;
        }
        self.records.check_move(application, &change.channel, change.expected).await?;
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
                let done = || format!("{object} is at sequence {} now", change.sequence);
                let recorded = self.records.record_move(application, &name, &change).await;
                recorded.map_err(|error| error.unrecorded(done, READ_CHANNEL))?;
                Ok(channel)
            }
            Moved::Stale(current) => {
                // A retry after a crash arrives here and completes the record.
                if let Some(last) = current {
                    self.records.record_last_move(application, &name, last).await?;
                }
                let is_now = match current {
                    Some(sequence) => format!("is at sequence {sequence} now"),
                    None => "does not exist yet".to_owned(),
                };
                let shown_by = format!("seawall channels {application} {name}");
                Err(AppError::Stale { object, shown_by, is_now })
            }
            Moved::NoSuchRelease => {
                Err(AppError::not_found(format!("release {application}@{release}")))
            }
            Moved::TooMany(limit) => Err(AppError::rule(format!(
                "application {application} has {limit} channels, the maximum: move one of them \
                 instead of creating {object}"
            ))),
        }
    }
}
