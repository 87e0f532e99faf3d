//! `seawall channels APPLICATION [CHANNEL]` and `seawall promote REFERENCE CHANNEL`.

use seawall::registry::Expect;
use seawall::resolve::document;
use seawall_api::names::{ApplicationName, ChannelName};
use seawall_api::reference::Selector;
use seawall_api::v1::{Channel, ChannelMove};
use serde::Serialize;

use crate::command::Promote;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{Cell, Column, List, answer, answer_list, column};

#[derive(Serialize)]
struct Channels {
    application: ApplicationName,
    channels: Vec<Channel>,
}

#[derive(Serialize)]
struct History {
    application: ApplicationName,
    channel: ChannelName,
    moves: Vec<ChannelMove>,
}

#[derive(Serialize)]
struct Promoted {
    application: ApplicationName,
    /// True if the channel pointed to the release already and was not moved.
    #[serde(rename = "alreadyThere")]
    already_there: bool,
    channel: Channel,
}

pub(crate) async fn channels(
    context: &Context,
    application: ApplicationName,
) -> Result<(), Failure> {
    let channels = context.registry.channels(&application).await?;
    answer_list(context.style, &Channels { application, channels }, channels_list)
}

pub(crate) async fn history(
    context: &Context,
    application: ApplicationName,
    channel: ChannelName,
) -> Result<(), Failure> {
    let moves = context.registry.channel_history(&application, &channel).await?;
    answer_list(context.style, &History { application, channel, moves }, history_list)
}

pub(crate) async fn promote(context: &Context, promote: Promote) -> Result<(), Failure> {
    let Promote { target, channel, expect } = promote;
    let application = target.application;
    let release = match target.selector {
        Selector::Digest(digest) => digest,
        named => document(context.registry.as_ref(), &application, &named).await?.digest(),
    };
    let expect = match expect {
        Some(expect) => expect,
        // Still a compare-and-set: a move between this read and the update is refused.
        None => match context.registry.channel(&application, &channel).await? {
            Some(channel) if channel.release == release => {
                let promoted = Promoted { application, already_there: true, channel };
                return answer(context.style, &promoted, promoted_text);
            }
            Some(channel) => Expect::Sequence(channel.sequence),
            None => Expect::New,
        },
    };
    let channel = context.registry.move_channel(&application, &channel, expect, release).await?;
    let promoted = Promoted { application, already_there: false, channel };
    answer(context.style, &promoted, promoted_text)
}

const CHANNELS: &[Column] = &[
    column("channel", 0),
    column("version", 0),
    column("sequence", 2),
    column("moved", 2),
    column("release", 1),
];

const MOVES: &[Column] = &[
    column("sequence", 0),
    column("version", 0),
    column("moved", 1),
    column("by", 1),
    column("release", 2),
];

fn channels_list(list: &Channels) -> List<'static> {
    let rows = list.channels.iter().map(|channel| {
        vec![
            Cell::from(&channel.name),
            Cell::from(&channel.version),
            Cell::Number(channel.sequence),
            Cell::Moment(channel.moved_at_secs),
            Cell::from(&channel.release),
        ]
    });
    let above = match list.channels.is_empty() {
        true => format!(
            "{0} has no channels; `seawall promote {0}:VERSION CHANNEL` creates one\n",
            list.application
        ),
        false => String::new(),
    };
    List { columns: CHANNELS, rows: rows.collect(), above, below: String::new() }
}

fn history_list(history: &History) -> List<'static> {
    let rows = history.moves.iter().map(|step| {
        vec![
            Cell::Number(step.sequence),
            Cell::from(&step.version),
            Cell::Moment(step.moved_at_secs),
            Cell::from(step.moved_by.clone()),
            Cell::from(&step.release),
        ]
    });
    List { columns: MOVES, rows: rows.collect(), above: String::new(), below: String::new() }
}

fn promoted_text(promoted: &Promoted) -> String {
    let Promoted { application, already_there, channel } = promoted;
    let Channel { name, version, release, sequence, .. } = channel;
    let verb = if *already_there { "already points" } else { "now points" };
    format!("{application}:{name} {verb} at {version} ({release}), sequence {sequence}\n")
}

#[cfg(test)]
mod tests {
    use seawall_api::digest::ReleaseDigest;

    use super::*;

    fn channel() -> Channel {
        Channel {
            name: "stable".parse().unwrap(),
            release: ReleaseDigest::from_bytes([1; 32]),
            version: "1.0".parse().unwrap(),
            sequence: 3,
            moved_at_secs: 0,
        }
    }

    #[test]
    fn channels_and_moves_are_listed_a_line_each() {
        let digest = format!("blake3:{}", "01".repeat(32));
        let application: ApplicationName = "web".parse().unwrap();
        let list = Channels { application: application.clone(), channels: vec![channel()] };
        assert_eq!(
            channels_list(&list).text(),
            format!(
                "CHANNEL  VERSION  SEQUENCE  MOVED                 RELEASE\n\
                 stable   1.0      3         1970-01-01 00:00:00Z  {digest}\n"
            )
        );
        let Channel { name, release, version, sequence, moved_at_secs } = channel();
        let step =
            ChannelMove { sequence, release, version, moved_at_secs, moved_by: "ci".to_owned() };
        let history = History { application, channel: name, moves: vec![step] };
        assert_eq!(
            history_list(&history).text(),
            format!(
                "SEQUENCE  VERSION  MOVED                 BY  RELEASE\n\
                 3         1.0      1970-01-01 00:00:00Z  ci  {digest}\n"
            )
        );
    }
}
