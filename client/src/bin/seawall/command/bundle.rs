//! Validation of `bundle`.

use std::path::PathBuf;

use seawall::bundle::BundleWriter;

use super::copy::{Copied, references};
use super::reference::Target;
use super::{Command, Reach};
use crate::args::bundle::{BundleCreateArgs, RawBundle};
use crate::failure::Failure;
use crate::size;

/// A validated `bundle` command that uses a registry.
#[derive(Debug)]
pub(crate) enum Bundle {
    Create(CreateBundle),
    Have,
    Import { files: Vec<PathBuf>, dry_run: bool },
}

/// A bundle to create.
#[derive(Debug)]
pub(crate) struct CreateBundle {
    pub(crate) what: Vec<Copied>,
    pub(crate) output: PathBuf,
    pub(crate) have: Option<PathBuf>,
    pub(crate) split: Option<u64>,
}

impl Bundle {
    /// Returns the name of the answer's schema.
    pub(super) fn schema(&self) -> &'static str {
        match self {
            Self::Create(_) => "bundle",
            Self::Have => "bundle-have",
            Self::Import { dry_run: true, .. } => "copy-plan",
            Self::Import { .. } => "copy",
        }
    }

    /// Returns the releases that are named one by one.
    pub(super) fn targets_mut(&mut self) -> Vec<&mut Target> {
        match self {
            Self::Create(create) => Copied::targets_mut(&mut create.what),
            _ => Vec::new(),
        }
    }
}

pub(super) fn prove(raw: RawBundle) -> Result<Command, Failure> {
    let (credentials, order) = match raw {
        RawBundle::Create(args) => return create(args),
        RawBundle::Verify { files } => return Ok(Command::VerifyBundle(files)),
        RawBundle::Have { credentials } => (credentials, Bundle::Have),
        RawBundle::Import { files, dry_run, credentials } => {
            (credentials, Bundle::Import { files, dry_run })
        }
    };
    Ok(Command::Bundle(Reach { host: None, credentials }, order))
}

fn create(args: BundleCreateArgs) -> Result<Command, Failure> {
    let BundleCreateArgs { references: texts, output, have, split, credentials } = args;
    let (host, what) = references(&texts)?;
    let refused = |text: &str| {
        let what = format!("--split takes a size of at least 64MiB, not `{text}`");
        Failure::usage(what, "write it as 4GiB or 650MiB")
    };
    let size = |text: &String| {
        let len = size::parse(text).filter(|len| *len >= BundleWriter::SPLIT_MIN);
        len.ok_or_else(|| refused(text))
    };
    let split = split.as_ref().map(size).transpose()?;
    let create = CreateBundle { what, output, have, split };
    Ok(Command::Bundle(Reach { host, credentials }, Bundle::Create(create)))
}
