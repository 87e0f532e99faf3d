//! Validation of `mirror`.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use seawall::registry::Token;
use seawall_api::names::MirrorName;
use seawall_api::v1::{MirrorDirection, NewMirror};

use super::{Command, Reach};
use crate::args::mirrors::{MirrorAddArgs, RawMirrors};
use crate::failure::Failure;
use crate::size;

/// The longest file read for a token, in bytes.
const TOKEN_FILE_LEN_MAX: u64 = 8192;

/// A validated `mirror` command.
pub(crate) enum Mirrors {
    Add(Box<NewMirror>),
    List,
    Run(MirrorName),
    Status(MirrorName),
    Remove(MirrorName),
}

impl fmt::Debug for Mirrors {
    /// Omits the token of a new mirror.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(new) => {
                let direction = new.direction.as_str();
                write!(f, "Add({} {direction} {} {:?}", new.name, new.url, new.applications)?;
                write!(f, " {:?} {} {:?}", new.channels, new.every_secs, new.bytes_per_sec_max)?;
                write!(f, " {} {})", new.deletes, new.overrides_channels)
            }
            Self::List => f.write_str("List"),
            Self::Run(name) => write!(f, "Run({name})"),
            Self::Status(name) => write!(f, "Status({name})"),
            Self::Remove(name) => write!(f, "Remove({name})"),
        }
    }
}

impl Mirrors {
    /// Returns the name of the answer's schema.
    pub(super) fn schema(&self) -> &'static str {
        match self {
            Self::Add(_) | Self::Run(_) | Self::Status(_) => "mirror",
            Self::List => "mirrors",
            Self::Remove(_) => "mirror-removed",
        }
    }
}

pub(super) fn prove(raw: RawMirrors) -> Result<Command, Failure> {
    let (credentials, order) = match raw {
        RawMirrors::Add(args) => return add(args),
        RawMirrors::List { credentials, .. } => (credentials, Mirrors::List),
        RawMirrors::Run { name, credentials } => (credentials, Mirrors::Run(mirror(&name)?)),
        RawMirrors::Status { name, credentials } => (credentials, Mirrors::Status(mirror(&name)?)),
        RawMirrors::Remove { name, credentials } => (credentials, Mirrors::Remove(mirror(&name)?)),
    };
    Ok(Command::Mirrors(Reach { host: None, credentials }, order))
}

fn mirror(text: &str) -> Result<MirrorName, Failure> {
    text.parse().map_err(|error| {
        Failure::usage(format!("{error}"), "`seawall mirror list` shows the mirrors there are")
    })
}

fn add(args: MirrorAddArgs) -> Result<Command, Failure> {
    let (direction, url) = match (args.from, args.to) {
        (Some(url), _) => (MirrorDirection::From, url),
        (None, to) => (MirrorDirection::To, to.unwrap_or_default()),
    };
    let pattern = |text: &String| {
        text.trim().parse().map_err(|error| {
            Failure::usage(format!("--apps: {error}"), "write names as shop, 'team/*', or '*'")
        })
    };
    let channel = |text: &String| {
        text.trim().parse().map_err(|error| {
            Failure::usage(format!("--channels: {error}"), "write names as stable,beta")
        })
    };
    let every_secs =
        size::duration_secs(&args.every).filter(|secs| *secs > 0).ok_or_else(|| {
            let what = format!("`--every {}` is not an interval", args.every.escape_debug());
            Failure::usage(what, "write 90s, 15m, 12h or 7d")
        })?;
    let new = NewMirror {
        name: mirror(&args.name)?,
        direction,
        url,
        applications: args.apps.iter().map(pattern).collect::<Result<_, _>>()?,
        channels: args.channels.iter().map(channel).collect::<Result<_, _>>()?,
        every_secs,
        bytes_per_sec_max: args.limit.as_deref().map(rate).transpose()?,
        deletes: args.delete,
        overrides_channels: args.override_channels,
        token: args.remote_token_file.as_deref().map(token_in).transpose()?,
    };
    let reach = Reach { host: None, credentials: args.credentials };
    Ok(Command::Mirrors(reach, Mirrors::Add(Box::new(new))))
}

/// Parses a rate such as `200MiB/s` into bytes per second.
fn rate(text: &str) -> Result<u64, Failure> {
    size::parse(text.strip_suffix("/s").unwrap_or(text)).filter(|rate| *rate > 0).ok_or_else(|| {
        let what = format!("`--limit {}` is not a rate", text.escape_debug());
        Failure::usage(what, "write a size for each second, such as 200MiB/s")
    })
}

/// Reads the token that the registry is to keep.
fn token_in(path: &Path) -> Result<String, Failure> {
    let cannot =
        |error| Failure::io(&format!("cannot read the token in {}", path.display()), &error);
    let mut text = String::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(TOKEN_FILE_LEN_MAX).read_to_string(&mut text).map_err(cannot)?;
    let text = text.trim().to_owned();
    match Token::parse(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::usage(
            format!("{}: {error}", path.display()),
            "`seawall token create --output FILE` at the other registry makes such a file",
        )),
    }
}
