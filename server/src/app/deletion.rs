//! Delete: a release goes when nothing holds it, and its version is never used again.
//!
//! Its bytes go later, when what nothing reaches any more is collected.

use seawall_api::names::{ApplicationName, Version};
use seawall_api::reference::Selector;
use seawall_api::units::Counted;

use super::{AppError, Registry};
use crate::catalog::Release;
use crate::catalog::collect::{DeleteRequest, Deletion, Holder, Tombstone};

/// How many moves of a channel are remembered as places to go back to: what was promoted by
/// mistake is often noticed one promotion later.
pub const MOVES_HELD: u32 = 2;

/// How many holders an error names.
const NAMED_HOLDERS_MAX: usize = 10;

/// What to do when a release was deleted that the store was not told of.
const DELETE_AGAIN: &str = "delete it again, so that it is recorded";

impl Registry {
    /// Deletes a release that nothing holds.
    ///
    /// # Errors
    /// [`AppError::Held`] with the names of what holds it, [`AppError::Gone`] when it was deleted
    /// before, [`AppError::NotFound`] when it never was.
    pub async fn remove_release(
        &self,
        application: &ApplicationName,
        version: &Version,
        token: String,
    ) -> Result<Tombstone, AppError> {
        let title = format!("{application}:{version}");
        self.catalog.make_room().await?;
        let selector = Selector::Version(version.clone());
        // What a rebuild needs besides the tombstone: when it was published, and by whom.
        if let Some(release) = self.catalog.resolve(application.clone(), selector).await?
            && let Some(release) = self.catalog.release(application.clone(), release).await?
        {
            self.record_release(&release).await?;
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
                let recorded = self.record_tombstone(&tombstone).await;
                recorded.map_err(|error| error.unrecorded(done, DELETE_AGAIN))?;
                Ok(tombstone)
            }
            Deletion::Already(tombstone) => {
                // Whoever tries again after a crash comes by here.
                self.record_tombstone(&tombstone).await?;
                Err(gone(&tombstone))
            }
            Deletion::Held(holders) => {
                let remedy = remedy_of(&title, &holders);
                Err(AppError::Held { version: title, holders: in_words(&holders), remedy })
            }
            Deletion::Absent => Err(AppError::not_found(format!("release {title}"))),
        }
    }

    /// A release and everything that keeps it from being deleted, the strongest first.
    ///
    /// # Errors
    /// As [`Registry::resolve`].
    pub async fn holders(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<(Release, Vec<Holder>), AppError> {
        let digest = self.resolve(application, selector).await?;
        let gone = || AppError::not_found(format!("release {application}@{digest}"));
        let release = self.catalog.release(application.clone(), digest).await?.ok_or_else(gone)?;
        let (of, now_secs) = (application.clone(), self.host.now_secs());
        let holders = self.catalog.holders(of, digest, now_secs, MOVES_HELD).await?;
        Ok((release, holders.ok_or_else(gone)?))
    }
}

/// What is said of a release that was deleted.
pub(super) fn gone(tombstone: &Tombstone) -> AppError {
    let Tombstone { release, deleted_at_secs, deleted_by } = tombstone;
    let by = match deleted_by.as_str() {
        "" => "somebody without a token".to_owned(),
        token => format!("`{token}`"),
    };
    AppError::Gone {
        version: format!("{}:{}", release.application, release.version),
        by,
        at_secs: *deleted_at_secs,
    }
}

/// What holds a release, for people.
fn in_words(holders: &[Holder]) -> String {
    let mut words: Vec<_> = holders.iter().take(NAMED_HOLDERS_MAX).map(word).collect();
    let more = holders.len().saturating_sub(NAMED_HOLDERS_MAX);
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words.join("; ")
}

/// The command that takes away what holds a release most.
fn remedy_of(title: &str, holders: &[Holder]) -> String {
    let application = title.rsplit_once(':').map_or(title, |(application, _)| application);
    match holders.first() {
        Some(Holder::Channel(channel)) => {
            format!(
                "move the channel to another release: `seawall promote {application}:VERSION {channel}`"
            )
        }
        Some(Holder::History { channel, .. }) => format!(
            "the last {MOVES_HELD} releases of a channel stay, so that it can go back: delete it \
             once {channel} has moved on; `seawall channels {application} {channel}` shows its moves"
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
