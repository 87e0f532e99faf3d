//! Validation of `seawall push`.

use std::path::{Path, PathBuf};

use seawall::disk::DiskAccess;
use seawall::ovf;
use seawall::spec::ReleaseSpec;
use seawall::spec::file;
use seawall::spec::flags::{self, MachineFlag};
use seawall_api::names::{ApplicationName, Version};
use seawall_api::reference::Selector;

use super::reference::{Target, prefix, release};
use super::{Command, Reach, threads};
use crate::args::releases::PushArgs;
use crate::failure::Failure;

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

pub(super) fn push(args: PushArgs) -> Result<Command, Failure> {
    if !args.reference.contains([':', '@']) {
        return Err(no_release(&args.reference));
    }
    let (host, target) = release(&args.reference)?;
    let version = match &target.selector {
        Selector::Version(version) => version.clone(),
        named => return Err(no_version(&args.reference, &target.application, named)),
    };
    let package = args.package.as_deref().map(ovf::Package::open).transpose()?;
    let spec = match (&package, &args.file) {
        (Some(package), _) => package.spec().clone(),
        (None, Some(path)) => file::read(path)?,
        (None, None) if args.machines.is_empty() => file::read(&usual_file(&args.reference)?)?,
        (None, None) => {
            let machines = args.machines.iter().map(|flag| flag.parse());
            let machines: Vec<MachineFlag> = machines.collect::<Result<_, _>>()?;
            refuse_twice(&machines)?;
            flags::describe(machines)?
        }
    };
    let parent = args.parent.as_deref().map(|text| parent(&target.application, text));
    let push = Push {
        spec,
        package,
        access: args.disks.into(),
        version,
        parent: parent.transpose()?,
        application: target.application,
        full_scan: args.full_scan,
        threads: threads(args.threads),
    };
    Ok(Command::Push(Reach { host, credentials: args.credentials }, Box::new(push)))
}

/// Returns the failure for a first argument that names no release.
fn no_release(text: &str) -> Failure {
    let shown = text.escape_debug();
    if Path::new(text).is_file() {
        return Failure::usage(
            format!("`{shown}` is a file, but the first argument of a push is the new release"),
            format!("write `seawall push APPLICATION:1.0.0 --machine web={shown}`"),
        );
    }
    match text.parse::<ApplicationName>() {
        Ok(name) => Failure::usage(
            format!("`{name}` names an application without a version"),
            format!("name the version to publish, as in `seawall push {name}:1.0.0`"),
        ),
        Err(error) => error.into(),
    }
}

/// Fails if two flags describe one machine.
fn refuse_twice(machines: &[MachineFlag]) -> Result<(), Failure> {
    let duplicate = machines.iter().enumerate().find_map(|(at, flag)| {
        machines[..at].iter().any(|other| other.name == flag.name).then_some(&flag.name)
    });
    duplicate.map_or(Ok(()), |name| {
        Err(Failure::usage(
            format!("the machine `{name}` is given twice"),
            format!("give all of its disks at once: `--machine {name}=FIRST,SECOND`"),
        ))
    })
}

/// Returns the failure for a reference without a version, with a likely correction.
fn no_version(text: &str, application: &ApplicationName, named: &Selector) -> Failure {
    let what = format!("`{text}` does not name a version");
    let bare = named.to_string();
    let bare = bare.trim_start_matches(|c: char| !c.is_ascii_digit());
    let remedy = match named {
        Selector::Channel(_) if !bare.is_empty() => {
            format!("a version begins with a digit: {application}:{bare}")
        }
        Selector::Channel(channel) => format!(
            "push a version, as in {application}:1.0.0, then `seawall promote \
             {application}:1.0.0 {channel}`"
        ),
        _ => format!("push a version, as in {application}:1.0.0"),
    };
    Failure::usage(what, remedy)
}

/// Returns `application.toml` in the current directory, used if a push names no disks.
fn usual_file(text: &str) -> Result<PathBuf, Failure> {
    let usual = PathBuf::from("application.toml");
    if usual.is_file() {
        return Ok(usual);
    }
    Err(Failure::usage(
        "no disks are named, and the current directory has no application.toml",
        format!(
            "name disks: `seawall push {text} --machine web=disk.qcow2`; or a package: `seawall \
             push {text} appliance.ova`; or a description: `seawall push {text} --file FILE`"
        ),
    ))
}

/// Parses a release of the same application, written without the application's name.
fn parent(application: &ApplicationName, text: &str) -> Result<Target, Failure> {
    let (selector, prefix) = match prefix::fill_up(text)? {
        Some((filled, prefix)) => (filled.parse()?, Some(prefix)),
        None => (text.parse()?, None),
    };
    Ok(Target { application: application.clone(), selector, prefix })
}
