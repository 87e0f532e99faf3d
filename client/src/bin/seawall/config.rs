//! Where the registry is: flags, environment, reference, file. `keyring.rs` knows the tokens.
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
use crate::report::Failure;

const FILE_LEN_MAX: u64 = 64 << 10;

/// The configuration file.
#[derive(Deserialize, Default, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// The registry: an address or a directory.
    pub(crate) registry: Option<String>,
    /// A file that holds the token for it.
    pub(crate) token_file: Option<PathBuf>,
    /// Other registries that there are tokens for, by address.
    #[serde(default)]
    pub(crate) registries: BTreeMap<String, Known>,
}

/// A registry that there is a token for.
#[derive(Deserialize, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    /// A file that holds the token.
    pub(crate) token_file: PathBuf,
}

/// A registry, as it was named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Location {
    /// Reached over HTTP.
    Url(String),
    /// Hosted in this process.
    Directory(PathBuf),
}

impl Location {
    /// How a later command names it, wherever it is run.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::Url(url) => url.clone(),
            Self::Directory(path) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                path.display().to_string()
            }
        }
    }
}

/// A registry and how to be known to it.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) location: Location,
    pub(crate) token: Option<Token>,
}

impl Settings {
    /// The registry in a directory, hosted in this process.
    pub(crate) fn of_directory(dir: &Path) -> Self {
        Self { location: Location::Directory(dir.to_owned()), token: None }
    }

    /// A registry that is named beside the one of the command, with a token of its own.
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

    /// The registry that a pulled directory remembers. Whoever may write to the directory may have
    /// put it there, so no token is for it but one that is kept for that very registry.
    pub(crate) fn remembered(text: &str, keyring: &Keyring) -> Result<Self, Failure> {
        let location = location(text)?;
        let token = keyring.token_of(&location)?;
        Ok(Self { location, token })
    }

    /// Decides which registry is meant.
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
        // A flag is typed beside the reference whose host it is for; a variable is not.
        let flag = global.token_file.as_deref().filter(|p| !p.as_os_str().is_empty());
        let token = match flag {
            Some(path) => Some(keyring::token_in(path)?),
            None => keyring.token_of(&location)?,
        };
        Ok(Self { location, token })
    }
}

/// An address, or else a directory; what could be either is refused rather than guessed.
fn location(text: &str) -> Result<Location, Failure> {
    if text.contains("://") {
        return Ok(Location::Url(text.to_owned()));
    }
    let path = Path::new(text);
    if path.is_file() {
        return Err(Failure::usage(
            format!("`{text}` is a file, and no registry"),
            "a registry is an address, or the directory that `seawall serve` was given",
        ));
    }
    if text.starts_with(['.', '/']) || path.is_dir() {
        return Ok(Location::Directory(path.to_owned()));
    }
    Err(Failure::usage(
        format!("`{text}` is no registry: neither an address nor a directory that is there"),
        format!("write `{}` for an address, or `./{text}` for a directory", url_of_host(text)),
    ))
}

/// A reference names a host without a scheme: plain HTTP only where nobody else can listen.
fn url_of_host(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if is_loopback(name) { format!("http://{host}") } else { format!("https://{host}") }
}

/// Whether a host's name is this machine's own.
fn is_loopback(name: &str) -> bool {
    let address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    name == "localhost" || address.is_ok_and(|ip| ip.is_loopback())
}

/// The configuration file that is named, or the one in its usual place if it is there.
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
            "correct {}: it may set `registry` and `token_file`, and `token_file` of other \
             registries under [registries.\"https://…\"]",
            path.display()
        );
        Failure::new(ErrorKind::InvalidInput, &error, Some(remedy))
    })?;
    // As with every path in a file: relative to the folder the file is in.
    let folder = path.parent().unwrap_or(Path::new(""));
    file.token_file = file.token_file.map(|token| folder.join(token));
    for known in file.registries.values_mut() {
        known.token_file = folder.join(&known.token_file);
    }
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
