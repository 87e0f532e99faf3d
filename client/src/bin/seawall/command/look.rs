//! Validation of `seawall list`, `show`, `channels` and `promote`.

use seawall::registry::Expect;
use seawall_api::names::ChannelName;

use super::reference::{Target, application, release};
use super::{Command, Reach};
use crate::args::look::{ChannelsArgs, ListArgs, PromoteArgs, ShowArgs};
use crate::failure::Failure;

#[derive(Debug)]
pub(crate) struct Promote {
    pub(crate) target: Target,
    pub(crate) channel: ChannelName,
    /// The expected state of the channel; `None` for its state when the command runs.
    pub(crate) expect: Option<Expect>,
}

pub(super) fn list(args: ListArgs) -> Result<Command, Failure> {
    let credentials = args.credentials;
    let Some(text) = args.application else {
        return Ok(Command::Applications(Reach { host: None, credentials }));
    };
    let (host, application) = application(&text)?;
    Ok(Command::Releases(Reach { host, credentials }, application))
}

pub(super) fn channels(args: ChannelsArgs) -> Result<Command, Failure> {
    let (host, application) = application(&args.application)?;
    let reach = Reach { host, credentials: args.credentials };
    Ok(match args.channel {
        Some(channel) => Command::History(reach, application, channel.parse()?),
        None => Command::Channels(reach, application),
    })
}

pub(super) fn promote(args: PromoteArgs) -> Result<Command, Failure> {
    let PromoteArgs { reference, channel, .. } = &args;
    if !reference.contains([':', '@']) && channel.contains([':', '@']) {
        return Err(Failure::usage(
            format!("`{}` does not name a release", reference.escape_debug()),
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
                    format!("`--expect {}` is not a sequence number", text.escape_debug()),
                    "give `new` or a number that `seawall channels APPLICATION` shows",
                )
            })?;
            Some(Expect::Sequence(number))
        }
    };
    let promote = Promote { target, channel: args.channel.parse()?, expect };
    Ok(Command::Promote(Reach { host, credentials: args.credentials }, promote))
}

pub(super) fn show(args: ShowArgs) -> Result<Command, Failure> {
    let (host, target) = release(&args.reference)?;
    Ok(Command::Show(Reach { host, credentials: args.credentials }, target))
}
