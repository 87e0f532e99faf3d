//! Where the registry is and how to be known to it: flags, environment, reference, file.
//!
//! | | first | then | then | then |
//! |---|---|---|---|---|
//! | registry | `--registry` | `SEAWALL_REGISTRY` | the reference's host, or where the folder came from | `registry` in the file |
//! | token | `--token-file` | `SEAWALL_TOKEN` | `SEAWALL_TOKEN_FILE` | `token_file` in the file |
//!
//! The file's token goes only to the file's registry: a host in a reference that somebody sent
//! must not be able to collect it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use directories::ProjectDirs;
use seawall::error::ErrorKind;
use seawall::registry::Token;
use serde::Deserialize;

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

/// What the environment holds besides what `clap` reads.
#[derive(Default, Debug)]
pub(crate) struct Environment {
    /// `SEAWALL_TOKEN`.
    pub(crate) token: Option<String>,
}

impl Settings {
    /// The registry in a directory, hosted in this process.
    pub(crate) fn of_directory(dir: &Path) -> Self {
        Self { location: Location::Directory(dir.to_owned()), token: None }
    }

    /// A registry that is named beside the one of the command, with a token of its own.
    pub(crate) fn beside(text: &str, token_file: Option<&Path>) -> Result<Self, Failure> {
        Ok(Self { location: location(text)?, token: token_file.map(token_in).transpose()? })
    }

    /// Decides which registry is meant.
    pub(crate) fn find(
        global: &Global,
        reach: &Reach,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let file = read(global.config.as_deref())?;
        let given = global.registry.as_deref().filter(|text| !text.is_empty());
        let (location, is_files) = match (given, &reach.host, &file.registry) {
            (Some(text), _, _) => (location(text)?, file.registry.as_deref() == Some(text)),
            (None, Some(Named::Host(host)), _) => {
                let url = url_of_host(host);
                (Location::Url(url.clone()), file.registry.as_ref() == Some(&url))
            }
            (None, Some(Named::Origin(text)), _) => {
                (location(text)?, file.registry.as_ref() == Some(text))
            }
            (None, None, Some(text)) => (location(text)?, true),
            (None, None, None) => {
                return Err(Failure::usage(
                    "no registry is named",
                    "give --registry URL or --registry DIR, set SEAWALL_REGISTRY, or write \
                     `registry = \"…\"` into the configuration file",
                ));
            }
        };
        // `clap` has put SEAWALL_TOKEN_FILE in the flag's place.
        let flag = reach.credentials.token_file.as_deref().filter(|p| !p.as_os_str().is_empty());
        let token = match (flag, environment.token.as_deref(), &file.token_file) {
            (Some(path), _, _) => Some(token_in(path)?),
            (None, Some(text), _) if !text.is_empty() => Some(token("SEAWALL_TOKEN", text)?),
            (None, _, Some(path)) if is_files => Some(token_in(path)?),
            _ => None,
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
    let address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let is_loopback = name == "localhost" || address.is_ok_and(|ip| ip.is_loopback());
    if is_loopback { format!("http://{host}") } else { format!("https://{host}") }
}

fn token_in(path: &Path) -> Result<Token, Failure> {
    let what = format!("cannot read the token file {}", path.display());
    let text = read_short(path).map_err(|error| {
        Failure::io(&what, &error).with_remedy("write the token alone into it, on one line")
    })?;
    token(&path.display().to_string(), &text)
}

fn token(origin: &str, text: &str) -> Result<Token, Failure> {
    Token::parse(text).map_err(|error| {
        Failure::new(ErrorKind::InvalidInput, &error, Some(format!("look at {origin}")))
    })
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
        let remedy = format!("correct {}: it may set `registry` and `token_file`", path.display());
        Failure::new(ErrorKind::InvalidInput, &error, Some(remedy))
    })?;
    // As with every path in a file: relative to the folder the file is in.
    let folder = path.parent().unwrap_or(Path::new(""));
    file.token_file = file.token_file.map(|token| folder.join(token));
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
