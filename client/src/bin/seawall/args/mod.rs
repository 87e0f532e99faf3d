//! The raw command line, as text, with the help of commands and options. `command` validates the
//! text.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

pub(crate) mod audit;
pub(crate) mod bundle;
pub(crate) mod cloud;
mod global;
pub(crate) mod help;
pub(crate) mod images;
pub(crate) mod look;
pub(crate) mod maintenance;
pub(crate) mod mirrors;
pub(crate) mod releases;
pub(crate) mod retention;
#[cfg(feature = "server")]
pub(crate) mod serve;
pub(crate) mod tokens;

pub(crate) use global::{Credentials, Digests, Global, ListFormat, Listing, Threads};

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
            Self::Audit(raw) => return raw.listing(),
            Self::Token(raw) => return raw.listing(),
            Self::Mirror(raw) => return raw.listing(),
            _ => return Listing::default(),
        };
        listing.clone()
    }
}

#[derive(Subcommand, Debug)]
pub(crate) enum RawCommand {
    /// Push a release from disks of any format, or an OVF or OVA package
    Push(releases::PushArgs),
    /// Pull a release into a directory, verified, all or nothing
    Pull(releases::PullArgs),
    /// Describe the machines of a pulled release for a hypervisor
    Describe(releases::DescribeArgs),
    /// Write one disk of a release to a file or a pipe, in any format
    Export(releases::ExportArgs),
    /// Move a pulled release to another in place; fetch only the changes
    Patch(releases::PatchArgs),
    /// Compare two releases, and show the download of a patch
    Diff(look::DiffArgs),
    /// List applications, or the releases of one
    List(look::ListArgs),
    /// Show the machines and disks of a release
    Show(look::ShowArgs),
    /// List the channels of an application, or the moves of one
    Channels(look::ChannelsArgs),
    /// Copy releases and channels to another registry or a depot
    Copy(releases::CopyArgs),
    /// Carry releases in files to a place without a network
    #[command(subcommand)]
    Bundle(bundle::RawBundle),
    /// Point a channel at a release
    Promote(look::PromoteArgs),
    /// Delete a release that nothing holds; its version is never reused
    Rm(retention::RmArgs),
    /// Keep a release until its pin is removed
    Pin(retention::PinArgs),
    /// Remove a pin
    Unpin(retention::UnpinArgs),
    /// Show this host's releases, modified disks and lag behind channels
    Status(retention::StatusArgs),
    /// Report this host's releases, so that the registry keeps them
    Report(retention::ReportArgs),
    /// List which host runs which release
    Hosts(retention::HostsArgs),
    /// Set which releases to keep, and delete the others
    Retention(retention::RetentionArgs),
    /// Hash a pulled directory, or a release in the registry, again
    Verify(releases::VerifyArgs),
    /// Delete data from the registry that no release references
    Gc(maintenance::GcArgs),
    /// Write a disk image in another format, without a registry
    Convert(images::ConvertArgs),
    /// Show the format and contents of a disk image, without a registry
    Inspect(images::InspectArgs),
    /// Check every object, reference and row of a registry; resumable
    Fsck(maintenance::FsckArgs),
    /// Restore lost data of a registry from other sources
    Repair(maintenance::RepairArgs),
    /// Show the long work of a registry, and how far it is
    Jobs(maintenance::JobsArgs),
    /// Copy a registry's catalog into a file while it is in use
    Backup(maintenance::BackupArgs),
    /// Rebuild a registry's catalog from its store
    #[cfg(feature = "server")]
    Recover(maintenance::RecoverArgs),
    /// Rehearse a recovery and verify releases; change nothing
    #[cfg(feature = "server")]
    Drill(maintenance::DrillArgs),
    /// Move a registry to another store or catalog, and back; resumable
    #[cfg(feature = "server")]
    Relocate(Box<maintenance::RelocateArgs>),
    #[command(flatten)]
    Audit(audit::RawAudit),
    /// Copy releases from or to another registry by themselves (mirrors)
    #[command(subcommand, arg_required_else_help = true)]
    Mirror(mirrors::RawMirrors),
    /// Make releases into images of a cloud, and manage them
    #[command(subcommand, arg_required_else_help = true)]
    Cloud(cloud::RawCloud),
    /// Create, list and revoke access tokens
    #[command(subcommand, arg_required_else_help = true)]
    Token(tokens::RawTokens),
    /// Serve a registry from a directory
    #[cfg(feature = "server")]
    Serve(serve::ServeArgs),
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
