//! The raw command line, as text, with the help of commands and options. `command.rs` validates the
//! text.

#[cfg(feature = "server")]
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
#[cfg(feature = "server")]
use seawall_server::config::DEFAULT_PORT;
use seawall_store::image::layout::ExportFormat;

pub(crate) mod definition;
mod examples;
mod global;
mod groups;
pub(crate) mod pages;
mod upkeep;

pub(crate) use global::{Credentials, Digests, Global, ListFormat, Listing};
pub(crate) use upkeep::{BackupArgs, FsckArgs, RepairArgs};
#[cfg(feature = "server")]
pub(crate) use upkeep::{DrillArgs, RecoverArgs};
pub(crate) mod fleet;
pub(crate) mod watch;

/// The exit statuses, on `--help` and on every man page.
const EXIT_STATUS: &str = "  0    done
  1    failed for another reason
  2    wrong usage: an argument, an application.toml or an image file cannot be right
  3    not found: application, release, channel or file
  4    conflict: the version is taken, the channel moved, something holds the release, a disk is
       in use or modified by a guest
  5    damaged: bytes are not what their digest says
  6    the registry cannot be reached, or it or a disk cannot serve now
  7    denied: by the registry (the token) or by this host (owner and mode of a file)
  8    no space left, here or at the registry
  129  the same as 130, by SIGHUP, unless it is ignored as under nohup
  130  interrupted: push, pull, patch and repair resume; what convert and export wrote is removed
  141  the reader of standard output went away (export, convert)
  143  the same as 130, by SIGTERM";

/// The explanation of references and tokens, on `--help` and on the man page.
const REFERENCES: &str = "\
A REFERENCE names a release: application:version, application:channel or
application@blake3:DIGEST (8 digits or more, as far as they are unique), with [host[:port]/]
before it and [/machine] after it where that makes sense. A REFERENCE that begins with : or @ is
of the release in the current directory. The registry is, in this order: --registry,
SEAWALL_REGISTRY, the reference's host or where the directory was pulled from, the configuration
file.

SEAWALL_TOKEN may hold the token, and SEAWALL_TOKEN_FILE name its file: both are for the registry
that --registry, SEAWALL_REGISTRY or the configuration file names, and are sent to no other.";

/// A version-managed repository for virtual machine images.
#[derive(Parser, Debug)]
#[command(name = "seawall", version, disable_help_flag = true, subcommand_required = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: RawCommand,
}

impl RawCommand {
    /// Returns the options for the command's list; the defaults for a command without a list.
    pub(crate) fn listing(&self) -> Listing {
        let listing = match self {
            Self::List(args) => &args.listing,
            Self::Channels(args) => &args.listing,
            Self::Hosts(args) => &args.listing,
            Self::Watch(raw) => return raw.listing(),
            _ => return Listing::default(),
        };
        listing.clone()
    }
}

