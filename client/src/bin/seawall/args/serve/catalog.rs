//! The arguments that name the catalog of a registry.

use clap::Args;

/// The help heading of these options.
const CATALOG: &str = "Catalog options";

/// The catalog of a registry, on the command line, in the environment, and in the table `[serve]`
/// of the configuration file: the first that names a value decides.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = CATALOG)]
pub(crate) struct CatalogArgs {
    /// The place of the names and states: a file, or a PostgreSQL database, which several
    /// registries may share [default: a file in the data directory]
    #[arg(long, value_name = "postgres://USER@HOST/DATABASE|sqlite:FILE", env = "SEAWALL_CATALOG")]
    #[arg(hide_env_values = true)]
    pub(crate) catalog: Option<String>,
}
