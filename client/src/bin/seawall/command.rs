//! The validated command line: all text is parsed before anything runs.

use std::path::{Path, PathBuf};

use seawall::convert::Overwrite;
use seawall::deploy::DescriptorTarget;
use seawall::directory::LOCKFILE;
use seawall::disk::DiskAccess;
use seawall::error::ErrorKind;
use seawall::export::PackageKind;
use seawall::ovf;
use seawall::registry::Expect;
use seawall::spec::ReleaseSpec;
use seawall_api::names::{ApplicationName, ChannelName, DiskName, MachineName, Version};
use seawall_api::reference::{Reference, Selector};
use seawall_api::v1::StartCollection;
use seawall_store::image::Format;
use seawall_store::image::layout::{ExportFormat, Round};

use crate::args::{
    ChannelsArgs, Credentials, DescribeArgs, GcArgs, ListArgs, PromoteArgs, PullArgs, RawCommand,
    RawFormat, RawTarget, ShowArgs, Threads, VerifyArgs,
};
use crate::report::Failure;

mod images;
mod prefix;
mod push;
mod upkeep;

#[cfg(feature = "server")]
pub(crate) use upkeep::Offline;
pub(crate) use upkeep::{Repair, Upkeep};
mod fleet;

pub(crate) use fleet::{Fleet, Report, SetPolicy, Status};
pub(crate) mod relative;
pub(crate) mod watch;

pub(crate) use prefix::Prefix;
pub(crate) use relative::Named;
use watch::Watch;

/// A release in a registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    pub(crate) application: ApplicationName,
    /// A placeholder while `prefix` is set; [`Target::complete`] replaces it.
    pub(crate) selector: Selector,
    /// The typed digits of an abbreviated digest.
    pub(crate) prefix: Option<Prefix>,
}

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
    Fleet(Reach, Fleet),
    Status(Status),
    Report(Report),
    Collect(Reach, Collect),
    Describe(PathBuf, Vec<DescriptorTarget>),
    VerifyDir(PathBuf, usize),
    Convert(Convert),
    Inspect(Inspect),
    VerifyRelease(Reach, Target),
    Upkeep(Reach, Upkeep),
    /// A backup of the registry in a directory: the directory, then the output file.
    BackupOf(Reach, PathBuf, PathBuf),
    #[cfg(feature = "server")]
    Offline(Offline),
    Watch(Reach, Watch),
}

#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) spec: ReleaseSpec,
    pub(crate) package: Option<ovf::Package>,
    pub(crate) access: DiskAccess,
    pub(crate) application: ApplicationName,
    pub(crate) version: Version,
    pub(crate) parent: Option<Target>,
    pub(crate) full_scan: bool,
    pub(crate) threads: usize,
}

#[derive(Debug)]
pub(crate) struct Pull {
    pub(crate) target: Target,
    pub(crate) into: PathBuf,
    pub(crate) format: ExportFormat,
    /// The machines to pull; empty for all.
    pub(crate) machines: Vec<MachineName>,
    pub(crate) descriptors: Vec<DescriptorTarget>,
    pub(crate) dry_run: bool,
    /// The lockfile that determines the release, with `--locked`.
    pub(crate) locked: Option<PathBuf>,
    pub(crate) threads: usize,
}

#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) target: Target,
    pub(crate) into: PathBuf,
    pub(crate) kind: PackageKind,
    /// The machines to package; empty for all.
    pub(crate) machines: Vec<MachineName>,
    pub(crate) threads: usize,
}

#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) target: Target,
    pub(crate) machine: MachineName,
    pub(crate) disk: DiskName,
    pub(crate) format: ExportFormat,
    pub(crate) round: Round,
    /// The output file; `None` for standard output.
    pub(crate) output: Option<PathBuf>,
    pub(crate) threads: usize,
}

#[derive(Debug)]
pub(crate) struct Patch {
    pub(crate) dir: PathBuf,
    pub(crate) target: Target,
    pub(crate) dry_run: bool,
    pub(crate) threads: usize,
}

#[derive(Debug)]
pub(crate) struct Promote {
    pub(crate) target: Target,
    pub(crate) channel: ChannelName,
    /// The expected state of the channel; `None` for its state when the command runs.
    pub(crate) expect: Option<Expect>,
}

#[derive(Debug)]
pub(crate) struct Collect {
    pub(crate) order: StartCollection,
    pub(crate) dry_run: bool,
    pub(crate) wait: bool,
}

