//! The channel that a pulled folder follows, and changes to the channel by a command.

use std::path::Path;

use seawall::directory::Origin;
use seawall::progress::Progress;
use seawall_api::names::ChannelName;
use seawall_api::reference::Selector;
use serde::Serialize;

/// The channel of a folder after a command.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Following {
    /// The channel; `None` for a folder pulled by version or digest.
    follows: Option<ChannelName>,
    /// The channel followed before and left by the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_channel: Option<ChannelName>,
    #[serde(skip)]
    origin: Origin,
    /// The folder's origin file before the command.
    #[serde(skip)]
    before: Origin,
}

/// A report with the channel that the folder follows.
#[derive(Serialize)]
pub(super) struct Followed<T> {
    #[serde(flatten)]
    pub(super) report: T,
    #[serde(flatten)]
    pub(super) following: Following,
}

impl Following {
    /// Compares the folder's channel with the channel of `selector`, if any.
    pub(super) fn of(dir: &Path, address: String, selector: &Selector) -> Self {
        let follows = match selector {
            Selector::Channel(channel) => Some(channel.clone()),
            Selector::Version(_) | Selector::Digest(_) => None,
        };
        let before = Origin::of_directory(dir);
        let left_channel = before.channel.clone().filter(|old| Some(old) != follows.as_ref());
        let origin = Origin { registry: Some(address), channel: follows.clone() };
        Self { follows, left_channel, origin, before }
    }

    /// Keeps the folder's channel if the release was already present, unless a channel was named.
    ///
    /// Such a pull only checks the folder, so a version on the command line is not a decision to
    /// leave the channel.
    pub(super) fn unless_present(self, already_present: bool) -> Self {
        if !already_present || self.follows.is_some() || self.left_channel.is_none() {
            return self;
        }
        let Self { left_channel, before, .. } = self;
        Self { follows: left_channel, left_channel: None, origin: before.clone(), before }
    }

    /// Writes the origin file. A failure is only a warning, since the release itself is in place.
    pub(super) fn note(&self, dir: &Path, progress: &dyn Progress) {
        if let Err(error) = self.origin.write(dir) {
            let why = &error.source;
            progress.note(&format!("warning: {error}: {why}; `seawall patch` needs --to here"));
        }
    }

    /// Returns a line on the channel left; empty if the folder left none.
    pub(super) fn text(&self, dir: &Path) -> String {
        let Some(left) = &self.left_channel else { return String::new() };
        let dir = dir.display();
        match &self.follows {
            Some(channel) => format!("{dir} follows {channel} from now on, no longer {left}\n"),
            None => format!(
                "{dir} no longer follows {left}: `seawall patch {dir} --to {left}` follows it again\n"
            ),
        }
    }
}
