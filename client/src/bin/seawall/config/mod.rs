//! Finds the registry of a command from flags, the environment, references and the configuration
//! file. `keyring.rs` finds the token.
//!
//! | first | then | then | then |
//! |---|---|---|---|
//! | `--registry` | `SEAWALL_REGISTRY` | the reference's host, or where the folder came from | `registry` in the file |

mod keyring;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use directories::ProjectDirs;
use seawall::error::ErrorKind;
use seawall::registry::Token;
use serde::Deserialize;

pub(crate) use keyring::{Environment, Keyring, is_in_the_clear};

use crate::args::Global;
use crate::command::{Named, Reach};
use crate::connect::depot::DepotAt;
use crate::failure::Failure;

const FILE_LEN_MAX: u64 = 64 << 10;

/// The configuration file.
#[derive(Deserialize, Default, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// The registry: an address or a directory.
    pub(crate) registry: Option<String>,
    /// The file with the token for `registry`.
    pub(crate) token_file: Option<PathBuf>,
    /// Token files of other registries, by address.
    #[serde(default)]
    pub(crate) registries: BTreeMap<String, Known>,
    /// The settings of `seawall serve`.
    #[serde(default)]
    pub(crate) serve: ServeTable,
}

/// The settings of `seawall serve`, named as its options (`args::store`).
#[derive(Deserialize, Clone, Default, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServeTable {
    pub(crate) catalog: Option<String>,
    pub(crate) store: Option<String>,
    pub(crate) s3_endpoint: Option<String>,
    pub(crate) s3_region: Option<String>,
    pub(crate) s3_virtual_host: bool,
    pub(crate) s3_ca: Option<PathBuf>,
    pub(crate) s3_allow_http: bool,
    pub(crate) s3_timeout: Option<u64>,
    pub(crate) redirect: bool,
    pub(crate) cache: Option<String>,
}

/// The settings of a registry under `registries`.
#[derive(Deserialize, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    /// The file with the token.
    pub(crate) token_file: PathBuf,
}

/// The location of a registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Location {
    /// An address, reached over HTTP.
    Url(String),
    /// A directory, hosted in this process.
    Directory(PathBuf),
    /// A place without a registry, to read.
    Depot(DepotAt),
}

impl Location {
    /// Returns the location as text that names the registry from any working directory.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::Url(url) => url.clone(),
            Self::Depot(at) => at.address(),
            Self::Directory(path) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                path.display().to_string()
            }
        }
    }
}

/// A registry and the token to send to it.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) location: Location,
    pub(crate) token: Option<Token>,
}

impl Settings {
    /// Returns the settings of a registry in a directory, hosted in this process.
    pub(crate) fn of_directory(dir: &Path) -> Self {
        Self { location: Location::Directory(dir.to_owned()), token: None }
    }

    /// Returns the settings of a second registry, named beside the command's own, with a token of
    /// its own.
    pub(crate) fn beside(
        text: &str,
        token_file: Option<&Path>,
        keyring: &Keyring,
    ) -> Result<Self, Failure> {
        let location = location(text)?;
        let token = match token_file {
            Some(path) => Some(keyring::token_in(path)?),
            None => keyring.token_of(&location)?,
        };
        Ok(Self { location, token })
    }

    /// Returns the settings of the registry recorded in a pulled directory. Anyone with write
    /// access to the directory may have changed the record, so the only token sent is one
    /// configured for exactly this registry.
    pub(crate) fn remembered(text: &str, keyring: &Keyring) -> Result<Self, Failure> {
        let location = location(text)?;
        let token = keyring.token_of(&location)?;
        Ok(Self { location, token })
    }

