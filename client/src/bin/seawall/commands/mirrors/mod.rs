//! `seawall mirror add|list|run|status|remove`.

#[cfg(feature = "server")]
pub(crate) mod carrier;

use std::time::Duration;

use seawall_api::names::MirrorName;
use seawall_api::units::HumanBytes;
use seawall_api::v1::{Mirror, MirrorDirection, NewMirror};
use serde::Serialize;

use super::Context;
use crate::command::mirrors::Mirrors;
use crate::failure::Failure;
use crate::output::{Cell, Column, List, answer, answer_list, column, count, moment};

/// The interval of looks at a run.
const POLL_EVERY: Duration = Duration::from_millis(500);
/// The time in which a registry that is served begins a run.
const BEGINS_WITHIN: Duration = Duration::from_secs(15);

#[derive(Serialize)]
struct Listed {
    mirrors: Vec<Mirror>,
}

#[derive(Serialize)]
struct Removed {
    mirror: MirrorName,
}

/// Runs a `mirror` command.
pub(super) async fn run(context: &Context, order: Mirrors) -> Result<(), Failure> {
    match order {
        Mirrors::Add(new) => add(context, &new).await,
        Mirrors::List => list(context).await,
        Mirrors::Run(name) => run_now(context, &name).await,
        Mirrors::Status(name) => status(context, &name).await,
        Mirrors::Remove(name) => remove(context, name).await,
    }
}

async fn add(context: &Context, new: &NewMirror) -> Result<(), Failure> {
    let mirror = context.registry.add_mirror(new).await?;
    answer(context.style, &mirror, |mirror| {
        let Mirror { name, url, every_secs, .. } = mirror;
        let direction = mirror.direction.as_str();
        format!(
            "mirror {name} copies {direction} {url} every {every_secs} seconds; `seawall mirror \
             status {name}` shows how far it is\n"
        )
    })
}

async fn list(context: &Context) -> Result<(), Failure> {
    let mirrors = context.registry.mirrors().await?;
    answer_list(context.style, &Listed { mirrors }, listed)
}

async fn status(context: &Context, name: &MirrorName) -> Result<(), Failure> {
    let mirror = context.registry.mirror(name).await?;
    answer(context.style, &mirror, described)
}

async fn remove(context: &Context, name: MirrorName) -> Result<(), Failure> {
    context.registry.remove_mirror(&name).await?;
    answer(context.style, &Removed { mirror: name }, |removed| {
        format!("mirror {} was removed; what it copied stays\n", removed.mirror)
    })
}

/// Requests a run and waits for its end.
async fn run_now(context: &Context, name: &MirrorName) -> Result<(), Failure> {
    let request = context.registry.run_mirror(name).await?.request;
    let mut waited = Duration::ZERO;
    let mirror = loop {
        let mirror = context.registry.mirror(name).await?;
        let has_begun = mirror.status.served >= request;
        if has_begun && !mirror.status.running {
            break mirror;
        }
        if !has_begun && !mirror.status.running && waited >= BEGINS_WITHIN {
            return Err(Failure::new(
                seawall::error::ErrorKind::Unavailable,
                &Unserved(name.clone()),
                Some("start the registry with `seawall serve`: it runs its mirrors".to_owned()),
            ));
        }
        tokio::time::sleep(POLL_EVERY).await;
        waited += POLL_EVERY;
    };
    let failure = mirror.status.last_error.clone();
    answer(context.style, &mirror, described)?;
    match failure {
        Some(why) => Err(Failure::new(
            seawall::error::ErrorKind::Unavailable,
            &RunFailed(name.clone(), why),
            Some("the registry tries again by itself".to_owned()),
        )),
        None => Ok(()),
    }
}

/// A run that no process began.
#[derive(Debug, thiserror::Error)]
#[error("no process runs the mirrors of this registry, so mirror {0} has not begun")]
struct Unserved(MirrorName);

/// A run that failed.
#[derive(Debug, thiserror::Error)]
#[error("mirror {0} failed: {1}")]
struct RunFailed(MirrorName, String);

