//! The validated command line: all text is parsed before anything runs.

use std::path::PathBuf;

use seawall::deploy::DescriptorTarget;
use seawall_api::names::{ApplicationName, ChannelName};

use crate::args::{Credentials, RawCommand, Threads};
use crate::failure::Failure;

pub(crate) mod audit;
pub(crate) mod bundle;
pub(crate) mod cloud;
mod copy;
mod images;
mod look;
mod maintenance;
pub(crate) mod mirrors;
mod push;
mod reference;
mod releases;
mod retention;
pub(crate) mod tokens;

use audit::Audit;
use cloud::Cloud;
pub(crate) use copy::Copy;
pub(crate) use images::{Convert, Export, Inspect};
pub(crate) use look::Promote;
#[cfg(feature = "server")]
pub(crate) use maintenance::Offline;
pub(crate) use maintenance::{Collect, Maintenance, Repair};
use mirrors::Mirrors;
pub(crate) use push::Push;
pub(crate) use reference::Target;
pub(crate) use reference::relative::{self, Named, Patch};
pub(crate) use releases::{Package, Pull};
pub(crate) use retention::{Report, Retention, SetPolicy, Status};
use tokens::Tokens;

/// The parts of a command that lead to its registry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reach {
    /// The host in a reference, or the origin of a pulled folder.
    pub(crate) host: Option<Named>,
    pub(crate) credentials: Credentials,
}

/// A validated command.
#[derive(Debug)]
pub(crate) enum Command {
    Push(Reach, Box<Push>),
    Pull(Reach, Pull),
    Package(Reach, Package),
    Export(Reach, Export),
    Patch(Reach, Patch),
    Diff(Reach, Target, Target),
    Applications(Reach),
    Releases(Reach, ApplicationName),
    Show(Reach, Target),
    Channels(Reach, ApplicationName),
    History(Reach, ApplicationName, ChannelName),
    Promote(Reach, Promote),
    Copy(Reach, Copy),
    Bundle(Reach, bundle::Bundle),
    VerifyBundle(Vec<PathBuf>),
    Retention(Reach, Retention),
    Status(Status),
    Report(Report),
    Collect(Reach, Collect),
    Describe(PathBuf, Vec<DescriptorTarget>),
    VerifyDir(PathBuf, usize),
    Convert(Convert),
    Inspect(Inspect),
    VerifyRelease(Reach, Target),
    Maintenance(Reach, Maintenance),
    /// A backup of the registry in a directory: the directory, then the output file.
    BackupOf(Reach, PathBuf, PathBuf),
    #[cfg(feature = "server")]
    Offline(Offline),
    Audit(Reach, Audit),
    Tokens(Reach, Tokens),
    Mirrors(Reach, Mirrors),
    Cloud(Reach, Cloud),
}

impl Command {
    /// Returns the releases named by the command.
    pub(crate) fn targets_mut(&mut self) -> Vec<&mut Target> {
        match self {
            Self::Push(_, push) => push.parent.iter_mut().collect(),
            Self::Pull(_, pull) => vec![&mut pull.target],
            Self::Package(_, package) => vec![&mut package.target],
            Self::Export(_, export) => vec![&mut export.target],
            Self::Patch(_, patch) => vec![&mut patch.target],
            Self::Diff(_, from, to) => vec![from, to],
            Self::Show(_, target) | Self::VerifyRelease(_, target) => vec![target],
            Self::Promote(_, promote) => vec![&mut promote.target],
            Self::Copy(_, copy) => copy.targets_mut(),
            Self::Bundle(_, order) => order.targets_mut(),
            Self::Retention(_, order) => order.targets_mut(),
            Self::Cloud(_, order) => order.targets_mut(),
            Self::Maintenance(_, Maintenance::Repair(repair)) => repair.target.iter_mut().collect(),
            _ => Vec::new(),
        }
    }

