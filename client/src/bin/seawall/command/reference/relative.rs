//! References relative to a pulled folder: `stable`, `1.1.0`, `:stable`, `@blake3:…`.
//!
//! The folder's lockfile names the application; `.seawall/origin.json` names the registry and the
//! channel followed.

use std::path::{Path, PathBuf};

use seawall::directory::{LOCKFILE, LockError, Lockfile, Origin};
use seawall::error::ErrorKind;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, Version};
use seawall_api::reference::{Reference, Selector};

use super::prefix::{self, Prefix};
use super::{Target, release};
use crate::args::look::DiffArgs;
use crate::args::releases::PatchArgs;
use crate::command::{Command, Reach, threads};
use crate::failure::Failure;

#[derive(Debug)]
pub(crate) struct Patch {
    pub(crate) dir: PathBuf,
    pub(crate) target: Target,
    pub(crate) dry_run: bool,
    pub(crate) threads: usize,
}

/// The registry named by a command's arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Named {
    /// The host of a reference.
    Host(String),
    /// The origin of a folder: an address or a directory.
    Origin(String),
}

/// Validates a patch; without `--to`, the folder moves to the release of its channel.
pub(in crate::command) fn patch(args: PatchArgs) -> Result<Command, Failure> {
    let (host, target) = match &args.to {
        Some(text) => seen_from(&args.dir, text)?,
        None => followed(&args.dir)?,
    };
    let PatchArgs { dir, dry_run, threads: count, credentials, .. } = args;
    let patch = Patch { dir, target, dry_run, threads: threads(count) };
    Ok(Command::Patch(Reach { host, credentials }, patch))
}

/// Validates a comparison; a folder stands for its release.
pub(in crate::command) fn diff(args: DiffArgs) -> Result<Command, Failure> {
    let dir = Path::new(&args.from);
    // Folders and references are told apart as in `verify`.
    let is_dir = dir.is_dir() || args.from.starts_with(['.', '/']);
    let here = Path::new(".");
    let ((from_host, from), (to_host, to)) = match (is_dir, &args.to) {
        (true, Some(to)) => (held(dir)?, seen_from(dir, to)?),
        (true, None) => (held(dir)?, followed(dir)?),
        (false, None) => {
            (held(here).map_err(|error| alone(error, &args.from))?, seen_from(here, &args.from)?)
        }
        (false, Some(to)) => {
            if !args.from.contains([':', '@']) {
                return Err(no_side(&args.from));
            }
            let from = release(&args.from)?;
            let is_bare = !to.contains([':', '@', '/']);
            let is_prefix = to.starts_with('@') && prefix::fill_up(to)?.is_some();
            let sign = if to.starts_with("blake3:") || is_prefix { "@" } else { ":" };
            let to = match is_bare || sign == "@" || to.starts_with([':', '@']) {
                true => release(&format!("{}{sign}{}", from.1.application, bare(to)))?,
                false => release(to)?,
            };
            (from, to)
        }
    };
    let host = match (from_host, to_host) {
        (Some(Named::Host(a)), Some(Named::Host(b))) if a != b => {
            return Err(Failure::usage(
                format!("the releases are in two registries, {a} and {b}"),
                "compare releases of one registry",
            ));
        }
        (a, b) => a.or(b),
    };
    Ok(Command::Diff(Reach { host, credentials: args.credentials }, from, to))
}

/// Replaces the error for a single side, where the current directory is not a pulled folder.
fn alone(error: Failure, text: &str) -> Failure {
    if error.kind() != ErrorKind::NotFound {
        return error;
    }
    if !text.contains([':', '@']) {
        return no_side(text);
    }
    let shown = text.escape_debug();
    Failure::usage(
        format!(
            "there is nothing to compare `{shown}` to: the current directory holds no pulled \
                 release"
        ),
        format!(
            "name both sides, as in `seawall diff {shown} OTHER` or `seawall diff DIR {shown}`"
        ),
    )
}

/// Returns the failure for a side that is neither a folder nor a release.
fn no_side(text: &str) -> Failure {
    let shown = text.escape_debug();
    Failure::usage(
        format!("`{shown}` is neither an existing directory nor a release"),
        "name a directory that a release was pulled into, or two releases: `seawall diff \
         shop:1.0.0 shop:1.1.0`",
    )
    .of_kind(ErrorKind::NotFound)
}