#[derive(Debug)]
pub(crate) struct Convert {
    pub(crate) from: PathBuf,
    pub(crate) from_format: Option<Format>,
    pub(crate) access: DiskAccess,
    /// The output file; `None` for standard output.
    pub(crate) to: Option<(PathBuf, Overwrite)>,
    pub(crate) format: ExportFormat,
    pub(crate) round: Round,
    pub(crate) threads: usize,
}

#[derive(Debug)]
pub(crate) struct Inspect {
    pub(crate) path: PathBuf,
    pub(crate) format: Option<Format>,
    pub(crate) access: DiskAccess,
    pub(crate) digest: bool,
    pub(crate) threads: usize,
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
            Self::Fleet(_, order) => order.targets_mut(),
            Self::Upkeep(_, Upkeep::Repair(repair)) => repair.target.iter_mut().collect(),
            _ => Vec::new(),
        }
    }

    /// Validates a command, except those that `main` runs directly.
    pub(crate) fn prove(raw: RawCommand) -> Result<Self, Failure> {
        match raw {
            RawCommand::Push(args) => push::push(args),
            RawCommand::Pull(args) => pull(args),
            RawCommand::Describe(DescribeArgs { dir, descriptors }) => {
                let hosts: Vec<RawTarget> = descriptors.into_iter().map(Into::into).collect();
                Ok(Self::Describe(dir, targets(&hosts)?))
            }
            RawCommand::Export(args) => images::export(args),
            RawCommand::Patch(args) => relative::patch(args),
            RawCommand::Diff(args) => relative::diff(args),
            RawCommand::List(args) => list(args),
            RawCommand::Show(ShowArgs { reference, credentials }) => {
                let (host, target) = release(&reference)?;
                Ok(Self::Show(Reach { host, credentials }, target))
            }
            RawCommand::Channels(args) => channels(args),
            RawCommand::Promote(args) => promote(args),
            RawCommand::Rm(args) => fleet::remove(args),
            RawCommand::Pin(args) => fleet::pin(args),
            RawCommand::Unpin(args) => fleet::unpin(args),
            RawCommand::Status(args) => fleet::status(args),
            RawCommand::Report(args) => fleet::report(args),
            RawCommand::Hosts(args) => fleet::hosts(args),
            RawCommand::Retention(args) => fleet::retention(args),
            RawCommand::Gc(args) => Ok(collect(args)),
            RawCommand::Verify(args) => verify(args),
            RawCommand::Convert(args) => images::convert(args),
            RawCommand::Inspect(args) => images::inspect(args),
            RawCommand::Fsck(args) => upkeep::fsck(args),
            RawCommand::Repair(args) => upkeep::repair(args),
            RawCommand::Backup(args) => upkeep::backup(args),
            #[cfg(feature = "server")]
            RawCommand::Recover(args) => Ok(upkeep::recover(args)),
            #[cfg(feature = "server")]
            RawCommand::Drill(args) => Ok(upkeep::drill(args)),
            RawCommand::Watch(raw) => watch::prove(raw),
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
            Self::Fleet(_, order) => order.schema(),
            Self::Status(..) => "status",
            Self::Report(..) => "report",
            Self::Collect(_, Collect { dry_run: true, .. }) => "gc-plan",
            Self::Collect(..) => "gc",
            Self::Describe(..) => "describe",
            Self::VerifyDir(..) | Self::VerifyRelease(..) => "verify",
            Self::Convert(..) => "convert",
            Self::Inspect(..) => "inspect",
            Self::Upkeep(_, Upkeep::Repair(_)) => "repair",
            Self::Upkeep(_, Upkeep::Backup(_)) | Self::BackupOf(..) => "backup",
            Self::Upkeep(..) => "fsck",
            #[cfg(feature = "server")]
            Self::Offline(Offline::Recover(_)) => "recover",
            #[cfg(feature = "server")]
            Self::Offline(Offline::Drill { .. }) => "drill",
            Self::Watch(_, order) => order.schema(),
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
            | Self::Convert(..)
            | Self::Inspect(..) => false,
            Self::Push(..)
            | Self::Diff(..)
            | Self::Applications(..)
            | Self::Releases(..)
            | Self::Show(..)
            | Self::Channels(..)
            | Self::History(..)
            | Self::Promote(..)
            | Self::Fleet(..)
            | Self::Collect(..)
            | Self::VerifyRelease(..)
            | Self::Upkeep(..)
            | Self::BackupOf(..)
            | Self::Watch(..) => true,
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
            | Self::Fleet(reach, _)
            | Self::Collect(reach, _)
            | Self::VerifyRelease(reach, ..)
            | Self::Watch(reach, _)
            | Self::Upkeep(reach, ..)
            | Self::BackupOf(reach, ..) => Some(reach),
            #[cfg(feature = "server")]
            Self::Offline(..) => None,
            Self::Status(..) | Self::Report(..) => None,
            Self::Describe(..) | Self::VerifyDir(..) | Self::Convert(..) | Self::Inspect(..) => {
                None
            }
        }
    }
}