    /// Finds the registry of a command and its token.
    pub(crate) fn find(global: &Global, reach: &Reach, keyring: &Keyring) -> Result<Self, Failure> {
        let global = global.with(&reach.credentials);
        let given = global.registry.as_deref().filter(|text| !text.is_empty());
        let location = match (given, &reach.host, keyring.registry_of_file()) {
            (Some(text), _, _) => location(text)?,
            (None, Some(Named::Host(host)), _) => Location::Url(url_of_host(host)),
            (None, Some(Named::Origin(text)), _) => return Self::remembered(text, keyring),
            (None, None, Some(text)) => location(text)?,
            (None, None, None) => {
                return Err(Failure::usage(
                    "no registry is named",
                    "give --registry URL or --registry DIR, set SEAWALL_REGISTRY, or write \
                     `registry = \"…\"` into the configuration file",
                ));
            }
        };
        // `--token-file` is given together with the reference, so it applies to whichever host the
        // reference names; an environment variable does not.
        let flag = global.token_file.as_deref().filter(|p| !p.as_os_str().is_empty());
        let token = match flag {
            Some(path) => Some(keyring::token_in(path)?),
            None => keyring.token_of(&location)?,
        };
        Ok(Self { location, token })
    }
}

/// Parses an address or a directory; refuses ambiguous text rather than guess.
fn location(text: &str) -> Result<Location, Failure> {
    if let Some(depot) = DepotAt::parse(text)? {
        return Ok(Location::Depot(depot));
    }
    if text.contains("://") {
        return Ok(Location::Url(text.to_owned()));
    }
    let path = Path::new(text);
    if path.is_file() {
        return Err(Failure::usage(
            format!("`{text}` is a file, not a registry"),
            "a registry is an address, or the data directory of `seawall serve`",
        ));
    }
    if text.starts_with(['.', '/']) || path.is_dir() {
        return Ok(Location::Directory(path.to_owned()));
    }
    Err(Failure::usage(
        format!("`{text}` is not a registry: neither an address nor an existing directory"),
        format!("write `{}` for an address, or `./{text}` for a directory", url_of_host(text)),
    ))
}

/// Returns the URL of a host in a reference, which has no scheme: HTTP for loopback, HTTPS for
/// every other host.
fn url_of_host(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if is_loopback(name) { format!("http://{host}") } else { format!("https://{host}") }
}

/// Returns true if the name is `localhost` or a loopback address.
fn is_loopback(name: &str) -> bool {
    let address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    name == "localhost" || address.is_ok_and(|ip| ip.is_loopback())
}

/// Reads the settings of `seawall serve` from the configuration file.
#[cfg(feature = "server")]
pub(crate) fn serve_table(named: Option<&Path>) -> Result<ServeTable, Failure> {
    read(named).map(|file| file.serve)
}

/// Reads the given configuration file, or the default one if present.
fn read(named: Option<&Path>) -> Result<File, Failure> {
    let usual = || Some(ProjectDirs::from("", "", "seawall")?.config_dir().join("config.toml"));
    let named = named.filter(|path| !path.as_os_str().is_empty());
    let Some(path) = named.map(Path::to_owned).or_else(usual) else {
        return Ok(File::default());
    };
    let text = match read_short(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => {
            return Ok(File::default());
        }
        Err(error) => {
            let what = format!("cannot read the configuration file {}", path.display());
            return Err(Failure::io(&what, &error));
        }
        Ok(text) => text,
    };
    let mut file = parse(&text).map_err(|error| {
        let remedy = format!(
            "correct {}: it may set `registry` and `token_file`, `token_file` of other registries \
             under [registries.\"https://…\"], and options of `seawall serve` under [serve]",
            path.display()
        );
        Failure::new(ErrorKind::InvalidInput, &error, Some(remedy))
    })?;
    // Paths in the file are relative to its folder.
    let folder = path.parent().unwrap_or(Path::new(""));
    file.token_file = file.token_file.map(|token| folder.join(token));
    for known in file.registries.values_mut() {
        known.token_file = folder.join(&known.token_file);
    }
    file.serve.s3_ca = file.serve.s3_ca.map(|path| folder.join(path));
    Ok(file)
}

fn parse(text: &str) -> Result<File, toml::de::Error> {
    toml::from_str(text)
}

fn read_short(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(FILE_LEN_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_LEN_MAX {
        let why = format!("it is longer than the limit of {FILE_LEN_MAX} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, why));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