#[derive(Subcommand, Debug)]
pub(crate) enum RawCommand {
    /// Push a release from disks of any format, or an OVF or OVA package
    Push(PushArgs),
    /// Pull a release into a directory, verified, all or nothing
    Pull(PullArgs),
    /// Describe the machines of a pulled release for a hypervisor
    Describe(DescribeArgs),
    /// Write one disk of a release to a file or a pipe, in any format
    Export(ExportArgs),
    /// Move a pulled release to another in place; fetch only the changes
    Patch(PatchArgs),
    /// Compare two releases; say what patching from A to B downloads
    Diff(DiffArgs),
    /// List applications, or the releases of one
    List(ListArgs),
    /// Show the machines and disks of a release
    Show(ShowArgs),
    /// List the channels of an application, or the moves of one
    Channels(ChannelsArgs),
    /// Point a channel at a release
    Promote(PromoteArgs),
    /// Delete a release that nothing holds; its version stays taken
    Rm(fleet::RmArgs),
    /// Keep a release until its pin is removed
    Pin(fleet::PinArgs),
    /// Remove a pin
    Unpin(fleet::UnpinArgs),
    /// Show this host's releases, modified disks and lag behind channels
    Status(fleet::StatusArgs),
    /// Report this host's releases, so that the registry keeps them
    Report(fleet::ReportArgs),
    /// List which host runs which release
    Hosts(fleet::HostsArgs),
    /// Set which releases to keep, and delete the others
    Retention(fleet::RetentionArgs),
    /// Rehash a pulled directory, or a release in the registry
    Verify(VerifyArgs),
    /// Delete data from the registry that no release references
    Gc(GcArgs),
    /// Write a disk image in another format; needs no registry
    Convert(ConvertArgs),
    /// Show the format and contents of a disk image; needs no registry
    Inspect(InspectArgs),
    /// Check every object, reference and row of a registry; resumable
    Fsck(FsckArgs),
    /// Restore what a registry lost from another or from pulled disks
    Repair(RepairArgs),
    /// Copy a registry's catalog into a file while it is in use
    Backup(BackupArgs),
    /// Rebuild a registry's catalog from its store
    #[cfg(feature = "server")]
    Recover(RecoverArgs),
    /// Rehearse a recovery and verify releases; changes nothing
    #[cfg(feature = "server")]
    Drill(DrillArgs),
    #[command(flatten)]
    Watch(watch::RawWatch),
    /// Serve a registry from a directory
    #[cfg(feature = "server")]
    Serve(ServeArgs),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the man page, or write every page into a directory
    Man {
        /// The directory for the pages; created if need be
        dir: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
pub(crate) struct PushArgs {
    /// The release to make: application:version
    pub(crate) reference: String,
    /// A package to push: NAME.ova, or NAME.ovf with its files in the same folder
    #[arg(value_name = "PACKAGE", conflicts_with_all = ["machines", "file"])]
    pub(crate) package: Option<PathBuf>,
    /// A machine and its disks: NAME=[DISK:][FORMAT:]PATH[,…]; once for each machine
    #[arg(long = "machine", value_name = "NAME=DISKS", conflicts_with = "file")]
    pub(crate) machines: Vec<String>,
    /// The description of the machines [default: application.toml, where nothing is named]
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
    /// Pad a VHD with zeros to a multiple of this, as Azure demands
    #[arg(long, value_enum, value_name = "UNIT")]
    pub(crate) round: Option<RawRound>,
    /// The file to make, or `-` for standard output
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
pub(crate) struct DiffArgs {
    /// The release to compare from, or the directory of a pulled release
    #[arg(value_name = "DIR|REFERENCE")]
    pub(crate) from: String,
    /// The release to compare to; a version, channel or digest alone belongs to the same
    /// application [default: the channel that DIR follows; a REFERENCE alone is compared to, from
    /// the release in the current directory]
    #[arg(value_name = "REFERENCE|VERSION|CHANNEL")]
    pub(crate) to: Option<String>,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// The application whose releases to list
    pub(crate) application: Option<String>,
    #[command(flatten)]
    pub(crate) listing: Listing,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// The release
    pub(crate) reference: String,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct ChannelsArgs {
    /// The application
    pub(crate) application: String,
    /// The channel whose moves to list
    pub(crate) channel: Option<String>,
    #[command(flatten)]
    pub(crate) listing: Listing,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct PromoteArgs {
    /// The release to point at
    pub(crate) reference: String,
    /// The channel
    pub(crate) channel: String,
    /// The channel's expected sequence number, or `new` for a channel not there yet [default: the
    /// state when the command starts]
    #[arg(long, value_name = "SEQUENCE|new")]
    pub(crate) expect: Option<String>,
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

#[derive(Args, Debug)]
pub(crate) struct GcArgs {
    /// Print the bytes to be removed, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Rewrite packs of which less than this is reachable; 100 leaves nothing unreachable
    /// [default: 60]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) live_percent: Option<u8>,
    /// Copy at most this much while packs are rewritten
    #[arg(long, value_name = "MIB/S", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: Option<u64>,
    /// Scan even if nothing was deleted and no push failed since the last collection
    #[arg(long)]
    pub(crate) force: bool,
    /// Return once the collection has started; a registry in a directory hosted by this command is
    /// waited for all the same
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct ConvertArgs {
    /// The image; its format is detected, or given as raw:PATH, qcow2:PATH, …
    #[arg(value_name = "[FORMAT:]IN")]
    pub(crate) image: PathBuf,
    /// The file to write, or - for standard output
    #[arg(value_name = "OUT")]
    pub(crate) out: PathBuf,
    /// The format to write: raw, qcow2, qcow2-zstd, qcow2-zlib, vmdk, vmdk-stream, vhd, vhd-fixed,
    /// vhdx or vhdx-fixed [default: by the extension of OUT]
    #[arg(long)]
    pub(crate) format: Option<String>,
    /// Read IN as this format, whatever its content; the same as FORMAT:IN
    #[arg(long, value_name = "FORMAT")]
    pub(crate) from: Option<String>,
    /// Pad a VHD with zeros to a multiple of this, as Azure demands
    #[arg(long, value_enum, value_name = "UNIT")]
    pub(crate) round: Option<RawRound>,
    /// Replace an existing OUT once the new file is complete
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) disks: DiskArgs,
    #[command(flatten)]
    pub(crate) threads: Threads,
}

#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    /// The image; its format is detected, or given as raw:PATH, qcow2:PATH, …
    #[arg(value_name = "[FORMAT:]FILE")]
    pub(crate) file: PathBuf,
    /// Read FILE as this format, whatever its content; the same as FORMAT:FILE
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// Read the whole disk and print its digest
    #[arg(long)]
    pub(crate) digest: bool,
    #[command(flatten)]
    pub(crate) disks: DiskArgs,
    #[command(flatten)]
    pub(crate) threads: Threads,
}

/// The options for opening disk images.
#[derive(Args, Debug)]
pub(crate) struct DiskArgs {
    /// A folder or file an image may name as its backing file, parent or extent, besides the
    /// image's own folder; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) allow_backing: Vec<PathBuf>,
    /// The directory for inflated copies of compressed disks [default: /var/tmp]
    #[arg(long, value_name = "DIR", env = "TMPDIR", hide_env_values = true)]
    pub(crate) scratch: Option<PathBuf>,
    /// Read a disk even if open for writing by a machine; the data may be inconsistent
    #[arg(long)]
    pub(crate) allow_in_use: bool,
}

#[cfg(feature = "server")]
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// The registry's data directory; created if need be
    pub(crate) data: PathBuf,
    /// The address to listen on; anything but loopback needs --token-file
    #[arg(long, value_name = "IP:PORT", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)))]
    pub(crate) listen: SocketAddr,
    /// The file of accepted tokens, with `NAME ROLE TOKEN` on each line; ROLE is reader or
    /// publisher
    #[arg(long, value_name = "TOKENS")]
    pub(crate) token_file: Option<PathBuf>,
    /// The time a collection waits for a push or pull gone silent
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(10..=86400))]
    pub(crate) lease_ttl: u64,
    /// The space to keep free on the disk, as a size (10GiB) or a share (5%): uploads that would
    /// leave less are refused, other requests are not [default: 5%, or 1GiB if less]
    #[arg(long, value_name = "SIZE|PERCENT")]
    pub(crate) min_free: Option<String>,
    /// The request limit of each token: requests a second, and requests at once [default: no limit]
    #[arg(long, value_name = "RATE[:BURST]")]
    pub(crate) rate_limit: Option<String>,
    /// The request limit of each application
    #[arg(long, value_name = "RATE[:BURST]")]
    pub(crate) application_rate_limit: Option<String>,
    /// Send events to private addresses, too; always allowed without --token-file
    #[arg(long)]
    pub(crate) private_webhooks: bool,
    /// Collect unreferenced data at this interval [default: when `seawall gc` asks]
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u64).range(1..=8760))]
    pub(crate) collect_every: Option<u64>,
    /// The format of the log on standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// Returns the parser for a format to write; help and completion list all names.
fn export_formats() -> impl TypedValueParser<Value = ExportFormat> {
    PossibleValuesParser::new(ExportFormat::ALL.map(ExportFormat::name))
        .try_map(|name| name.parse::<ExportFormat>())
}

/// The option for the number of threads.
#[derive(Args, Debug, Clone, Copy, Default)]
pub(crate) struct Threads {
    /// Threads for hashing and compression [default: one per processor]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
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

/// The units of `--round`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum RawRound {
    /// 1048576 bytes
    Mib,
}

#[cfg(feature = "server")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// A JSON object per line
    Json,
}