fn pull(args: PullArgs) -> Result<Command, Failure> {
    let package_kind = package_kind(&args)?;
    let (host, (reference, prefix)) = parse(&args.reference)?;
    if let Some(disk) = &reference.disk {
        return Err(Failure::usage(
            format!("`{}` names one disk", args.reference),
            format!("pull the machine: leave `/{disk}` out"),
        ));
    }
    let mut machines: Vec<MachineName> = reference.machine.clone().into_iter().collect();
    for name in &args.machines {
        machines.push(name.parse()?);
    }
    machines.sort();
    machines.dedup();
    let target = target((reference.clone(), prefix), &args.reference)?;
    let name = target.application.as_str();
    let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
    let into = args.into.unwrap_or_else(|| PathBuf::from(last));
    let lockfile = args.lockfile.unwrap_or_else(|| into.join(LOCKFILE));
    if let Some(kind) = package_kind {
        let package = Package { target, into, kind, machines, threads: threads(args.threads) };
        let reach = Reach { host, credentials: args.credentials };
        return Ok(Command::Package(reach, package));
    }
    let descriptors = targets(&args.descriptors)?;
    let by_target =
        || descriptors.first().map_or(ExportFormat::Raw, |target| target.default_format());
    let pull = Pull {
        into,
        target,
        format: args.format.map_or_else(by_target, format),
        machines,
        descriptors,
        dry_run: args.dry_run,
        locked: args.locked.then_some(lockfile),
        threads: threads(args.threads),
    };
    Ok(Command::Pull(Reach { host, credentials: args.credentials }, pull))
}

fn format(raw: RawFormat) -> ExportFormat {
    match raw {
        RawFormat::Raw => ExportFormat::Raw,
        RawFormat::Qcow2 => ExportFormat::Qcow2,
        RawFormat::Vmdk => ExportFormat::Vmdk,
        RawFormat::Vhd => ExportFormat::Vhd,
        RawFormat::VhdFixed => ExportFormat::VhdFixed,
        RawFormat::Vhdx => ExportFormat::Vhdx,
        RawFormat::VhdxFixed => ExportFormat::VhdxFixed,
    }
}

fn targets(raw: &[RawTarget]) -> Result<Vec<DescriptorTarget>, Failure> {
    let target = |raw: &RawTarget| match raw {
        RawTarget::Libvirt => Ok(DescriptorTarget::Libvirt),
        RawTarget::Xen => Ok(DescriptorTarget::Xen),
        RawTarget::Hyperv => Ok(DescriptorTarget::Hyperv),
        RawTarget::Qemu => Ok(DescriptorTarget::Qemu),
        RawTarget::Proxmox => Ok(DescriptorTarget::Proxmox),
        RawTarget::Ova | RawTarget::Ovf => Err(Failure::usage(
            "a package holds its disks, and does not describe others",
            "write it by itself: `seawall pull REFERENCE --as ova`",
        )),
    };
    raw.iter().map(target).collect()
}

fn collect(args: GcArgs) -> Command {
    let GcArgs { dry_run, live_percent, rate, force, no_wait, credentials } = args;
    let order = StartCollection {
        live_percent_min: live_percent,
        rate_max: rate.map(|mib| mib.saturating_mul(1 << 20)),
        force,
    };
    let collect = Collect { order, dry_run, wait: !no_wait };
    Command::Collect(Reach { host: None, credentials }, collect)
}

/// Returns the kind of package to make instead of a directory of disks.
fn package_kind(args: &PullArgs) -> Result<Option<PackageKind>, Failure> {
    let kind = match args.descriptors[..] {
        [RawTarget::Ova] => PackageKind::Ova,
        [RawTarget::Ovf] => PackageKind::Ovf,
        _ => return Ok(None),
    };
    if args.format.is_some() || args.dry_run || args.locked {
        return Err(Failure::usage(
            "--format, --dry-run and --locked are for directories of disks",
            "leave them out with --as ova and --as ovf, whose disks are streamOptimized VMDKs",
        ));
    }
    Ok(Some(kind))
}