    /// Validates a command, except those that `main` runs directly.
    pub(crate) fn prove(raw: RawCommand) -> Result<Self, Failure> {
        match raw {
            RawCommand::Push(args) => push::push(args),
            RawCommand::Pull(args) => releases::pull(args),
            RawCommand::Describe(args) => releases::describe(args),
            RawCommand::Export(args) => images::export(args),
            RawCommand::Patch(args) => relative::patch(args),
            RawCommand::Diff(args) => relative::diff(args),
            RawCommand::List(args) => look::list(args),
            RawCommand::Show(args) => look::show(args),
            RawCommand::Channels(args) => look::channels(args),
            RawCommand::Promote(args) => look::promote(args),
            RawCommand::Copy(args) => copy::copy(args),
            RawCommand::Bundle(raw) => bundle::prove(raw),
            RawCommand::Rm(args) => retention::remove(args),
            RawCommand::Pin(args) => retention::pin(args),
            RawCommand::Unpin(args) => retention::unpin(args),
            RawCommand::Status(args) => retention::status(args),
            RawCommand::Report(args) => retention::report(args),
            RawCommand::Hosts(args) => retention::hosts(args),
            RawCommand::Retention(args) => retention::retention(args),
            RawCommand::Gc(args) => Ok(maintenance::collect(args)),
            RawCommand::Verify(args) => releases::verify(args),
            RawCommand::Convert(args) => images::convert(args),
            RawCommand::Inspect(args) => images::inspect(args),
            RawCommand::Fsck(args) => maintenance::fsck(args),
            RawCommand::Repair(args) => maintenance::repair(args),
            RawCommand::Jobs(args) => Ok(maintenance::jobs(args)),
            RawCommand::Backup(args) => maintenance::backup(args),
            #[cfg(feature = "server")]
            RawCommand::Recover(args) => Ok(maintenance::recover(args)),
            #[cfg(feature = "server")]
            RawCommand::Drill(args) => Ok(maintenance::drill(args)),
            #[cfg(feature = "server")]
            RawCommand::Relocate(args) => Ok(Self::Offline(Offline::Relocate(args))),
            RawCommand::Audit(raw) => audit::prove(raw),
            RawCommand::Token(raw) => tokens::prove(raw),
            RawCommand::Mirror(raw) => mirrors::prove(raw),
            RawCommand::Cloud(raw) => cloud::prove(raw),
            #[cfg(feature = "server")]
            RawCommand::Serve(_) => Err(Failure::internal("serve has a path of its own")),
            RawCommand::Completions { .. } | RawCommand::Man { .. } => {
                Err(Failure::internal("this command has a path of its own"))
            }
        }
    }

