//! The arguments of `seawall serve`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use seawall_server::config::DEFAULT_PORT;

pub(crate) mod catalog;
pub(crate) mod from;
pub(crate) mod store;

use catalog::CatalogArgs;
use store::StoreArgs;

#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// The registry's data directory; created if need be
    pub(crate) data: PathBuf,
    /// The address to listen on; anything but loopback needs --token-file or --tokens
    #[arg(long, value_name = "IP:PORT", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)))]
    pub(crate) listen: SocketAddr,
    /// The file of accepted tokens, with `NAME ROLE TOKEN` on each line; ROLE is reader or
    /// publisher
    #[arg(long, value_name = "TOKENS")]
    pub(crate) token_file: Option<PathBuf>,
    /// Accept the tokens made by `seawall token create`, besides those of --token-file
    #[arg(long)]
    pub(crate) tokens: bool,
    /// Rebuild a lost catalog in the empty database of --catalog from the objects of --store; no
    /// other registry may use them
    #[arg(long)]
    pub(crate) adopt_store: bool,
    /// The time for which a collection waits for a silent push or pull
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(10..=86400))]
    pub(crate) lease_ttl: u64,
    /// The space to keep free on the disk, as a size (10GiB) or a share (5%): uploads that would
    /// leave less are refused, other requests are not [default: 5%, or 1GiB if less]
    #[arg(long, value_name = "SIZE|PERCENT")]
    pub(crate) min_free: Option<String>,
    /// The request limit of each token: requests a second, and the burst [default: no limit]
    #[arg(long, value_name = "RATE[:BURST]")]
    pub(crate) rate_limit: Option<String>,
    /// The request limit of each application
    #[arg(long, value_name = "RATE[:BURST]")]
    pub(crate) application_rate_limit: Option<String>,
    /// Also send events to private addresses; always allowed without tokens
    #[arg(long)]
    pub(crate) private_webhooks: bool,
    /// Collect unreferenced data at this interval [default: only on `seawall gc`]
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u64).range(1..=8760))]
    pub(crate) collect_every: Option<u64>,
    /// Apply all retention policies at this interval [default: only on `seawall retention apply`]
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u64).range(1..=8760))]
    pub(crate) retention_every: Option<u64>,
    /// The time for which the registry, once told to stop, reports not ready and still serves, so
    /// that a balancer sends requests elsewhere
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=300))]
    pub(crate) drain_time: u64,
    /// Be an edge: fetch what hosts ask for from this registry, once, and keep it in DATA
    #[arg(long, value_name = "URL", conflicts_with_all = ["token_file", "tokens", "adopt_store", "collect_every", "retention_every", "private_webhooks", "store", "catalog", "application_rate_limit"])]
    pub(crate) upstream: Option<String>,
    /// The space that an edge may use [default: 20GiB]
    #[arg(long, value_name = "SIZE", requires = "upstream")]
    pub(crate) upstream_cache: Option<String>,
    /// The time for which an edge gives an answer about names without asking its upstream again
    #[arg(long, value_name = "SECONDS", default_value_t = 5, requires = "upstream", value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub(crate) fresh_time: u64,
    /// The format of the log on standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) catalog: CatalogArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// A JSON object per line
    Json,
}