fn list(args: ListArgs) -> Result<Command, Failure> {
    let credentials = args.credentials;
    let Some(text) = args.application else {
        return Ok(Command::Applications(Reach { host: None, credentials }));
    };
    let (host, application) = application(&text)?;
    Ok(Command::Releases(Reach { host, credentials }, application))
}

fn channels(args: ChannelsArgs) -> Result<Command, Failure> {
    let (host, application) = application(&args.application)?;
    let reach = Reach { host, credentials: args.credentials };
    Ok(match args.channel {
        Some(channel) => Command::History(reach, application, channel.parse()?),
        None => Command::Channels(reach, application),
    })
}

fn promote(args: PromoteArgs) -> Result<Command, Failure> {
    let PromoteArgs { reference, channel, .. } = &args;
    if !reference.contains([':', '@']) && channel.contains([':', '@']) {
        return Err(Failure::usage(
            format!("`{}` names no release", reference.escape_debug()),
            format!(
                "the release comes first: `seawall promote {} {}`",
                channel.escape_debug(),
                reference.escape_debug()
            ),
        ));
    }
    let (host, target) = release(&args.reference)?;
    let expect = match args.expect.as_deref() {
        None => None,
        Some("new") => Some(Expect::New),
        Some(text) => {
            let number = text.parse().ok().filter(|number| *number > 0).ok_or_else(|| {
                Failure::usage(
                    format!("`--expect {}`: this is no sequence number", text.escape_debug()),
                    "give `new` or a number that `seawall channels APPLICATION` shows",
                )
            })?;
            Some(Expect::Sequence(number))
        }
    };
    let promote = Promote { target, channel: args.channel.parse()?, expect };
    Ok(Command::Promote(Reach { host, credentials: args.credentials }, promote))
}

fn verify(args: VerifyArgs) -> Result<Command, Failure> {
    let path = Path::new(&args.target);
    if path.is_file() {
        let shown = args.target.escape_debug();
        return Err(Failure::usage(
            format!("`{shown}` is a file, and no directory that a release was pulled into"),
            format!("`seawall inspect {shown} --digest` hashes a disk image"),
        ));
    }
    // An existing directory, or text that can only be a path, is taken as a directory.
    if path.is_dir() || args.target.starts_with(['.', '/']) {
        return Ok(Command::VerifyDir(path.to_owned(), threads(args.threads)));
    }
    if !args.target.contains([':', '@']) {
        // Not a directory, and without a version not a release either.
        return Err(Failure::usage(
            format!("`{}` is no directory here, and names no release", args.target.escape_debug()),
            format!(
                "name the directory that a release was pulled into, or a release: `seawall verify \
                 {}:VERSION`",
                args.target.escape_debug()
            ),
        )
        .of_kind(ErrorKind::NotFound));
    }
    let (host, target) = release(&args.target)?;
    let reach = Reach { host, credentials: args.credentials };
    Ok(Command::VerifyRelease(reach, target))
}

use relative::parse;

/// Parses a reference to a whole release, and its host.
fn release(text: &str) -> Result<(Option<Named>, Target), Failure> {
    let (host, (reference, prefix)) = parse(text)?;
    if let Some(machine) = &reference.machine {
        return Err(Failure::usage(
            format!("`{text}` names a part of a release"),
            format!("this command is for whole releases: leave `/{machine}` out"),
        ));
    }
    Ok((host, target((reference, prefix), text)?))
}

fn target((reference, prefix): (Reference, Option<Prefix>), text: &str) -> Result<Target, Failure> {
    let Reference { application, selector, .. } = reference;
    let selector = selector.ok_or_else(|| {
        Failure::usage(
            format!("`{text}` names an application and none of its releases"),
            format!(
                "write {application}:VERSION, {application}:CHANNEL or {application}@blake3:…; \
                 `seawall list {text}` shows which there are"
            ),
        )
    })?;
    Ok(Target { application, selector, prefix })
}

/// Parses a reference to an application alone, and its host.
fn application(text: &str) -> Result<(Option<Named>, ApplicationName), Failure> {
    let (host, (reference, _)) = parse(text)?;
    if let Some(selector) = reference.selector {
        return Err(Failure::usage(
            format!("`{text}` names a release of `{}`", reference.application),
            format!(
                "this command is for the application: leave `{selector}` out; `seawall show \
                 {text}` shows the release"
            ),
        ));
    }
    Ok((host, reference.application))
}

fn threads(given: Threads) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    given.threads.map_or_else(all, usize::from)
}

#[cfg(test)]
mod tests;
