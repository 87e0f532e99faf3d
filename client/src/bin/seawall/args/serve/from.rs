//! The arguments that name the present home of a registry that is to be moved.

use std::path::PathBuf;

use clap::Args;

use super::store::StoreArgs;

/// The help heading of these options.
const FROM: &str = "Options of the present home";

/// The store and the catalog that a registry has now.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = FROM)]
pub(crate) struct FromArgs {
    /// The place of the objects now [default: the data directory]
    #[arg(long, value_name = "s3://BUCKET[/PREFIX]|DIR")]
    from_store: Option<String>,
    /// The place of the names and states now [default: a file in the data directory]
    #[arg(long, value_name = "postgres://USER@HOST/DATABASE|sqlite:FILE")]
    pub(crate) from_catalog: Option<String>,
    /// The address of its S3 service [default: AWS]
    #[arg(long, value_name = "URL")]
    from_s3_endpoint: Option<String>,
    /// The region of its bucket [default: us-east-1]
    #[arg(long, value_name = "REGION")]
    from_s3_region: Option<String>,
    /// Name its bucket in the host, as https://BUCKET.HOST, instead of in the path
    #[arg(long)]
    from_s3_virtual_host: bool,
    /// The file of certificate authorities to trust beside those of the system
    #[arg(long, value_name = "FILE")]
    from_s3_ca: Option<PathBuf>,
    /// Permit an http:// endpoint: data travels unencrypted
    #[arg(long)]
    from_s3_allow_http: bool,
}

impl FromArgs {
    /// Returns the store as the options of `serve` would name it.
    pub(crate) fn store(&self) -> StoreArgs {
        StoreArgs {
            store: self.from_store.clone(),
            s3_endpoint: self.from_s3_endpoint.clone(),
            s3_region: self.from_s3_region.clone(),
            s3_virtual_host: self.from_s3_virtual_host,
            s3_ca: self.from_s3_ca.clone(),
            s3_allow_http: self.from_s3_allow_http,
            s3_timeout: None,
            redirect: false,
            cache: None,
        }
    }
}
