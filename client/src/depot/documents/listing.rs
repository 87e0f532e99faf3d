//! The documents that list applications, releases and channels.

use seawall_api::digest::{DescriptorDigest, IndexDigest};
use seawall_api::names::ApplicationName;
use seawall_api::v1::{Application, Channel, ChannelMove, ReleaseSummary};
use serde::{Deserialize, Serialize};

use super::Document;

/// The applications of a depot, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Applications {
    /// The applications.
    pub applications: Vec<Application>,
}

impl Document for Applications {
    const SCHEMA: &'static str = "seawall.depot-applications/1";
}

/// A channel, with the moves that the mirror saw, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedChannel {
    /// The state.
    pub channel: Channel,
    /// The moves.
    pub moves: Vec<ChannelMove>,
}

/// A release of a depot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedRelease {
    /// The row of the release in a list. The channels are listed apart.
    pub summary: ReleaseSummary,
    /// The disks, in the order of the release.
    pub disks: Vec<ListedDisk>,
    /// The original descriptors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub descriptors: Vec<DescriptorDigest>,
}

/// The index of a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedDisk {
    /// The index.
    pub index: IndexDigest,
    /// The data of the disk in bytes, without holes.
    pub data_bytes: u64,
}

/// The releases and channels of an application.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Releases {
    /// The application.
    pub application: ApplicationName,
    /// The time of the first copy, in seconds since 1970-01-01 UTC.
    pub created_at_secs: u64,
    /// The releases, newest copy first.
    pub releases: Vec<ListedRelease>,
    /// The channels, by name.
    pub channels: Vec<ListedChannel>,
    /// The time at which readers stop to believe the channels, in seconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels_expire_at_secs: Option<u64>,
}

impl Document for Releases {
    const SCHEMA: &'static str = "seawall.depot-releases/1";
}

impl Releases {
    /// Returns the document of an application without releases.
    #[must_use]
    pub fn of(application: ApplicationName, now_secs: u64) -> Self {
        Self {
            application,
            created_at_secs: now_secs,
            releases: Vec::new(),
            channels: Vec::new(),
            channels_expire_at_secs: None,
        }
    }

    /// Returns the stem of the slots of an application's document.
    #[must_use]
    pub fn stem(application: &ApplicationName) -> String {
        format!("listings/{application}/@releases")
    }

    /// Returns the application's row in the list of applications.
    #[must_use]
    pub fn summary(&self) -> Application {
        Application {
            name: self.application.clone(),
            created_at_secs: self.created_at_secs,
            release_count: self.releases.len() as u64,
            newest: self.releases.first().map(|release| release.summary.version.clone()),
        }
    }
}

impl Applications {
    /// The stem of the slots.
    pub const STEM: &'static str = "listings/@applications";
}
