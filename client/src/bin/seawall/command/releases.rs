//! Validation of `seawall pull`, `describe` and `verify`.

use std::path::{Path, PathBuf};

use seawall::deploy::DescriptorTarget;
use seawall::directory::LOCKFILE;
use seawall::error::ErrorKind;
use seawall::export::PackageKind;
use seawall_api::names::MachineName;
use seawall_store::image::layout::ExportFormat;

use super::reference::relative::parse;
use super::reference::{Target, release, target};
use super::{Command, Reach, threads};
use crate::args::releases::{DescribeArgs, PullArgs, RawFormat, RawTarget, VerifyArgs};
use crate::failure::Failure;

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

pub(super) fn pull(args: PullArgs) -> Result<Command, Failure> {
    let package_kind = package_kind(&args)?;
    let (host, (reference, prefix)) = parse(&args.reference)?;
    if let Some(disk) = &reference.disk {
        return Err(Failure::usage(
            format!("`{}` names one disk", args.reference),
            format!("omit `/{disk}` to pull the machine"),
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
            "a package contains its own disks and cannot describe others",
            "write only the package: `seawall pull REFERENCE --as ova`",
        )),
    };
    raw.iter().map(target).collect()
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
            "omit them with --as ova and --as ovf, whose disks are streamOptimized VMDKs",
        ));
    }
    Ok(Some(kind))
}

pub(super) fn describe(args: DescribeArgs) -> Result<Command, Failure> {
    let hosts: Vec<RawTarget> = args.descriptors.into_iter().map(Into::into).collect();
    Ok(Command::Describe(args.dir, targets(&hosts)?))
}

pub(super) fn verify(args: VerifyArgs) -> Result<Command, Failure> {
    let path = Path::new(&args.target);
    if path.is_file() {
        let shown = args.target.escape_debug();
        return Err(Failure::usage(
            format!("`{shown}` is a file, not a directory that a release was pulled into"),
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
            format!(
                "`{}` is neither an existing directory nor a release",
                args.target.escape_debug()
            ),
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
