//! Retention: pins, hosts and policies.

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName, HostName, PinName, Version};

use super::channels::ChannelMove;

/// The maximum number of pins of a release.
pub const PINS_MAX: u32 = 64;
/// The maximum number of instances of an application on one host.
pub const INSTANCES_MAX: u32 = 64;
/// The maximum number of instances of all hosts.
pub const HOSTS_MAX: u32 = 100_000;
/// The maximum number of instances reported by one token.
pub const HOSTS_PER_TOKEN_MAX: u32 = 10_000;
/// The time after its deadline until a silent host is forgotten, in seconds.
pub const HOST_FORGOTTEN_SECS: u64 = 366 * 24 * 3600;

/// A pin, which holds a release until removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pin {
    /// The pin's name, unique among the pins of its release.
    pub name: PinName,
    /// The reason why the release must stay.
    pub reason: String,
    /// Time the pin was last set, in seconds since 1970-01-01 UTC.
    pub pinned_at_secs: u64,
    /// The name of the token that set the pin; empty without authentication.
    pub pinned_by: String,
}

/// The outcome of setting a pin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pinned {
    /// The pin is new.
    Created,
    /// The pin replaced one of the same name.
    Replaced,
    /// There is no such release.
    NoSuchRelease,
    /// The release has [`PINS_MAX`] pins.
    TooMany,
}

/// A host's report of a release it runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostReport {
    /// The host.
    pub host: HostName,
    /// The application.
    pub application: ApplicationName,
    /// The name of the instance, which distinguishes copies on one host.
    pub instance: String,
    /// The release.
    pub release: ReleaseDigest,
    /// The channel the instance follows.
    pub channel: Option<ChannelName>,
    /// The number of disks of the release on the host.
    pub disks: u64,
    /// Time of the report, in seconds since 1970-01-01 UTC.
    pub now_secs: u64,
    /// Time until which the report holds, in seconds since 1970-01-01 UTC.
    pub deadline_secs: u64,
    /// The name of the reporting token; empty without authentication.
    pub reported_by: String,
    /// True if the token may also report what another token reported first.
    pub speaks_for_all: bool,
}

/// The outcome of a [`HostReport`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reported {
    /// The report is recorded.
    Done(Box<HostRow>),
    /// There is no such release.
    NoSuchRelease,
    /// The host has [`INSTANCES_MAX`] instances of the application.
    TooManyInstances,
    /// The registry has [`HOSTS_MAX`] instances.
    TooManyHosts,
    /// The token reports [`HOSTS_PER_TOKEN_MAX`] instances.
    TooManyOfToken,
    /// Another token reports the application on this host.
    OfAnother,
}

/// A release run by a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostRow {
    /// The host.
    pub host: HostName,
    /// The application.
    pub application: ApplicationName,
    /// The name of the instance, which distinguishes copies on one host.
    pub instance: String,
    /// The release.
    pub release: ReleaseDigest,
    /// The version of the release.
    pub version: Version,
    /// Time the release was published, in seconds since 1970-01-01 UTC.
    pub published_at_secs: u64,
    /// The channel the instance follows.
    pub channel: Option<ChannelName>,
    /// The version the channel points at.
    pub channel_version: Option<Version>,
    /// The number of moves the channel has made since it pointed at the release.
    pub moves_behind: Option<u64>,
    /// The number of disks of the release on the host.
    pub disks: u64,
    /// Time since which the instance runs this release, in seconds since 1970-01-01 UTC.
    pub since_secs: u64,
    /// Time of the last report, in seconds since 1970-01-01 UTC.
    pub renewed_at_secs: u64,
    /// Time until which the report holds, in seconds since 1970-01-01 UTC.
    pub deadline_secs: u64,
}

/// A page of hosts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostRows {
    /// The releases run by the hosts, by host, application and instance.
    pub rows: Vec<HostRow>,
    /// The last host on the page, if more follow.
    pub next: Option<HostName>,
}

/// A selection of the instances of a host.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct HostPart {
    /// The application to select; all if `None`.
    pub application: Option<ApplicationName>,
    /// The instance to select; all if `None`.
    pub instance: Option<String>,
}

/// A policy as stored. The catalog does not interpret its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyRow {
    /// The channel the policy applies to; `None` for the whole application.
    pub channel: Option<ChannelName>,
    /// The text of the policy.
    pub policy: String,
    /// Time the policy was set, in seconds since 1970-01-01 UTC.
    pub set_at_secs: u64,
    /// The name of the token that set the policy; empty without authentication.
    pub set_by: String,
}

/// The holders of a release shown in a listing, except channels that point at it.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Marks {
    /// The channels that pointed at the release a few moves ago, by name.
    pub recent_on: Vec<ChannelName>,
    /// The pins of the release, by name.
    pub pins: Vec<PinName>,
    /// The number of hosts that run the release.
    pub host_count: u64,
}

/// A release, as input to retention.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InventoryRelease {
    /// The version of the release.
    pub version: Version,
    /// The digest of the release document.
    pub digest: ReleaseDigest,
    /// Time of publication, in seconds since 1970-01-01 UTC.
    pub published_at_secs: u64,
}

/// A host, as input to retention.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InventoryHost {
    /// The release the host runs.
    pub release: ReleaseDigest,
    /// The host's name.
    pub host: HostName,
    /// Time until which the report holds or held, in seconds since 1970-01-01 UTC.
    pub deadline_secs: u64,
}

/// Everything that decides which releases of an application stay, at one moment.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Inventory {
    /// The visible releases, newest first.
    pub releases: Vec<InventoryRelease>,
    /// Every move of every channel, by channel, oldest first.
    pub moves: Vec<(ChannelName, ChannelMove)>,
    /// The pins of all releases.
    pub pins: Vec<(ReleaseDigest, PinName)>,
    /// The hosts, including those past their deadline.
    pub hosts: Vec<InventoryHost>,
    /// The policies of the application and its channels.
    pub policies: Vec<PolicyRow>,
}
