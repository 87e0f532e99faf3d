//! Pins, and everything else that keeps a release from being deleted.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::ReleaseDigest;
use crate::names::{ChannelName, HostName, PinName, Version};

/// The longest reason of a pin, in bytes.
pub const PIN_REASON_LEN_MAX: usize = 1024;

/// Asks to pin a release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "the auditors read it until 2027" }))]
pub struct SetPin {
    /// Why it must stay; a person reads it who wants to delete the release.
    pub reason: String,
}

/// A pin: its release stays until somebody takes it away.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// Its name, unique among the pins of its release.
    pub name: PinName,
    /// Why the release must stay.
    pub reason: String,
    /// When it was set last, seconds since 1970-01-01 UTC.
    pub pinned_at_secs: u64,
    /// Who set it: the name of the token used; empty without authentication.
    pub pinned_by: String,
}

/// The pins of a release, by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PinPage {
    /// The pins.
    pub pins: Vec<Pin>,
}

/// What keeps a release from being deleted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Holder {
    /// A channel points at it.
    Channel {
        /// The channel.
        channel: ChannelName,
    },
    /// A channel pointed at it a few moves ago, and may want to go back.
    History {
        /// The channel.
        channel: ChannelName,
        /// How many moves ago, from 1.
        moves_ago: u64,
    },
    /// Somebody pinned it.
    Pin {
        /// The pin.
        pin: PinName,
        /// Why.
        reason: String,
    },
    /// A host runs it.
    Host {
        /// The host.
        host: HostName,
        /// When it said so last, seconds since 1970-01-01 UTC.
        renewed_at_secs: u64,
    },
}

/// Everything that keeps a release from being deleted; nothing does where the list is empty.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Holders {
    /// The release's version.
    pub version: Version,
    /// Its identity.
    pub digest: ReleaseDigest,
    /// What holds it, the strongest first.
    pub holders: Vec<Holder>,
}
