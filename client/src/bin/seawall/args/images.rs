//! The arguments of commands on disk images, and of every command that opens some.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Threads;

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
    /// Pad a VHD with zeros to a multiple of this, as Azure requires
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
    /// A folder or file that an image may name as its backing file, parent or extent, besides the
    /// image's own folder; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) allow_backing: Vec<PathBuf>,
    /// The directory for inflated copies of compressed disks [default: /var/tmp]
    #[arg(long, value_name = "DIR", env = "TMPDIR", hide_env_values = true)]
    pub(crate) scratch: Option<PathBuf>,
    /// Read a disk even if a machine has it open for writing; the data may be inconsistent
    #[arg(long)]
    pub(crate) allow_in_use: bool,
}

/// The units of `--round`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum RawRound {
    /// 1048576 bytes
    Mib,
}
