//! The arguments that name the store of a registry.

use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;

/// The help heading of these options.
const STORE: &str = "Store options";

/// The store of a registry, on the command line, in the environment, and in the table `[serve]` of
/// the configuration file: the first that names a value decides.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = STORE)]
pub(crate) struct StoreArgs {
    /// The place of the objects: a directory, or a bucket [default: the data directory]
    #[arg(long, value_name = "s3://BUCKET[/PREFIX]|DIR", env = "SEAWALL_STORE")]
    #[arg(hide_env_values = true)]
    pub(crate) store: Option<String>,
    /// The address of the S3 service [default: AWS]
    #[arg(long, value_name = "URL", env = "SEAWALL_S3_ENDPOINT", hide_env_values = true)]
    pub(crate) s3_endpoint: Option<String>,
    /// The region of the bucket [default: us-east-1]
    #[arg(long, value_name = "REGION", env = "SEAWALL_S3_REGION", hide_env_values = true)]
    pub(crate) s3_region: Option<String>,
    /// Name the bucket in the host, as https://BUCKET.HOST, instead of in the path
    #[arg(long, env = "SEAWALL_S3_VIRTUAL_HOST", hide_env_values = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(crate) s3_virtual_host: bool,
    /// The file of certificate authorities to trust beside those of the system
    #[arg(long, value_name = "FILE", env = "SEAWALL_S3_CA", hide_env_values = true)]
    pub(crate) s3_ca: Option<PathBuf>,
    /// Permit an http:// endpoint: data travels unencrypted
    #[arg(long, env = "SEAWALL_S3_ALLOW_HTTP", hide_env_values = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(crate) s3_allow_http: bool,
    /// The time without progress after which a request to the bucket is repeated [default: 60]
    #[arg(long, value_name = "SECONDS", env = "SEAWALL_S3_TIMEOUT", hide_env_values = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) s3_timeout: Option<u64>,
    /// Send clients to the bucket for the bytes of packs; they need to reach its endpoint
    #[arg(long, env = "SEAWALL_REDIRECT", hide_env_values = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(crate) redirect: bool,
    /// Keep what is read from the bucket in a folder on a local disk, up to a size (100GiB)
    #[arg(long, value_name = "DIR:SIZE", env = "SEAWALL_CACHE", hide_env_values = true)]
    pub(crate) cache: Option<String>,
}
