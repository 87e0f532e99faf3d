//! Validation of the commands on a single disk image.

use std::path::{Path, PathBuf};

use seawall::convert::Overwrite;
use seawall::disk::{DiskAccess, Scratch};
use seawall_api::names::{DiskName, MachineName};
use seawall_store::image::Format;
use seawall_store::image::layout::{ExportFormat, Round};

use super::reference::relative::parse;
use super::reference::{Target, target};
use super::{Command, Reach, threads};
use crate::args::images::{ConvertArgs, DiskArgs, InspectArgs, RawRound};
use crate::args::releases::ExportArgs;
use crate::failure::Failure;

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

pub(super) fn export(args: ExportArgs) -> Result<Command, Failure> {
    let (host, (reference, prefix)) = parse(&args.reference)?;
    let (Some(machine), Some(disk)) = (reference.machine.clone(), reference.disk.clone()) else {
        return Err(Failure::usage(
            format!("`{}` does not name a disk", args.reference),
            "write application:version/machine/disk; `seawall show` lists the disks",
        ));
    };
    let format = export_format(args.format, &args.output)?;
    let round = round(args.round, format)?;
    let reach = Reach { host, credentials: args.credentials };
    let export = Export {
        target: target((reference, prefix), &args.reference)?,
        machine,
        disk,
        format,
        round,
        output: (args.output.as_os_str() != "-").then_some(args.output),
        threads: threads(args.threads),
    };
    Ok(Command::Export(reach, export))
}

/// Returns the format to export: the given one, else that of the file's extension, else raw. An
/// extension of another format than the given one is refused, since it would mislead readers of the
/// file.
fn export_format(given: Option<ExportFormat>, output: &Path) -> Result<ExportFormat, Failure> {
    let Some(given) = given else {
        let has_extension = output.extension().is_some() && !is_device(output);
        return if has_extension { by_extension(output) } else { Ok(ExportFormat::Raw) };
    };
    match by_extension(output) {
        Ok(said) if family(said) != family(given) => Err(Failure::usage(
            format!("the extension of `{}` contradicts --format {given}", output.display()),
            format!("name the file `{}`", output.with_extension(family(given)).display()),
        )),
        _ => Ok(given),
    }
}

fn is_device(path: &Path) -> bool {
    path.starts_with("/dev")
}

/// Returns the usual extension of a format's files.
fn family(format: ExportFormat) -> &'static str {
    let name = format.name();
    name.split_once('-').map_or(name, |(family, _)| family)
}

pub(super) fn convert(args: ConvertArgs) -> Result<Command, Failure> {
    let ConvertArgs { image, out, format, from, round: to_round, force, disks, threads: count } =
        args;
    let (from_format, from) = disk(&image, from)?;
    let is_piped = out.as_os_str() == "-";
    let format = match format {
        Some(name) => name.parse().map_err(usage)?,
        None => by_extension(&out)?,
    };
    let overwrite = if force { Overwrite::Replace } else { Overwrite::Refuse };
    Ok(Command::Convert(Convert {
        from,
        from_format,
        access: disks.into(),
        to: (!is_piped).then_some((out, overwrite)),
        format,
        round: round(to_round, format)?,
        threads: threads(count),
    }))
}

/// Returns the rounding of a disk's length; fails if the format does not allow it.
fn round(raw: Option<RawRound>, format: ExportFormat) -> Result<Round, Failure> {
    let round = raw.map_or(Round::Exact, |RawRound::Mib| Round::UpToMib);
    format.check_round(round).map_err(|error| {
        let remedy = "omit --round, or use `--format vhd-fixed`, as Azure requires";
        Failure::usage(error.to_string(), remedy)
    })?;
    Ok(round)
}

/// Returns the format for a file's extension.
fn by_extension(out: &Path) -> Result<ExportFormat, Failure> {
    let extension = out.extension().and_then(|extension| extension.to_str());
    match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("raw" | "img") => Ok(ExportFormat::Raw),
        Some("qcow2") => Ok(ExportFormat::Qcow2),
        Some("vmdk") => Ok(ExportFormat::Vmdk),
        Some("vhd") => Ok(ExportFormat::Vhd),
        Some("vhdx") => Ok(ExportFormat::Vhdx),
        Some("ova" | "ovf") => Err(Failure::usage(
            format!(
                "`{}` is the name of a package, but this command writes one disk",
                out.display()
            ),
            "`seawall pull REFERENCE --as ova` writes a package of a release",
        )),
        _ => Err(Failure::usage(
            format!("the name `{}` does not determine the format to write", out.display()),
            format!("give --format: {}", ExportFormat::ALL.map(ExportFormat::name).join(", ")),
        )),
    }
}

pub(super) fn inspect(args: InspectArgs) -> Result<Command, Failure> {
    let InspectArgs { file, format, digest, disks, threads: count } = args;
    let (format, path) = disk(&file, format)?;
    let access = disks.into();
    Ok(Command::Inspect(Inspect { path, format, access, digest, threads: threads(count) }))
}

/// Parses a disk given as `[FORMAT:]PATH`, or with a flag for the format.
fn disk(text: &Path, flag: Option<String>) -> Result<(Option<Format>, PathBuf), Failure> {
    match flag {
        Some(name) => Ok((Some(name.parse().map_err(usage)?), text.to_owned())),
        None => {
            let (format, path) = Format::split_path(text.as_os_str());
            if let (None, false, Some(text)) = (format, path.exists(), text.to_str()) {
                refuse_unknown(text)?;
            }
            Ok((format, path))
        }
    }
}

/// Fails if `text` is `NAME:PATH`, the path exists, and `NAME` is not a format.
fn refuse_unknown(text: &str) -> Result<(), Failure> {
    match text.split_once(':') {
        Some((name, path)) if Path::new(path).exists() => {
            name.parse::<Format>().map(|_| ()).map_err(usage)
        }
        _ => Ok(()),
    }
}

impl From<DiskArgs> for DiskAccess {
    fn from(args: DiskArgs) -> Self {
        let DiskArgs { allow_backing, scratch, allow_in_use } = args;
        let scratch = scratch.filter(|folder| !folder.as_os_str().is_empty());
        let scratch = scratch.map_or_else(Scratch::default, Scratch::new);
        Self { allowed: allow_backing, scratch, allow_in_use }
    }
}

/// Returns the failure for an unknown format; the error lists the known ones.
fn usage(error: impl std::fmt::Display) -> Failure {
    Failure::usage(error.to_string(), "docs/images.md describes each format")
}
