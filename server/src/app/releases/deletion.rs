//! Deletion of releases without holders. The version of a deleted release is never used again.
//!
//! The bytes are removed later by a collection.

use seawall_api::names::{ApplicationName, Version};
use seawall_api::reference::Selector;
use seawall_api::units::Counted;

use super::Releases;
use crate::app::AppError;
use crate::app::names::{MOVES_HELD, gone};
use crate::catalog::Release;
use crate::catalog::collect::{DeleteRequest, Deletion, Holder, Tombstone};

/// The maximum number of holders listed in an error.
const NAMED_HOLDERS_MAX: usize = 10;

/// The next step after a deletion whose record could not be written.
const DELETE_AGAIN: &str = "delete it again to record the deletion";

impl Releases {
    /// Deletes a release that has no holders.
    ///
    /// # Errors
    /// [`AppError::Held`] with the holders, [`AppError::Gone`] if the release was deleted before,
    /// [`AppError::NotFound`] if the release never existed.
    pub async fn delete(
        &self,
        application: &ApplicationName,
        version: &Version,
        token: String,
    ) -> Result<Tombstone, AppError> {
        let title = format!("{application}:{version}");
        self.catalog.make_room().await?;
        let selector = Selector::Version(version.clone());
        // A rebuild needs the time and author of the publication besides the tombstone.
        if let Some(release) = self.catalog.resolve(application.clone(), selector).await?
            && let Some(release) = self.catalog.release(application.clone(), release).await?
        {
            self.records.record_release(&release).await?;
        }
        let request = DeleteRequest {
            application: application.clone(),
            version: version.clone(),
            now_secs: self.host.now_secs(),
            deleted_by: token,
            moves_held: MOVES_HELD,
        };
        let (deleted_at_secs, deleted_by) = (request.now_secs, request.deleted_by.clone());
        match self.catalog.delete_release(request).await? {
            Deletion::Done(release) => {
                let tombstone = Tombstone { release, deleted_at_secs, deleted_by };
                let done = || format!("release {title} is deleted");
                let recorded = self.records.record_tombstone(&tombstone).await;
                recorded.map_err(|error| error.unrecorded(done, DELETE_AGAIN))?;
                Ok(tombstone)
            }
            Deletion::Already(tombstone) => {
                // A retry after a crash arrives here and completes the record.
                self.records.record_tombstone(&tombstone).await?;
                Err(gone(&tombstone))
            }
            Deletion::Held(holders) => {
                let remedy = remedy_of(&title, &holders);
                Err(AppError::Held { version: title, holders: in_words(&holders), remedy })
            }
            Deletion::Absent => Err(AppError::not_found(format!("release {title}"))),
        }
    }

    /// Returns a release and its holders, the strongest first.
    ///
    /// # Errors
    /// As [`Names::resolve`](crate::app::names::Names::resolve).
    pub async fn holders(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<(Release, Vec<Holder>), AppError> {
        let digest = self.names.resolve(application, selector).await?;
        let gone = || AppError::not_found(format!("release {application}@{digest}"));
        let release = self.catalog.release(application.clone(), digest).await?.ok_or_else(gone)?;
        let (of, now_secs) = (application.clone(), self.host.now_secs());
        let holders = self.catalog.holders(of, digest, now_secs, MOVES_HELD).await?;
        Ok((release, holders.ok_or_else(gone)?))
    }
}

/// Describes the holders of a release for people.
fn in_words(holders: &[Holder]) -> String {
    let mut words: Vec<_> = holders.iter().take(NAMED_HOLDERS_MAX).map(word).collect();
    let more = holders.len().saturating_sub(NAMED_HOLDERS_MAX);
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words.join("; ")
}

/// Returns the command that removes the strongest holder.
fn remedy_of(title: &str, holders: &[Holder]) -> String {
    let application = title.rsplit_once(':').map_or(title, |(application, _)| application);
    match holders.first() {
        Some(Holder::Channel(channel)) => {
            format!(
                "move the channel to another release: `seawall promote {application}:VERSION {channel}`"
            )
        }
        Some(Holder::History { channel, .. }) => format!(
            "the last {MOVES_HELD} releases of a channel are kept for a rollback: delete this one \
             once {channel} has moved on; `seawall channels {application} {channel}` shows its \
             moves"
        ),
        Some(Holder::Pin { name, .. }) => format!("run `seawall unpin {title} --name {name}`"),
        Some(Holder::Host { host, .. }) => format!(
            "patch host {host} to another release; if it is gone, run `seawall hosts --forget {host}`"
        ),
        None => "run `seawall show` to see what holds it".to_owned(),
    }
}

fn word(holder: &Holder) -> String {
    match holder {
        Holder::Channel(channel) => format!("channel {channel} points at it"),
        Holder::History { channel, moves_ago } => {
            format!("channel {channel} pointed at it {} ago", Counted(*moves_ago, "move"))
        }
        Holder::Pin { name, reason } => format!("pin {name}: {reason}"),
        Holder::Host { host, .. } => format!("host {host} runs it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_named_and_a_fleet_is_counted() {
        let channel = |name: &str| Holder::Channel(name.parse().unwrap());
        let mut holders = vec![
            channel("stable"),
            Holder::History { channel: "beta".parse().unwrap(), moves_ago: 1 },
            Holder::History { channel: "edge".parse().unwrap(), moves_ago: 2 },
            Holder::Pin { name: "audit".parse().unwrap(), reason: "until 2027".to_owned() },
        ];
        assert_eq!(
            in_words(&holders),
            "channel stable points at it; channel beta pointed at it 1 move ago; channel edge \
             pointed at it 2 moves ago; pin audit: until 2027"
        );
        for n in 0..100 {
            let host = format!("rack{n}").parse().unwrap();
            holders.push(Holder::Host { host, renewed_at_secs: 0 });
        }
        let words = in_words(&holders);
        assert!(words.ends_with("host rack5 runs it; and 94 more"), "{words}");
    }
}
