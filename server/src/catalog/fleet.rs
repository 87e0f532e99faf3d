//! The trait through which the registry knows what runs where, and what must stay.

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName, HostName, PinName, Version};
use seawall_api::reference::Selector;

use super::collect::{Holder, Tombstone};
use super::error::CatalogError;
use super::model::ChannelMove;

/// The most pins of a release.
pub const PINS_MAX: u32 = 64;
/// The most instances of one host.
pub const INSTANCES_MAX: u32 = 64;
/// The most instances of all hosts.
pub const HOSTS_MAX: u32 = 100_000;
/// The most instances of all hosts of which one token says what they run.
pub const HOSTS_PER_TOKEN_MAX: u32 = 10_000;
/// A host that was not heard of for this long after its deadline is forgotten, in seconds.
pub const HOST_FORGOTTEN_SECS: u64 = 366 * 24 * 3600;

/// Keeps a release until somebody takes it away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pin {
    /// Its name, unique among the pins of its release.
    pub name: PinName,
    /// Why the release must stay.
    pub reason: String,
    /// When it was set last, seconds since 1970-01-01 UTC.
    pub pinned_at_secs: u64,
    /// The token it was set with; empty without authentication.
    pub pinned_by: String,
}

/// What became of a pin that was to be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pinned {
    /// It is new.
    Created,
    /// There was one of that name, which it replaces.
    Replaced,
    /// There is no such release.
    NoSuchRelease,
    /// The release has as many pins as it may have.
    TooMany,
}

/// A host says what it runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostReport {
    /// The host.
    pub host: HostName,
    /// The application.
    pub application: ApplicationName,
    /// What tells two copies on one host apart.
    pub instance: String,
    /// The release.
    pub release: ReleaseDigest,
    /// The channel it follows.
    pub channel: Option<ChannelName>,
    /// How many disks it has of it.
    pub disks: u64,
    /// When it says so, seconds since 1970-01-01 UTC.
    pub now_secs: u64,
    /// Until when that holds.
    pub deadline_secs: u64,
    /// The token it is said with; empty without authentication.
    pub reported_by: String,
    /// Whether that token may speak for hosts of which another spoke first.
    pub speaks_for_all: bool,
}

/// What became of a [`HostReport`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reported {
    /// It is noted.
    Done(Box<HostRow>),
    /// There is no such release.
    NoSuchRelease,
    /// The host has as many instances as it may have.
    TooManyInstances,
    /// There are as many hosts as there may be.
    TooManyHosts,
    /// The token speaks for as many hosts as it may.
    TooManyOfToken,
    /// Another token speaks for the host.
    OfAnother,
}

/// A release that a host runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostRow {
    /// The host.
    pub host: HostName,
    /// The application.
    pub application: ApplicationName,
    /// What tells two copies on one host apart.
    pub instance: String,
    /// The release.
    pub release: ReleaseDigest,
    /// That release's version.
    pub version: Version,
    /// When that release was published.
    pub published_at_secs: u64,
    /// The channel it follows.
    pub channel: Option<ChannelName>,
    /// Where that channel points.
    pub channel_version: Option<Version>,
    /// How many moves that channel has made since it pointed at the release.
    pub moves_behind: Option<u64>,
    /// How many disks it has of it.
    pub disks: u64,
    /// Since when it runs this release.
    pub since_secs: u64,
    /// When it said so last.
    pub renewed_at_secs: u64,
    /// Until when that holds.
    pub deadline_secs: u64,
}

/// Hosts, and where the next page begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostRows {
    /// What they run, by host, application and instance.
    pub rows: Vec<HostRow>,
    /// The last host, where there are more.
    pub next: Option<HostName>,
}

/// Which of the things that a host runs are meant.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct HostPart {
    /// Those of this application; of all where there is none.
    pub application: Option<ApplicationName>,
    /// This instance; all where there is none.
    pub instance: Option<String>,
}

/// A policy at rest: what it says is the registry's business, not the catalog's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyRow {
    /// The channel it is for; `None` for all of the application.
    pub channel: Option<ChannelName>,
    /// Its text.
    pub policy: String,
    /// When it was set, seconds since 1970-01-01 UTC.
    pub set_at_secs: u64,
    /// The token it was set with; empty without authentication.
    pub set_by: String,
}

