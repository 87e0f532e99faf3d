//! The part of the catalog's port for retention: pins, hosts and policies.

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName, HostName, PinName, Version};
use seawall_api::reference::Selector;

use super::collect::{Holder, Tombstone};
use super::error::CatalogError;
use super::model::ChannelMove;

/// The maximum number of pins of a release.
pub const PINS_MAX: u32 = 64;
/// The maximum number of instances of one host.
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
    /// True if the token may also report hosts first reported by another token.
    pub speaks_for_all: bool,
}

/// The outcome of a [`HostReport`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reported {
    /// The report is recorded.
    Done(Box<HostRow>),
    /// There is no such release.
    NoSuchRelease,
    /// The host has [`INSTANCES_MAX`] instances.
    TooManyInstances,
    /// The registry has [`HOSTS_MAX`] instances.
    TooManyHosts,
    /// The token reports [`HOSTS_PER_TOKEN_MAX`] instances.
    TooManyOfToken,
    /// Another token reports this host.
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
pub struct StandingRelease {
    /// The version of the release.
    pub version: Version,
    /// The digest of the release document.
    pub digest: ReleaseDigest,
    /// Time of publication, in seconds since 1970-01-01 UTC.
    pub published_at_secs: u64,
}

/// A host, as input to retention.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StandingHost {
    /// The release the host runs.
    pub release: ReleaseDigest,
    /// The host's name.
    pub host: HostName,
    /// Time until which the report holds or held, in seconds since 1970-01-01 UTC.
    pub deadline_secs: u64,
}

/// Everything that decides which releases of an application stay, at one moment.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Standing {
    /// The visible releases, newest first.
    pub releases: Vec<StandingRelease>,
    /// Every move of every channel, by channel, oldest first.
    pub moves: Vec<(ChannelName, ChannelMove)>,
    /// The pins of all releases.
    pub pins: Vec<(ReleaseDigest, PinName)>,
    /// The hosts, including those past their deadline.
    pub hosts: Vec<StandingHost>,
    /// The policies of the application and its channels.
    pub policies: Vec<PolicyRow>,
}

/// The part of the catalog for pins, hosts and policies.
///
/// # Contract
///
/// 1. Each method is one transaction.
/// 2. Deleting a release deletes its pins and host reports.
#[async_trait::async_trait]
pub trait Fleet: Send + Sync + 'static {
    /// Returns a deleted release by version or digest. A channel never selects one.
    async fn deleted(
        &self,
        application: ApplicationName,
        selector: Selector,
    ) -> Result<Option<Tombstone>, CatalogError>;
    /// Returns the holders of a release; `None` if there is no such release.
    async fn holders(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
        now_secs: u64,
        moves_held: u32,
    ) -> Result<Option<Vec<Holder>>, CatalogError>;
    /// Returns the marks of an application's releases. A release held by no more than channels
    /// pointing at it has none.
    async fn marks(
        &self,
        application: ApplicationName,
        now_secs: u64,
        moves_held: u32,
    ) -> Result<Vec<(ReleaseDigest, Marks)>, CatalogError>;
    /// Returns everything that decides which releases of an application stay.
    async fn standing(&self, application: ApplicationName) -> Result<Standing, CatalogError>;

    /// Pins a release.
    async fn pin(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
        pin: Pin,
    ) -> Result<Pinned, CatalogError>;
    /// Removes a pin. Returns false if there is none of this name. The caller logs the removal.
    async fn unpin(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
        name: PinName,
    ) -> Result<bool, CatalogError>;
    /// Lists the pins of a release by name.
    async fn pins(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
    ) -> Result<Vec<Pin>, CatalogError>;

    /// Records the release a host runs. Before adding an instance, deletes hosts silent for
    /// [`HOST_FORGOTTEN_SECS`].
    async fn report_host(&self, report: HostReport) -> Result<Reported, CatalogError>;
    /// Lists at most `limit` hosts by name, beginning after `after`; only hosts and instances of
    /// `application` if given.
    async fn hosts(
        &self,
        application: Option<ApplicationName>,
        after: Option<HostName>,
        limit: u32,
    ) -> Result<HostRows, CatalogError>;
    /// Deletes instances of a host. Returns the number deleted.
    async fn forget_host(&self, host: HostName, part: HostPart) -> Result<u64, CatalogError>;

    /// Sets a policy of an existing application.
    async fn set_policy(
        &self,
        application: ApplicationName,
        policy: PolicyRow,
    ) -> Result<(), CatalogError>;
    /// Removes a policy. Returns false if there was none. The caller logs the removal.
    async fn remove_policy(
        &self,
        application: ApplicationName,
        channel: Option<ChannelName>,
    ) -> Result<bool, CatalogError>;
    /// Lists the policies of an application: its own first, then those of its channels by name.
    async fn policies(&self, application: ApplicationName) -> Result<Vec<PolicyRow>, CatalogError>;
}
