//! Validation of `cloud`.

use std::time::SystemTime;

use seawall::cloud::Change;
use seawall::cloud::ec2::Region;
use seawall_api::moment;
use seawall_api::names::{ApplicationName, MachineName};

use super::reference::{Target, application, release};
use super::{Command, Reach, threads};
use crate::args::cloud::{ImagesArgs, PlaceArgs, PublishArgs, RawCloud, StatusArgs};
use crate::failure::Failure;

/// The digits of the number of an account.
const ACCOUNT_DIGITS: usize = 12;

/// A validated `cloud` command.
#[derive(Debug)]
pub(crate) enum Cloud {
    Publish(Publish),
    Status(ApplicationName, PlaceAt),
    Change(Images, Change),
    Remove(Images),
}

/// A region, and the address of its API.
#[derive(Clone, Debug)]
pub(crate) struct PlaceAt {
    pub(crate) region: Region,
    pub(crate) endpoint: Option<String>,
}

/// The images of a release at a place.
#[derive(Debug)]
pub(crate) struct Images {
    pub(crate) target: Target,
    pub(crate) place: PlaceAt,
    /// The machines; empty for all.
    pub(crate) machines: Vec<MachineName>,
}

/// A publication.
#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) target: Target,
    pub(crate) place: PlaceAt,
    /// The machines; empty for all.
    pub(crate) machines: Vec<MachineName>,
    pub(crate) dry_run: bool,
    pub(crate) threads: usize,
}

impl Cloud {
    /// Returns the name of the answer's schema.
    pub(super) fn schema(&self) -> &'static str {
        match self {
            Self::Publish(Publish { dry_run: true, .. }) => "cloud-plan",
            Self::Publish(_) => "cloud-publish",
            Self::Status(..) => "cloud-status",
            Self::Change(..) => "cloud-change",
            Self::Remove(_) => "cloud-rm",
        }
    }

    /// Returns the releases named by the command.
    pub(super) fn targets_mut(&mut self) -> Vec<&mut Target> {
        match self {
            Self::Publish(publish) => vec![&mut publish.target],
            Self::Status(..) => Vec::new(),
            Self::Change(images, _) | Self::Remove(images) => vec![&mut images.target],
        }
    }
}

pub(super) fn prove(raw: RawCloud) -> Result<Command, Failure> {
    match raw {
        RawCloud::Publish(args) => publish(args),
        RawCloud::Status(args) => status(args),
        RawCloud::Share { with, end, images } => {
            if with.len() != ACCOUNT_DIGITS || !with.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Failure::usage(
                    format!("`{}` is no number of an account", with.escape_debug()),
                    "an account of AWS has a number of 12 digits, as 111122223333",
                ));
            }
            changed(images, if end { Change::Unshare(with) } else { Change::Share(with) })
        }
        RawCloud::Deprecate { undo: true, images, .. } => changed(images, Change::Undeprecate),
        RawCloud::Deprecate { on, images, .. } => changed(images, Change::Deprecate(time(on)?)),
        RawCloud::Disable { images } => changed(images, Change::Disable),
        RawCloud::Enable { images } => changed(images, Change::Enable),
        RawCloud::Rm { images } => {
            let (reach, images) = of_release(images)?;
            Ok(Command::Cloud(reach, Cloud::Remove(images)))
        }
    }
}

/// Returns a time in RFC 3339: the typed one, or now.
fn time(typed: Option<String>) -> Result<String, Failure> {
    let secs = match typed {
        Some(text) => moment::parse(&text).ok_or_else(|| {
            let shown = text.escape_debug();
            Failure::usage(format!("`--on {shown}` is no time"), "write a date as 2027-03-01")
        })?,
        None => {
            let since = crate::now().duration_since(SystemTime::UNIX_EPOCH);
            since.map_or(0, |since| since.as_secs())
        }
    };
    Ok(moment::rfc3339(secs))
}

fn status(args: StatusArgs) -> Result<Command, Failure> {
    let (host, name) = application(&args.application)?;
    let reach = Reach { host, credentials: args.credentials };
    Ok(Command::Cloud(reach, Cloud::Status(name, place(&args.at, args.place)?)))
}

fn changed(args: ImagesArgs, change: Change) -> Result<Command, Failure> {
    let (reach, images) = of_release(args)?;
    Ok(Command::Cloud(reach, Cloud::Change(images, change)))
}

fn of_release(args: ImagesArgs) -> Result<(Reach, Images), Failure> {
    let (host, target) = release(&args.reference)?;
    let machines = args.machines.iter().map(|name| name.parse()).collect::<Result<Vec<_>, _>>()?;
    let images = Images { target, place: place(&args.at, args.place)?, machines };
    Ok((Reach { host, credentials: args.credentials }, images))
}

fn place(text: &str, args: PlaceArgs) -> Result<PlaceAt, Failure> {
    Ok(PlaceAt { region: text.parse()?, endpoint: args.endpoint })
}

fn publish(args: PublishArgs) -> Result<Command, Failure> {
    let (host, target) = release(&args.reference)?;
    let machines = args.machines.iter().map(|name| name.parse()).collect::<Result<Vec<_>, _>>()?;
    let publish = Publish {
        target,
        place: place(&args.to, args.place)?,
        machines,
        dry_run: args.dry_run,
        threads: threads(args.threads),
    };
    Ok(Command::Cloud(Reach { host, credentials: args.credentials }, Cloud::Publish(publish)))
}
