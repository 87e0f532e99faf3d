//! The manner of a copy: ordered once by a person, or standing.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seawall_api::names::{ApplicationName, ChannelName};
use tokio::time::Instant;

use super::select::SelectedChannel;
use super::{CopiedRelease, CopyError};

/// A receiver of each release that is in the target.
type Tell = Arc<dyn Fn(&CopiedRelease) + Send + Sync>;

/// The memory of a standing copy: which moves of the target's channels it knows.
pub trait Ledger: Send + Sync {
    /// Returns the sequence number of the channel's last move that the copy made, or found to agree
    /// with the source.
    fn known(&self, application: &ApplicationName, channel: &ChannelName) -> Option<u64>;
    /// Notes the sequence number of such a move.
    fn note(&self, application: &ApplicationName, channel: &ChannelName, sequence: u64);
}

/// The manner of a copy. The default is that of an order that a person gives once.
#[derive(Clone, Default)]
pub struct Manner {
    /// True for a copy that is repeated without a person at it. It leaves alone what it cannot or
    /// may not change in the target, and goes on with the rest.
    pub is_standing: bool,
    /// The memory of moves. With one, a channel is moved only if its last move in the target is
    /// known, so that nobody else's move is undone, and several copies never move a channel back
    /// and forth.
    pub ledger: Option<Arc<dyn Ledger>>,
    /// The limit on the rate; `None` for none.
    pub pace: Option<Pace>,
    /// Told of each release that is in the target.
    pub tell: Option<Tell>,
}

impl fmt::Debug for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manner").field("is_standing", &self.is_standing).finish_non_exhaustive()
    }
}

impl Manner {
    /// Returns true if the copy goes on after an error, which concerns one name alone.
    pub(super) fn leaves_alone(&self, error: &CopyError) -> bool {
        self.is_standing
            && matches!(
                error,
                CopyError::VersionTaken { .. }
                    | CopyError::VersionDeleted { .. }
                    | CopyError::ChannelMoved { .. }
                    | CopyError::ChannelOfOthers { .. }
                    | CopyError::NoApplication { .. }
            )
    }

    /// Returns true if the copy may move a channel whose last move has this sequence number.
    pub(super) fn may_move(&self, channel: &SelectedChannel, sequence: u64) -> bool {
        let known = |ledger: &Arc<dyn Ledger>| {
            ledger.known(&channel.application, &channel.channel) == Some(sequence)
        };
        self.ledger.as_ref().is_none_or(known)
    }

    /// Notes that a channel of the target agrees with the source since a move.
    pub(super) fn note(&self, channel: &SelectedChannel, sequence: u64) {
        if let Some(ledger) = &self.ledger {
            ledger.note(&channel.application, &channel.channel, sequence);
        }
    }

    pub(super) fn tell(&self, copied: &CopiedRelease) {
        if let Some(tell) = &self.tell {
            tell(copied);
        }
    }
}

/// Returns the remark about what a standing copy leaves alone. There is none about a version that
/// was deleted in the target: its retention is its own.
pub(super) fn remark(error: &CopyError) -> Option<String> {
    match error {
        CopyError::VersionDeleted { .. } => None,
        error => Some(error.to_string()),
    }
}

/// A limit on the rate of data that is sent.
#[derive(Clone, Debug)]
pub struct Pace {
    bytes_per_sec: u64,
    /// The time at which the data that was let through is sent, at this rate.
    sent_at: Arc<Mutex<Option<Instant>>>,
}

impl Pace {
    /// Limits the rate to some bytes per second, at least 1.
    #[must_use]
    pub fn new(bytes_per_sec: u64) -> Self {
        Self { bytes_per_sec: bytes_per_sec.max(1), sent_at: Arc::default() }
    }

    /// Waits until these bytes may be sent.
    pub(super) async fn take(&self, bytes: u64) {
        let micros = bytes.saturating_mul(1_000_000) / self.bytes_per_sec;
        let start = {
            let mut sent_at = self.sent_at.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let start = sent_at.map_or(now, |at| at.max(now));
            *sent_at = Some(start + Duration::from_micros(micros));
            start
        };
        tokio::time::sleep_until(start).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pace_spreads_data_over_the_time_that_it_takes() {
        let (pace, start) = (Pace::new(1 << 20), Instant::now());
        for _ in 0..5 {
            pace.take(4 << 20).await;
        }
        // The fifth waits for the four before.
        assert_eq!(start.elapsed().as_secs(), 16);
    }
}
