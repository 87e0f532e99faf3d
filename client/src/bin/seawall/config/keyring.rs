//! The tokens of this user, each with the registry it belongs to.
//!
//! A token belongs to one registry, identified by its origin: scheme, host and port. The token is
//! sent to no other registry, whatever a reference, a pulled directory or a redirect names.
//!
//! | token | for |
//! |---|---|
//! | `--token-file` | the registry of the command, however named, except one recorded in a pulled directory |
//! | `SEAWALL_TOKEN`, then `SEAWALL_TOKEN_FILE` | the registry of `--registry` or `SEAWALL_REGISTRY`, else of the configuration file |
//! | `[registries."URL"]` `token_file` in the file | the registry at that address |
//! | `token_file` in the file | `registry` in the file |
//!
//! An empty variable counts as unset.

use std::path::{Path, PathBuf};

use reqwest::Url;
use seawall::error::ErrorKind;
use seawall::registry::{Token, TokenError};

use super::{DepotAt, File, Location, is_loopback};
use crate::args::Global;
use crate::failure::Failure;

/// The environment variables that `clap` does not read.
#[derive(Default, Debug, Clone)]
pub(crate) struct Environment {
    /// `SEAWALL_TOKEN`.
    pub(crate) token: Option<String>,
    /// `SEAWALL_TOKEN_FILE`.
    pub(crate) token_file: Option<PathBuf>,
}

/// The tokens of this user and their registries.
#[derive(Debug, Clone)]
pub(crate) struct Keyring(std::sync::Arc<Kept>);

#[derive(Debug)]
struct Kept {
    file: File,
    /// The registry that the variables belong to, as written in the flag, the variable or the file.
    given: Option<String>,
    environment: Environment,
}

impl Keyring {
    /// Reads the configuration file and keeps the environment's tokens.
    pub(crate) fn read(global: &Global, environment: Environment) -> Result<Self, Failure> {
        let file = super::read(global.config.as_deref())?;
        let given = global.registry.clone().filter(|text| !text.is_empty());
        let given = given.or_else(|| file.registry.clone());
        let Environment { token, token_file } = environment;
        let environment = Environment {
            token: token.filter(|text| !text.is_empty()),
            token_file: token_file.filter(|path| !path.as_os_str().is_empty()),
        };
        Ok(Self(std::sync::Arc::new(Kept { file, given, environment })))
    }

    pub(super) fn registry_of_file(&self) -> Option<&str> {
        self.0.file.registry.as_deref().filter(|text| !text.is_empty())
    }

    /// Returns the token for a registry.
    pub(super) fn token_of(&self, location: &Location) -> Result<Option<Token>, Failure> {
        let Kept { file, given, environment } = &*self.0;
        let is_same = |text: &str| is_same_registry(location, text);
        if given.as_deref().is_some_and(is_same) {
            match environment {
                Environment { token: Some(text), .. } => return parse(text).map(Some),
                Environment { token_file: Some(path), .. } => return token_in(path).map(Some),
                _ => {}
            }
        }
        let known = file.registries.iter().find(|(url, _)| is_same(url));
        let of_file =
            file.token_file.as_ref().filter(|_| file.registry.as_deref().is_some_and(is_same));
        known.map(|(_, known)| &known.token_file).or(of_file).map(|path| token_in(path)).transpose()
    }
}

/// Returns true if `text` is an address with the same origin as the registry. Always false for a
/// directory, which is hosted in this process with a token of its own.
fn is_same_registry(location: &Location, text: &str) -> bool {
    let (Location::Url(url) | Location::Depot(DepotAt::Web(url))) = location else { return false };
    match (Url::parse(url), Url::parse(text)) {
        (Ok(one), Ok(other)) => one.has_host() && one.origin() == other.origin(),
        _ => false,
    }
}

/// Returns true if requests to the registry travel unencrypted over a network.
pub(crate) fn is_in_the_clear(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    url.scheme() == "http" && !is_loopback(url.host_str().unwrap_or_default())
}

pub(super) fn token_in(path: &Path) -> Result<Token, Failure> {
    Token::of_file(path).map_err(|error| match error {
        TokenError::Io(error) => {
            Failure::io(&format!("cannot read the token file {}", path.display()), &error)
                .with_remedy("write only the token into it, on one line")
        }
        error => refuse(&error, &path.display().to_string()).with_remedy(format!(
            "write only one token into {}, on one line; a file with `NAME ROLE TOKEN` on each \
             line is for `seawall serve`",
            path.display()
        )),
    })
}

fn parse(text: &str) -> Result<Token, Failure> {
    Token::parse(text).map_err(|error| refuse(&error, "SEAWALL_TOKEN"))
}

fn refuse(error: &dyn std::error::Error, origin: &str) -> Failure {
    Failure::new(ErrorKind::InvalidInput, error, Some(format!("look at {origin}")))
}
