//! How a registry is set up.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::app::leases::LEASE_TTL_SECS;
use crate::app::room::MinFree;
use crate::http::limits;

/// Who may use a registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Access {
    /// Everybody who can reach it, which must be this machine alone.
    Open,
    /// Whoever has a token of this file ([`crate::tokens`]).
    TokenFile(PathBuf),
    /// Whoever has the token that [`crate::Running::token`] gives: the process that hosts it.
    Ephemeral,
}

/// What to do where no registry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Absent {
    /// Make one, in a directory that is empty or not there.
    Create,
    /// Fail.
    Refuse,
}

/// How many requests are answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// In a second, for long.
    pub per_sec: u32,
    /// At once, after a pause.
    pub burst: u32,
}

/// How many requests are answered to whom. `None` is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rates {
    /// With one token; of all, where there are no tokens.
    pub per_token: Option<Rate>,
    /// About one application.
    pub per_application: Option<Rate>,
}

/// How a registry is set up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Where bytes and catalog lie.
    pub data_dir: PathBuf,
    /// What to do where no registry is in it.
    pub absent: Absent,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who may use it.
    pub access: Access,
    /// Threads that serve connections.
    pub workers: usize,
    /// Whether SIGTERM and SIGINT stop it: not inside another process.
    pub handle_signals: bool,
    /// How long it goes on serving, not ready, before it stops: for load balancers to notice.
    pub drain_time: Duration,
    /// How long a client may take none of what it is sent before its connection is dropped.
    pub stall_time_max: Duration,
    /// How long requests in flight may take once it stops.
    pub shutdown_time_max: Duration,
    /// How long a push or a pull that is heard of no more is waited for by collections.
    pub lease_ttl: Duration,
    /// How much of the disk is kept free of uploads.
    pub min_free: MinFree,
    /// How many requests are answered.
    pub rates: Rates,
    /// Whether webhooks at private addresses are told where there is a token file; without one
    /// they always are (`courier/address.rs` says why).
    pub private_webhooks: bool,
    /// How often to collect what no release reaches; `None`: when it is asked to.
    pub collect_every: Option<Duration>,
}

impl Config {
    /// A registry in `data_dir` for this machine alone, on the usual port.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
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
            private_webhooks: false,
            collect_every: None,
        }
    }

    /// The same, hosted inside this process on a free port.
    pub fn in_process(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            access: Access::Ephemeral,
            ..Self::new(data_dir)
        }
    }
}

/// The port a registry listens on where none is given.
pub const DEFAULT_PORT: u16 = 7440;

fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).max(2)
}