    /// Returns the name of the answer's schema (docs/json.md), without `seawall.` and the version.
    pub(crate) fn schema(&self) -> &'static str {
        match self {
            Self::Push(..) => "push",
            Self::Pull(_, Pull { dry_run: true, .. }) => "pull-plan",
            Self::Pull(..) => "pull",
            Self::Package(..) => "package",
            Self::Export(..) => "export",
            Self::Patch(_, Patch { dry_run: true, .. }) => "patch-plan",
            Self::Patch(..) => "patch",
            Self::Diff(..) => "diff",
            Self::Applications(_) => "applications",
            Self::Releases(..) => "releases",
            Self::Show(..) => "show",
            Self::Channels(..) => "channels",
            Self::History(..) => "history",
            Self::Promote(..) => "promote",
            Self::Copy(_, Copy { dry_run: true, .. }) => "copy-plan",
            Self::Copy(..) => "copy",
            Self::Bundle(_, order) => order.schema(),
            Self::VerifyBundle(_) => "bundle-verify",
            Self::Retention(_, order) => order.schema(),
            Self::Status(..) => "status",
            Self::Report(..) => "report",
            Self::Collect(_, Collect { dry_run: true, .. }) => "gc-plan",
            Self::Collect(..) => "gc",
            Self::Describe(..) => "describe",
            Self::VerifyDir(..) | Self::VerifyRelease(..) => "verify",
            Self::Convert(..) => "convert",
            Self::Inspect(..) => "inspect",
            Self::Maintenance(_, Maintenance::Repair(_)) => "repair",
            Self::Maintenance(_, Maintenance::Backup(_)) | Self::BackupOf(..) => "backup",
            Self::Maintenance(_, Maintenance::Jobs(_)) => "jobs",
            Self::Maintenance(..) => "fsck",
            #[cfg(feature = "server")]
            Self::Offline(Offline::Recover { .. }) => "recover",
            #[cfg(feature = "server")]
            Self::Offline(Offline::Drill { .. }) => "drill",
            #[cfg(feature = "server")]
            Self::Offline(Offline::Relocate(args)) => match (args.abort, args.dry_run) {
                (true, _) => "relocate-abort",
                (_, true) => "relocate-plan",
                _ => "relocate",
            },
            Self::Audit(_, order) => order.schema(),
            Self::Tokens(_, order) => order.schema(),
            Self::Mirrors(_, order) => order.schema(),
            Self::Cloud(_, order) => order.schema(),
        }
    }

    /// Returns true if the command may write to the store of a registry in a directory and creates
    /// no other files. Files made for the user get the modes of the user's umask.
    pub(crate) fn writes_registry(&self) -> bool {
        match self {
            Self::Pull(..)
            | Self::Package(..)
            | Self::Export(..)
            | Self::Patch(..)
            | Self::Status(..)
            | Self::Report(..)
            | Self::Describe(..)
            | Self::VerifyDir(..)
            | Self::VerifyBundle(..)
            | Self::Convert(..)
            | Self::Inspect(..) => false,
            Self::Bundle(_, order) => !matches!(order, bundle::Bundle::Create(_)),
            Self::Push(..)
            | Self::Diff(..)
            | Self::Applications(..)
            | Self::Releases(..)
            | Self::Show(..)
            | Self::Channels(..)
            | Self::History(..)
            | Self::Promote(..)
            | Self::Retention(..)
            | Self::Collect(..)
            | Self::VerifyRelease(..)
            | Self::Maintenance(..)
            | Self::BackupOf(..)
            | Self::Audit(..)
            | Self::Cloud(..)
            | Self::Tokens(..)
            | Self::Mirrors(..) => true,
            Self::Copy(_, copy) => !copy.is_to_depot(),
            #[cfg(feature = "server")]
            Self::Offline(..) => true,
        }
    }

    /// Returns the way to the registry; `None` for commands without one.
    pub(crate) fn reach(&self) -> Option<&Reach> {
        match self {
            Self::Push(reach, _)
            | Self::Pull(reach, _)
            | Self::Package(reach, _)
            | Self::Export(reach, _)
            | Self::Patch(reach, _)
            | Self::Diff(reach, ..)
            | Self::Applications(reach)
            | Self::Releases(reach, _)
            | Self::Show(reach, _)
            | Self::Channels(reach, _)
            | Self::History(reach, ..)
            | Self::Promote(reach, _)
            | Self::Copy(reach, _)
            | Self::Bundle(reach, _)
            | Self::Retention(reach, _)
            | Self::Collect(reach, _)
            | Self::VerifyRelease(reach, ..)
            | Self::Audit(reach, _)
            | Self::Tokens(reach, _)
            | Self::Mirrors(reach, _)
            | Self::Cloud(reach, _)
            | Self::Maintenance(reach, ..)
            | Self::BackupOf(reach, ..) => Some(reach),
            #[cfg(feature = "server")]
            Self::Offline(..) => None,
            Self::Status(..) | Self::Report(..) | Self::VerifyBundle(..) => None,
            Self::Describe(..) | Self::VerifyDir(..) | Self::Convert(..) | Self::Inspect(..) => {
                None
            }
        }
    }
}

fn threads(given: Threads) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    given.threads.map_or_else(all, usize::from)
}

#[cfg(test)]
mod tests;