/// Strips the `:` or `@` before a selector.
fn bare(text: &str) -> &str {
    text.strip_prefix([':', '@']).unwrap_or(text)
}

/// The parts of a pulled folder that references need.
struct Folder {
    application: ApplicationName,
    version: Version,
    release: ReleaseDigest,
    origin: Origin,
}

impl Folder {
    fn open(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(LOCKFILE);
        if !path.exists() {
            return Err(LockError::missing(dir).into());
        }
        // Not compared with the release document: an interrupted patch leaves two.
        let lock = Lockfile::read(&path)?;
        Ok(Self {
            application: lock.application,
            version: lock.version,
            release: lock.release,
            origin: Origin::of_directory(dir),
        })
    }

    fn target(&self, selector: Selector, prefix: Option<Prefix>) -> (Option<Named>, Target) {
        let named = self.origin.registry.clone().map(Named::Origin);
        (named, Target { application: self.application.clone(), selector, prefix })
    }
}

/// Parses `text` as a release, relative to a pulled folder.
pub(in crate::command) fn seen_from(
    dir: &Path,
    text: &str,
) -> Result<(Option<Named>, Target), Failure> {
    let bare = bare(text);
    let is_relative =
        bare.len() < text.len() || text.starts_with("blake3:") || !text.contains([':', '@', '/']);
    if is_relative {
        let (selector, prefix) = match prefix::fill_up(text)? {
            Some((filled, prefix)) => (self::bare(&filled).parse()?, Some(prefix)),
            None => (bare.parse()?, None),
        };
        return Ok(Folder::open(dir)?.target(selector, prefix));
    }
    let (named, target) = release(text)?;
    let origin = || Origin::of_directory(dir).registry.map(Named::Origin);
    Ok((named.or_else(origin), target))
}

/// Returns the channel followed by a pulled folder, as a target.
pub(in crate::command) fn followed(dir: &Path) -> Result<(Option<Named>, Target), Failure> {
    let folder = Folder::open(dir)?;
    let channel = folder.origin.channel.clone().ok_or_else(|| {
        let dir = dir.display();
        Failure::usage(
            format!("{dir} follows no channel: {} was pulled by its version", folder.version),
            format!(
                "name a release, `seawall patch {dir} --to VERSION`, or a channel to follow from \
                 now on, `seawall patch {dir} --to CHANNEL`; `seawall channels {}` lists them",
                folder.application
            ),
        )
    })?;
    Ok(folder.target(Selector::Channel(channel), None))
}

/// Returns the release in a pulled folder, as a target.
pub(in crate::command) fn held(dir: &Path) -> Result<(Option<Named>, Target), Failure> {
    let folder = Folder::open(dir)?;
    let release = folder.release;
    Ok(folder.target(Selector::Digest(release), None))
}

/// A reference, and the typed digits if its digest is abbreviated.
type Read = (Reference, Option<Prefix>);

/// Parses a reference; a leading `:` or `@` makes the reference relative to the current directory.
pub(in crate::command) fn parse(text: &str) -> Result<(Option<Named>, Read), Failure> {
    if let Some((scheme, rest)) = text.split_once("://") {
        let (host, release) = rest.split_once('/').unwrap_or((rest, "APPLICATION:VERSION"));
        return Err(Failure::usage(
            format!("`{}` is an address, not a reference", text.escape_debug()),
            format!("write `{host}/{release}`, or `--registry {scheme}://{host}` and `{release}`"),
        ));
    }
    let (filled, prefix) = match prefix::fill_up(text)? {
        Some((filled, prefix)) => (filled, Some(prefix)),
        None => (text.to_owned(), None),
    };
    if !text.starts_with([':', '@']) {
        let reference: Reference = filled.parse()?;
        return Ok((reference.host.clone().map(Named::Host), (reference, prefix)));
    }
    let folder = Folder::open(Path::new(".")).map_err(|failure| {
        failure.of_kind(ErrorKind::InvalidInput).with_remedy(format!(
            "`{text}` is relative to a pulled folder: run this in one, or write the application \
             before it"
        ))
    })?;
    let reference = format!("{}{filled}", folder.application).parse()?;
    Ok((folder.origin.registry.map(Named::Origin), (reference, prefix)))
}
