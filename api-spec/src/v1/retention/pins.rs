//! Pins and the other holders of releases.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::ReleaseDigest;
use crate::names::{ChannelName, HostName, PinName, Version};

/// The maximum length of a pin's reason, in bytes.
pub const PIN_REASON_LEN_MAX: usize = 1024;

/// A request to pin a release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "needed by the auditors until 2027" }))]
pub struct SetPin {
    /// The reason, for people who want to delete the release.
    pub reason: String,
}

/// A pin. The release cannot be deleted until the pin is removed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// The pin's name, unique among the pins of the release.
    pub name: PinName,
    /// The reason for the pin.
    pub reason: String,
    /// The time when the pin was last set, in seconds since 1970-01-01 UTC.
    pub pinned_at_secs: u64,
    /// The name of the token that set the pin. Empty without authentication.
    pub pinned_by: String,
}

/// The pins of a release, by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PinPage {
    /// The pins.
    pub pins: Vec<Pin>,
}

/// A reason why a release cannot be deleted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Holder {
    /// A channel points to the release.
    Channel {
        /// The channel.
        channel: ChannelName,
    },
    /// A channel pointed to the release a few moves ago and may need to roll back.
    History {
        /// The channel.
        channel: ChannelName,
        /// The number of moves ago, from 1.
        moves_ago: u64,
    },
    /// A pin.
    Pin {
        /// The pin's name.
        pin: PinName,
        /// The reason for the pin.
        reason: String,
    },
    /// A host runs the release.
    Host {
        /// The host.
        host: HostName,
        /// The time of the host's last report, in seconds since 1970-01-01 UTC.
        renewed_at_secs: u64,
    },
}

/// The holders of a release. Without holders, the release can be deleted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Holders {
    /// The release's version.
    pub version: Version,
    /// The release's digest.
    pub digest: ReleaseDigest,
    /// The holders, the strongest first.
    pub holders: Vec<Holder>,
}
