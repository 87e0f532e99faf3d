//! The configuration of a registry.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::app::content::leases::LEASE_TTL_SECS;
use crate::app::room::MinFree;
use crate::http::limits;
use crate::startup::{CatalogAt, StoreAt};
use crate::upstream::UpstreamAt;

/// The access control of a registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Access {
    /// Every client has full access. The registry must listen on a loopback address.
    Open,
    /// The tokens of a file have access ([`crate::tokens`]).
    TokenFile(PathBuf),
    /// The tokens in the catalog have access ([`crate::app::access`]), and those of a file if one
    /// is given.
    Tokens(Option<PathBuf>),
    /// The token from [`crate::Running::token`] has access: for the process that hosts the
    /// registry.
    Ephemeral,
}

/// The action for a data directory without a registry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Absent {
    /// Creates a registry, if the directory is empty or missing.
    Create,
    /// Fails.
    Refuse,
}

/// A limit on the rate of requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// The sustained number of requests per second.
    pub per_sec: u32,
    /// The number of requests in a burst after a pause.
    pub burst: u32,
}

/// The rate limits of a registry. `None` for no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rates {
    /// The rate per token, or of all clients together without tokens.
    pub per_token: Option<Rate>,
    /// The rate per application.
    pub per_application: Option<Rate>,
}

/// The configuration of a registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The directory of what lies inside: the store, the catalog, or neither; and of scratch files.
    pub data_dir: PathBuf,
    /// The place of the store.
    pub store: StoreAt,
    /// The place of the catalog.
    pub catalog: CatalogAt,
    /// The action if the directory holds no registry.
    pub absent: Absent,
    /// True to give the objects of a registry whose catalog was lost to an empty catalog in a
    /// database.
    pub adopts_store: bool,
    /// The address to listen on. Port 0 picks a free port.
    pub listen: SocketAddr,
    /// The access control.
    pub access: Access,
    /// The number of threads that serve connections.
    pub workers: usize,
    /// True to stop on SIGTERM and SIGINT. False inside another process.
    pub handle_signals: bool,
    /// The time for which the registry reports not ready but keeps serving before it stops, so that
    /// load balancers notice.
    pub drain_time: Duration,
    /// The maximum time without progress of a client being sent data. The connection is dropped
    /// then.
    pub stall_time_max: Duration,
    /// The maximum time of requests in progress after a stop.
    pub shutdown_time_max: Duration,
    /// The validity of a lease: the time for which collections wait for a silent push or pull.
    pub lease_ttl: Duration,
    /// The part of the disk kept free of uploads.
    pub min_free: MinFree,
    /// The rate limits.
    pub rates: Rates,
    /// True to deliver webhooks to private addresses although there is a token file. Without a
    /// token file, messages are always delivered (`courier/address.rs` has the reason).
    pub private_webhooks: bool,
    /// The interval of collections. `None` collects on request only.
    pub collect_every: Option<Duration>,
    /// The upstream of an edge, which has no store and no catalog of its own. `None` for a
    /// registry.
    pub upstream: Option<UpstreamAt>,
    /// The interval of applying all retention policies. `None` applies them on request only.
    pub retention_every: Option<Duration>,
}

impl Config {
    /// Returns the configuration of a local registry in `data_dir` on the default port.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            store: StoreAt::Inside,
            catalog: CatalogAt::Inside,
            absent: Absent::Create,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
            access: Access::Open,
            workers: default_workers(),
            handle_signals: false,
            drain_time: Duration::ZERO,
            stall_time_max: limits::STALL_TIME_MAX,
            shutdown_time_max: Duration::from_secs(30),
            lease_ttl: Duration::from_secs(LEASE_TTL_SECS),
            min_free: MinFree::Usual,
            rates: Rates::default(),
            adopts_store: false,
            private_webhooks: false,
            collect_every: None,
            upstream: None,
            retention_every: None,
        }
    }

    /// Returns the configuration of a registry hosted inside this process on a free port.
    pub fn in_process(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            access: Access::Ephemeral,
            ..Self::new(data_dir)
        }
    }
}

/// The default port of a registry.
pub const DEFAULT_PORT: u16 = 7440;

fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).max(2)
}
