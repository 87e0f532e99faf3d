//! The arguments of commands that make and use releases.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use seawall_store::image::layout::ExportFormat;

use super::images::{DiskArgs, RawRound};
use super::{Credentials, Threads};

#[derive(Args, Debug)]
pub(crate) struct PushArgs {
    /// The new release: application:version
    pub(crate) reference: String,
    /// A package to push: NAME.ova, or NAME.ovf with its files in the same folder
    #[arg(value_name = "PACKAGE", conflicts_with_all = ["machines", "file"])]
    pub(crate) package: Option<PathBuf>,
    /// A machine and its disks: NAME=[DISK:][FORMAT:]PATH[,…]; once for each machine
    #[arg(long = "machine", value_name = "NAME=DISKS", conflicts_with = "file")]
    pub(crate) machines: Vec<String>,
    /// The description of the machines [default: application.toml, if no disks are named]
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Read every disk in full, even if unchanged since the last push
    #[arg(long)]
    pub(crate) full_scan: bool,
    /// The release of the same application to assume present in the registry [default: the newest]
    #[arg(long, value_name = "VERSION|CHANNEL|DIGEST")]
    pub(crate) parent: Option<String>,
    #[command(flatten)]
    pub(crate) disks: DiskArgs,
    #[command(flatten)]
    pub(crate) threads: Threads,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct PullArgs {
    /// The release; with /machine, only that one
    pub(crate) reference: String,
    /// The directory to pull into [default: ./NAME, the last part of the application's name]
    #[arg(long, value_name = "DIR")]
    pub(crate) into: Option<PathBuf>,
    /// The format of the disk files [default: raw, or the best one for the first --as]
    #[arg(long, value_enum)]
    pub(crate) format: Option<RawFormat>,
    /// Also describe the machines for this target, as scripts or files; may be repeated
    #[arg(long = "as", value_enum, value_name = "TARGET")]
    pub(crate) descriptors: Vec<RawTarget>,
    /// Only this machine; may be repeated
    #[arg(long = "machine", value_name = "NAME")]
    pub(crate) machines: Vec<String>,
    /// Print the planned work in bytes, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Pull exactly the release in the lockfile, or fail
    #[arg(long)]
    pub(crate) locked: bool,
    /// The lockfile for --locked [default: DIR/seawall.lock]
    #[arg(long, value_name = "FILE", requires = "locked")]
    pub(crate) lockfile: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) threads: Threads,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct DescribeArgs {
    /// The directory of the pulled release
    pub(crate) dir: PathBuf,
    /// The host to describe the machines for; may be repeated
    #[arg(long = "as", value_enum, value_name = "TARGET", required = true)]
    pub(crate) descriptors: Vec<RawHost>,
}

#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// The disk: application:version/machine/disk
    pub(crate) reference: String,
    /// The format [default: by the extension of FILE, else raw]
    #[arg(long, value_name = "FORMAT", value_parser = export_formats())]
    pub(crate) format: Option<ExportFormat>,
    /// Pad a VHD with zeros to a multiple of this, as Azure requires
    #[arg(long, value_enum, value_name = "UNIT")]
    pub(crate) round: Option<RawRound>,
    /// The file to create, or `-` for standard output
    #[arg(long, short, value_name = "FILE|-")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) threads: Threads,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct PatchArgs {
    /// The directory of the pulled release
    pub(crate) dir: PathBuf,
    /// The release to move to: a reference, or a version, channel or digest of the directory's own
    /// application [default: the channel that the directory follows]
    #[arg(long, value_name = "REFERENCE|VERSION|CHANNEL")]
    pub(crate) to: Option<String>,
    /// Print the planned work in bytes, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) threads: Threads,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct CopyArgs {
    /// A release, a channel with its release, or APPLICATION:* for all releases of an application,
    /// of a folder (team/*:*) or of every application (*:*)
    #[arg(value_name = "REFERENCE|APPLICATION:*", required = true)]
    pub(crate) references: Vec<String>,
    /// The registry to copy to, an address or a directory; or a depot, which is read without a
    /// registry: s3://BUCKET/PREFIX or file:DIR
    #[arg(long, value_name = "URL|DIR|DEPOT")]
    pub(crate) to: String,
    /// The file with the token for the registry of --to
    #[arg(long, value_name = "FILE")]
    pub(crate) to_token_file: Option<PathBuf>,
    /// With :*, only these versions: one version, or a beginning and a star, as in 1.4.*
    #[arg(long, value_name = "PATTERN")]
    pub(crate) versions: Option<String>,
    /// With :*, only releases published since: 2026-11-22, 2026-11-22T04:07:00Z, or 90m, 12h, 7d
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// With :*, only the release of this channel, and no other channel; may be repeated
    #[arg(long = "channel", value_name = "NAME")]
    pub(crate) channels: Vec<String>,
    /// With :*, only this many releases of each application, the newest
    #[arg(long, value_name = "COUNT")]
    pub(crate) newest: Option<std::num::NonZero<usize>>,
    /// Print what would be sent in bytes, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// In a depot, remove all other releases of these applications, and delete what none needed for
    /// 24 hours
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) prune: bool,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// The directory of a pulled release, or a reference
    #[arg(value_name = "DIR|REFERENCE")]
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) threads: Threads,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

/// Returns the parser for a format to write; help and completion list all names.
fn export_formats() -> impl TypedValueParser<Value = ExportFormat> {
    PossibleValuesParser::new(ExportFormat::ALL.map(ExportFormat::name))
        .try_map(|name| name.parse::<ExportFormat>())
}

/// The targets of `pull --as`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum RawTarget {
    /// Domain and network XML
    Libvirt,
    /// Files for xl
    Xen,
    /// A PowerShell script
    Hyperv,
    /// Runnable scripts
    Qemu,
    /// A script of qm commands
    Proxmox,
    /// One OVA package instead of a directory of disks
    Ova,
    /// An OVF package: a descriptor, a manifest and streamOptimized VMDKs
    Ovf,
}

/// The targets of `describe --as`. Packages are hidden from help and completion; their error names
/// the command to run instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum RawHost {
    /// Domain and network XML
    Libvirt,
    /// Files for xl
    Xen,
    /// A PowerShell script
    Hyperv,
    /// Runnable scripts
    Qemu,
    /// A script of qm commands
    Proxmox,
    #[value(hide = true)]
    Ova,
    #[value(hide = true)]
    Ovf,
}

impl From<RawHost> for RawTarget {
    fn from(host: RawHost) -> Self {
        match host {
            RawHost::Libvirt => Self::Libvirt,
            RawHost::Xen => Self::Xen,
            RawHost::Hyperv => Self::Hyperv,
            RawHost::Qemu => Self::Qemu,
            RawHost::Proxmox => Self::Proxmox,
            RawHost::Ova => Self::Ova,
            RawHost::Ovf => Self::Ovf,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum RawFormat {
    /// The disk's bytes, sparse
    Raw,
    /// QEMU's format, version 3
    Qcow2,
    /// VMware's format, as one file growing with its data
    Vmdk,
    /// Hyper-V's older format, which grows with its data
    Vhd,
    /// The disk and a VHD footer, as accepted by Azure
    VhdFixed,
    /// Hyper-V's format, which grows with its data
    Vhdx,
    /// VHDX with a place for every block
    VhdxFixed,
}
