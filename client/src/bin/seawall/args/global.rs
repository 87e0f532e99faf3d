//! Options shared by many commands: the registry, the token, and the form of output.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Args, ValueEnum, ValueHint};

/// The help heading of shared options.
const GLOBAL: &str = "Global options";

/// Returns a parser for a path that may be empty: a variable set to an empty text counts as unset.
fn path_or_nothing() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Options before the command. The registry's options may also follow a command that uses a
/// registry ([`Credentials`]); the later one wins. Only this struct reads the environment, so that
/// variables do not appear as part of a command's usage.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Global {
    /// The registry: an http(s) address, or a directory, which is then hosted in-process
    #[arg(long, value_name = "URL|DIR", env = "SEAWALL_REGISTRY", hide_env_values = true)]
    #[arg(help_heading = GLOBAL)]
    #[arg(display_order = 101)]
    pub(crate) registry: Option<String>,
    /// The file with the token for the registry of this command [env: SEAWALL_TOKEN_FILE]
    // Not read from the environment here, because a token file in a variable belongs to a different
    // registry than one in a flag (`config/keyring.rs`).
    #[arg(long, value_name = "FILE")]
    #[arg(help_heading = GLOBAL)]
    #[arg(value_parser = path_or_nothing(), value_hint = ValueHint::FilePath)]
    #[arg(display_order = 102)]
    pub(crate) token_file: Option<PathBuf>,
    /// The configuration file, instead of seawall/config.toml in the XDG configuration directory
    #[arg(long, value_name = "FILE", env = "SEAWALL_CONFIG", hide_env_values = true)]
    #[arg(help_heading = GLOBAL)]
    #[arg(value_parser = path_or_nothing(), value_hint = ValueHint::FilePath)]
    #[arg(display_order = 103)]
    pub(crate) config: Option<PathBuf>,
    /// The directory for the state of scans and pulls, instead of seawall in the XDG state
    /// directory
    #[arg(long, value_name = "DIR", env = "SEAWALL_STATE", hide_env_values = true)]
    #[arg(help_heading = GLOBAL)]
    #[arg(value_parser = path_or_nothing(), value_hint = ValueHint::DirPath)]
    #[arg(display_order = 104)]
    pub(crate) state: Option<PathBuf>,
    /// Print JSON on standard output
    #[arg(long, global = true, help_heading = GLOBAL)]
    #[arg(display_order = 105)]
    pub(crate) json: bool,
    /// Print digests with 12 digits or in full [default: short on a terminal]
    #[arg(long, global = true, value_name = "HOW", value_enum, help_heading = GLOBAL)]
    #[arg(hide_possible_values = true)]
    #[arg(display_order = 106)]
    pub(crate) digests: Option<Digests>,
    /// Print no progress
    #[arg(long, short, global = true, help_heading = GLOBAL)]
    #[arg(display_order = 107)]
    pub(crate) quiet: bool,
    /// Log to standard error; give twice to log every request
    #[arg(long, short, global = true, action = ArgAction::Count, help_heading = GLOBAL)]
    #[arg(display_order = 108)]
    pub(crate) verbose: u8,
    /// Print help
    #[arg(long, short, global = true, action = ArgAction::Help, help_heading = GLOBAL)]
    #[arg(display_order = 109)]
    pub(crate) help: Option<bool>,
}

impl Global {
    /// Returns these options, overridden by those after the command.
    pub(crate) fn with(&self, later: &Credentials) -> Self {
        let Credentials { registry, token_file, config, state } = later.clone();
        Self {
            registry: registry.or_else(|| self.registry.clone()),
            token_file: token_file.or_else(|| self.token_file.clone()),
            config: config.or_else(|| self.config.clone()),
            state: state.or_else(|| self.state.clone()),
            ..self.clone()
        }
    }
}

/// The length of printed digests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Digests {
    /// The first 12 digits
    Short,
    /// All 64 digits
    Full,
}

/// The options for the registry and its token.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct Credentials {
    /// The registry: an http(s) address, or a directory [env: SEAWALL_REGISTRY]
    #[arg(long, value_name = "URL|DIR", help_heading = GLOBAL)]
    #[arg(display_order = 101)]
    pub(crate) registry: Option<String>,
    /// The file with the token for the registry [env: SEAWALL_TOKEN_FILE]
    #[arg(long, value_name = "FILE", help_heading = GLOBAL)]
    #[arg(value_parser = path_or_nothing(), value_hint = ValueHint::FilePath)]
    #[arg(display_order = 102)]
    pub(crate) token_file: Option<PathBuf>,
    /// The configuration file [env: SEAWALL_CONFIG]
    #[arg(long, value_name = "FILE", help_heading = GLOBAL)]
    #[arg(value_parser = path_or_nothing(), value_hint = ValueHint::FilePath)]
    #[arg(display_order = 103)]
    pub(crate) config: Option<PathBuf>,
    /// The directory for the state of scans and pulls [env: SEAWALL_STATE]
    #[arg(long, value_name = "DIR", help_heading = GLOBAL)]
    #[arg(value_parser = path_or_nothing(), value_hint = ValueHint::DirPath)]
    #[arg(display_order = 104)]
    pub(crate) state: Option<PathBuf>,
}

/// The options of a list.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct Listing {
    /// The format of the list
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<ListFormat>,
    /// The columns to print, separated by commas; `all` for every column
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
}

impl Listing {
    /// Returns true for JSON, the equivalent of `--json`.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Some(ListFormat::Json)
    }
}

/// The formats of a list, as opposed to the formats of disks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum ListFormat {
    /// Aligned columns, as many as fit the terminal
    Table,
    /// Comma-separated values with a line of headings
    Csv,
    /// Tab-separated values with a line of headings
    Tsv,
    /// The first column alone, without heading
    Names,
    /// JSON, as --json
    Json,
}

/// The option for the number of threads.
#[derive(Args, Debug, Clone, Copy, Default)]
pub(crate) struct Threads {
    /// Threads for hashing and compression [default: one per processor]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}
