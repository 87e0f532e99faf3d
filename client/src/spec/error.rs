//! The errors of release descriptions.

use std::io;
use std::path::PathBuf;

use seawall_api::names::InvalidName;
use seawall_api::release::InvalidRelease;
use seawall_api::units::OutOfLimits;

use crate::error::ErrorKind;

/// The reason a description of a release is invalid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// The file cannot be read.
    #[error("cannot read {path}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is longer than the limit.
    #[error("{path} has {len} bytes, more than the limit of {limit}", path = .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The file's length in bytes.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file is not TOML, or violates the schema.
    #[error("{path} does not describe an application", path = .path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// The position and cause, with a quote of the line.
        source: Box<toml::de::Error>,
    },
    /// A malformed `--machine` flag.
    #[error("`--machine {flag}`: {why}")]
    Flag {
        /// The flag, with control characters escaped.
        flag: String,
        /// The reason.
        why: String,
    },
    /// An invalid name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A violation of a rule of release documents.
    #[error("this cannot become a release")]
    Rule(#[from] InvalidRelease),
    /// A length outside of the limits.
    #[error(transparent)]
    Limits(#[from] OutOfLimits),
    /// The host's architecture has no name in a release.
    #[error("machines have no default architecture on this host ({host})")]
    Architecture {
        /// Rust's name of the architecture.
        host: &'static str,
    },
}

impl SpecError {
    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { source, .. } => ErrorKind::of_io(source),
            _ => ErrorKind::InvalidInput,
        }
    }

    /// Returns the next step for the user, if known.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        const SCHEMA: &str = "docs/application-toml.md lists every key with an example";
        match self {
            Self::Read { .. } => Some(
                "give the path of an application.toml with --file, or machines with --machine \
                 NAME=disk"
                    .to_owned(),
            ),
            Self::Toml { .. } | Self::TooLong { .. } | Self::Rule(_) => Some(SCHEMA.to_owned()),
            Self::Flag { .. } => Some(
                "write --machine NAME=[DISK:][FORMAT:]PATH[,…], as in --machine \
                 web=root:web.qcow2,data:raw:data.img; an application.toml has more settings"
                    .to_owned(),
            ),
            Self::Architecture { .. } => {
                Some("set `architecture = …` in an application.toml".to_owned())
            }
            Self::Name(_) | Self::Limits(_) => None,
        }
    }
}