/// What a listing shows of what holds a release, besides the channels that point at it.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Marks {
    /// The channels that pointed at it a few moves ago, by name.
    pub recent_on: Vec<ChannelName>,
    /// Its pins, by name.
    pub pins: Vec<PinName>,
    /// How many hosts run it.
    pub host_count: u64,
}

/// A release as retention sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StandingRelease {
    /// Its version.
    pub version: Version,
    /// Its identity.
    pub digest: ReleaseDigest,
    /// When it was published, seconds since 1970-01-01 UTC.
    pub published_at_secs: u64,
}

/// A host as retention sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StandingHost {
    /// The release it runs.
    pub release: ReleaseDigest,
    /// Its name.
    pub host: HostName,
    /// Until when that holds, or held.
    pub deadline_secs: u64,
}

/// All that decides which releases of an application stay, as of one moment.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Those that are visible, newest first.
    pub releases: Vec<StandingRelease>,
    /// Every move of every channel, by channel, oldest first.
    pub moves: Vec<(ChannelName, ChannelMove)>,
    /// Pins of releases.
    pub pins: Vec<(ReleaseDigest, PinName)>,
    /// Hosts, those past their deadline too.
    pub hosts: Vec<StandingHost>,
    /// The application's policy and those of its channels.
    pub policies: Vec<PolicyRow>,
}

/// Keeps what people and hosts say about releases.
///
/// # Contract
///
/// 1. Each method is one transaction.
/// 2. What is said of a release ends with the release: its deletion forgets pins and hosts.
#[async_trait::async_trait]
pub trait Fleet: Send + Sync + 'static {
    /// A release that was deleted, by its version or digest; a channel names none.
    async fn deleted(
        &self,
        application: ApplicationName,
        selector: Selector,
    ) -> Result<Option<Tombstone>, CatalogError>;
    /// What holds a release; `None` when there is no such release.
    async fn holders(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
        now_secs: u64,
        moves_held: u32,
    ) -> Result<Option<Vec<Holder>>, CatalogError>;
    /// What holds the releases of an application, for those that anything but a channel's pointing
    /// at it holds.
    async fn marks(
        &self,
        application: ApplicationName,
        now_secs: u64,
        moves_held: u32,
    ) -> Result<Vec<(ReleaseDigest, Marks)>, CatalogError>;
    /// All that decides which releases of an application stay.
    async fn standing(&self, application: ApplicationName) -> Result<Standing, CatalogError>;

    /// Pins a release.
    async fn pin(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
        pin: Pin,
    ) -> Result<Pinned, CatalogError>;
    /// Takes a pin away; false when there is none of that name.
    async fn unpin(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
        name: PinName,
    ) -> Result<bool, CatalogError>;
    /// The pins of a release, by name.
    async fn pins(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
    ) -> Result<Vec<Pin>, CatalogError>;

    /// Notes what a host runs, and forgets hosts that were silent for [`HOST_FORGOTTEN_SECS`].
    async fn report_host(&self, report: HostReport) -> Result<Reported, CatalogError>;
    /// At most `limit` hosts by name, from the one after `after`: those that run something of
    /// `application` where one is given.
    async fn hosts(
        &self,
        application: Option<ApplicationName>,
        after: Option<HostName>,
        limit: u32,
    ) -> Result<HostRows, CatalogError>;
    /// Forgets what a host runs; returns how many instances that were.
    async fn forget_host(&self, host: HostName, part: HostPart) -> Result<u64, CatalogError>;

    /// Sets a policy of an application that is there.
    async fn set_policy(
        &self,
        application: ApplicationName,
        policy: PolicyRow,
    ) -> Result<(), CatalogError>;
    /// Removes a policy; false when there was none.
    async fn remove_policy(
        &self,
        application: ApplicationName,
        channel: Option<ChannelName>,
    ) -> Result<bool, CatalogError>;
    /// The policies of an application: its own first, then those of its channels by name.
    async fn policies(&self, application: ApplicationName) -> Result<Vec<PolicyRow>, CatalogError>;
}
