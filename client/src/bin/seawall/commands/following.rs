//! Which channel a pulled folder follows, and that a command changes that.

use std::path::Path;

use seawall::directory::Origin;
use seawall::progress::Progress;
use seawall_api::names::ChannelName;
use seawall_api::reference::Selector;
use serde::Serialize;

/// What a folder follows once a command is done.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Following {
    /// The channel; none where it holds a release by its version or digest.
    follows: Option<ChannelName>,
    /// The channel that it followed before, and that it leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_channel: Option<ChannelName>,
    #[serde(skip)]
    origin: Origin,
    /// What the folder's own note says before the command.
    #[serde(skip)]
    before: Origin,
}

/// A report, and what the folder follows.
#[derive(Serialize)]
pub(super) struct Followed<T> {
    #[serde(flatten)]
    pub(super) report: T,
    #[serde(flatten)]
    pub(super) following: Following,
}

impl Following {
    /// Compares what a folder follows with what a release that was named so makes it follow.
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

    /// Keeps the channel of a folder that held the release already, unless a channel was named.
    ///
    /// Such a pull only checks the folder: a version in it says nothing about what to follow.
    pub(super) fn unless_present(self, already_present: bool) -> Self {
        if !already_present || self.follows.is_some() || self.left_channel.is_none() {
            return self;
        }
        let Self { left_channel, before, .. } = self;
        Self { follows: left_channel, left_channel: None, origin: before.clone(), before }
    }

    /// Notes it in the folder. The release is there whether or not that succeeds.
    pub(super) fn note(&self, dir: &Path, progress: &dyn Progress) {
        if let Err(error) = self.origin.write(dir) {
            let why = &error.source;
            progress.note(&format!("warning: {error}: {why}; `seawall patch` needs --to here"));
        }
    }

    /// Says that a channel is left, in a line of its own; nothing where none is.
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
