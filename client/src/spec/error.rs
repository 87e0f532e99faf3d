//! Why a description of a release is not one.

use std::io;
use std::path::PathBuf;

use seawall_api::names::InvalidName;
use seawall_api::release::InvalidRelease;
use seawall_api::units::OutOfLimits;

use crate::error::ErrorKind;

/// Why a description of a release is not one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// The file cannot be read.
    #[error("cannot read {path}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is longer than a description can be.
    #[error("{path} has {len} bytes, more than the limit of {limit}", path = .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
        /// The limit.
        limit: u64,
    },
    /// The file is not TOML, or has other keys or values than the schema.
    #[error("{path} does not describe an application", path = .path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and why: it quotes the line.
        source: Box<toml::de::Error>,
    },
    /// A `--machine` flag that does not say what it must.
    #[error("`--machine {flag}`: {why}")]
    Flag {
        /// What was read, with control characters escaped.
        flag: String,
        /// What is wrong.
        why: String,
    },
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A rule of release documents is broken.
    #[error("this cannot become a release")]
    Rule(#[from] InvalidRelease),
    /// A length outside its limits.
    #[error(transparent)]
    Limits(#[from] OutOfLimits),
    /// This host's own architecture has no name in a release.
    #[error("machines have no default architecture on this host ({host})")]
    Architecture {
        /// What Rust calls the host.
        host: &'static str,
    },
}

impl SpecError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { source, .. } => ErrorKind::of_io(source),
            _ => ErrorKind::InvalidInput,
        }
    }

    /// The next step, where one is known.
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
                 web=root:web.qcow2,data:raw:data.img; an application.toml can say more"
                    .to_owned(),
            ),
            Self::Architecture { .. } => {
                Some("say `architecture = …` in an application.toml".to_owned())
            }
            Self::Name(_) | Self::Limits(_) => None,
        }
    }
}