const COLUMNS: &[Column] = &[
    column("mirror", 0),
    column("state", 0),
    column("behind", 1),
    column("releases", 3),
    column("copied", 4),
    column("complete", 2),
    column("direction", 2),
    column("url", 1),
    column("applications", 3),
    column("channels", 5),
];

fn listed(list: &Listed) -> List<'static> {
    let rows = list.mirrors.iter().map(|mirror| {
        let status = &mirror.status;
        vec![
            Cell::from(&mirror.name),
            Cell::from(state(mirror).to_owned()),
            Cell::from(span(status.behind.secs)),
            Cell::Number(status.behind.releases),
            Cell::Bytes(status.copied_in_all.bytes),
            status.last_succeeded_at_secs.map_or(Cell::Nothing, Cell::Moment),
            Cell::from(mirror.direction.as_str().to_owned()),
            Cell::from(mirror.url.clone()),
            Cell::from(joined(&mirror.applications)),
            Cell::from(all_or(joined(&mirror.channels))),
        ]
    });
    let above = match list.mirrors.is_empty() {
        true => "there are no mirrors; `seawall mirror add` adds one\n".to_owned(),
        false => String::new(),
    };
    List { columns: COLUMNS, rows: rows.collect(), above, below: String::new() }
}

fn joined<T: ToString>(names: &[T]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn all_or(names: String) -> String {
    if names.is_empty() { "all".to_owned() } else { names }
}

fn state(mirror: &Mirror) -> &'static str {
    match (&mirror.status.last_error, mirror.status.running) {
        (_, true) => "running",
        (Some(_), false) => "failing",
        (None, false) if mirror.status.last_succeeded_at_secs.is_none() => "new",
        (None, false) => "waiting",
    }
}

/// Returns a span of time in its largest unit.
fn span(secs: u64) -> String {
    match secs {
        0..120 => format!("{secs} s"),
        120..7200 => format!("{} min", secs / 60),
        7200..172_800 => format!("{} h", secs / 3600),
        _ => format!("{} d", secs / 86_400),
    }
}

fn described(mirror: &Mirror) -> String {
    let status = &mirror.status;
    let word = match mirror.direction {
        MirrorDirection::From => "from",
        MirrorDirection::To => "to",
    };
    let time = |secs: Option<u64>| secs.map_or_else(|| "never".to_owned(), moment);
    let amount =
        |releases: u64, bytes| format!("{}, {}", count(releases, "release"), HumanBytes(bytes));
    let mut lines = vec![
        format!("mirror {}: {}", mirror.name, state(mirror)),
        format!("  {word:<10}{}", mirror.url),
        format!("  {:<10}{}", "copies", joined(&mirror.applications)),
        format!("  {:<10}{}", "channels", all_or(joined(&mirror.channels))),
        format!("  {:<10}{} s", "every", mirror.every_secs),
    ];
    if let Some(rate) = mirror.bytes_per_sec_max {
        lines.push(format!("  {:<10}{}/s", "limit", HumanBytes(rate)));
    }
    lines.push(format!("  {:<10}{}", "started", time(status.last_started_at_secs)));
    lines.push(format!("  {:<10}{}", "complete", time(status.last_succeeded_at_secs)));
    lines.push(format!(
        "  {:<10}{}; in all {}",
        "copied",
        amount(status.copied.releases, status.copied.bytes),
        amount(status.copied_in_all.releases, status.copied_in_all.bytes)
    ));
    if mirror.deletes {
        lines.push(format!("  {:<10}{}", "deleted", count(status.deleted_in_all, "release")));
    }
    lines.push(format!(
        "  {:<10}{}, {}",
        "behind",
        amount(status.behind.releases, status.behind.bytes),
        span(status.behind.secs)
    ));
    if let Some(error) = &status.last_error {
        lines.push(format!("  {:<10}{error}", "error"));
    }
    for remark in &status.left_alone {
        lines.push(format!("  {:<10}{remark}", "left alone"));
    }
    lines.join("\n") + "\n"
}
