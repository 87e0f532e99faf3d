//! Validation of `seawall copy`.

use std::path::PathBuf;

use seawall::copy::{Filter, Pick};
use seawall_api::names::ApplicationPattern;

use super::audit::since;
use super::reference::relative::{Named, parse};
use super::reference::{Target, release};
use super::{Command, Reach};
use crate::args::releases::CopyArgs;
use crate::connect::depot::DepotAt;
use crate::failure::Failure;

/// The releases that a copy takes.
#[derive(Debug)]
pub(crate) enum Copied {
    One(Target),
    Each(ApplicationPattern),
}

#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) what: Vec<Copied>,
    /// The filter of every `APPLICATION:*`.
    pub(crate) filter: Filter,
    pub(crate) to: String,
    pub(crate) to_token_file: Option<PathBuf>,
    pub(crate) dry_run: bool,
    /// True to remove other releases of the applications from a depot.
    pub(crate) prune: bool,
}

impl Copy {
    /// Returns true if the copy goes to a depot, whose files others read.
    pub(super) fn is_to_depot(&self) -> bool {
        matches!(DepotAt::parse(&self.to), Ok(Some(_)))
    }

    /// Returns the releases that are named one by one.
    pub(super) fn targets_mut(&mut self) -> Vec<&mut Target> {
        Copied::targets_mut(&mut self.what)
    }
}

impl Copied {
    /// Returns the releases that are named one by one.
    pub(super) fn targets_mut(what: &mut [Self]) -> Vec<&mut Target> {
        let ones = what.iter_mut().filter_map(|what| match what {
            Self::One(target) => Some(target),
            Self::Each(_) => None,
        });
        ones.collect()
    }

    /// Returns what the flow takes; `filter` is that of every `APPLICATION:*`.
    pub(crate) fn pick(self, filter: &Filter) -> Pick {
        match self {
            Self::One(Target { application, selector, .. }) => Pick::One(application, selector),
            Self::Each(applications) => Pick::Each(applications, filter.clone()),
        }
    }
}

/// Parses what a copy takes, all of it from one registry.
pub(super) fn references(texts: &[String]) -> Result<(Option<Named>, Vec<Copied>), Failure> {
    let mut what = Vec::with_capacity(texts.len());
    let mut source: Option<Option<Named>> = None;
    for text in texts {
        let (host, each) = one(text)?;
        if source.as_ref().is_some_and(|source| *source != host) {
            return Err(Failure::usage(
                "the references name more than one registry to copy from",
                "copy from one registry at a time",
            ));
        }
        source = Some(host);
        what.push(each);
    }
    Ok((source.flatten(), what))
}

pub(super) fn copy(args: CopyArgs) -> Result<Command, Failure> {
    let filter = Filter {
        versions: args.versions.as_deref().map(str::parse).transpose()?,
        since_secs: args.since.as_deref().map(since).transpose()?,
        channels: args.channels.iter().map(|name| name.parse()).collect::<Result<_, _>>()?,
        newest: args.newest.map(usize::from),
    };
    let (host, what) = references(&args.references)?;
    let is_each = what.iter().any(|what| matches!(what, Copied::Each(_)));
    if filter != Filter::default() && !is_each {
        return Err(Failure::usage(
            "--versions, --since, --channel and --newest choose among the releases of \
             APPLICATION:*",
            "omit them, or write APPLICATION:* instead of one release",
        ));
    }
    let reach = Reach { host, credentials: args.credentials };
    let CopyArgs { to, to_token_file, dry_run, prune, .. } = args;
    let copy = Copy { what, filter, to, to_token_file, dry_run, prune };
    if prune && !copy.is_to_depot() {
        return Err(Failure::usage(
            "--prune removes releases from a depot, and this copy goes to a registry",
            "delete releases there with `seawall rm` or `seawall retention`",
        ));
    }
    Ok(Command::Copy(reach, copy))
}

/// Parses a reference, or `APPLICATION:*`.
fn one(text: &str) -> Result<(Option<Named>, Copied), Failure> {
    let Some(applications) = text.strip_suffix(":*") else {
        let (host, target) = release(text)?;
        return Ok((host, Copied::One(target)));
    };
    if applications.contains('*') {
        return Ok((None, Copied::Each(applications.parse()?)));
    }
    let (host, (reference, _)) = parse(applications)?;
    Ok((host, Copied::Each(reference.application.as_str().parse()?)))
}
