//! `seawall audit`.

use seawall::audit::{BrokenLog, Check, Head};
use seawall::registry::{AuditFilter, Pages};
use seawall_api::v1::{AuditEntry, PAGE_COUNT_MAX};
use serde::Serialize;

use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{Cell, Column, List, Style, answer, answer_list, column, count, print_in_full};

#[derive(Serialize)]
struct Shown {
    entries: Vec<AuditEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verified {
    entry_count: u64,
    /// The newest entry, for the user to record.
    head: Option<String>,
}

pub(crate) async fn audit(
    context: &Context,
    filter: AuditFilter,
    limit: u32,
) -> Result<(), Failure> {
    let (mut entries, mut pages, mut after) = (Vec::new(), Pages::of("show its log"), None);
    let mut left = limit;
    while left > 0 {
        let page = context.registry.audit(&filter, after, left.min(PAGE_COUNT_MAX)).await?;
        left = left.saturating_sub(u32::try_from(page.entries.len()).unwrap_or(u32::MAX));
        entries.extend(page.entries);
        after = pages.follow(page.next)?;
        if after.is_none() {
            break;
        }
    }
    answer_list(context.style, &Shown { entries }, shown_list)
}

pub(crate) async fn verify(context: &Context, noted: Option<Head>) -> Result<(), Failure> {
    let mut check = Check::new(noted);
    let everything = AuditFilter::default();
    let (mut pages, mut after) = (Pages::of("show its log"), None);
    loop {
        let page = context.registry.audit(&everything, after, PAGE_COUNT_MAX).await?;
        for entry in page.entries {
            check.take(entry).map_err(|error| broken(&error))?;
        }
        after = pages.follow(page.next)?;
        if after.is_none() {
            break;
        }
    }
    let (entry_count, head) = check.finish().map_err(|error| broken(&error))?;
    let verified = Verified { entry_count, head: head.map(|head| head.to_string()) };
    match context.style {
        // The user records the head, so digests are printed in full.
        Style::Text => print_in_full(&verified_text(&verified)),
        Style::Json(_) => answer(context.style, &verified, verified_text),
    }
}

fn broken(error: &BrokenLog) -> Failure {
    let remedy = "the registry's catalog was changed by hand, or it is damaged: compare the log \
                  with a backup, and with the digests in messages to webhooks";
    Failure::damaged(error.to_string(), remedy)
}

const ENTRIES: &[Column] = &[
    column("entry", 0),
    column("when", 1),
    column("by", 1),
    column("action", 0),
    column("what", 0),
    column("particulars", 2),
];

fn shown_list(shown: &Shown) -> List<'static> {
    let rows = shown.entries.iter().map(|entry| {
        let application = entry.application.as_ref().map(ToString::to_string);
        let version = entry.version.as_ref().map(|version| format!(":{version}"));
        let subject = application.unwrap_or_default() + &version.unwrap_or_default();
        let facts = entry.facts.iter().map(|(name, value)| format!("{name}={value}"));
        vec![
            Cell::Number(entry.sequence),
            Cell::Moment(entry.at_secs),
            Cell::from(entry.actor.clone()),
            Cell::from(&entry.action),
            Cell::from(subject),
            Cell::from(facts.collect::<Vec<_>>().join(" ")),
        ]
    });
    List { columns: ENTRIES, rows: rows.collect(), above: String::new(), below: String::new() }
}

fn verified_text(verified: &Verified) -> String {
    match &verified.head {
        None => "the audit log is empty\n".to_owned(),
        Some(head) => {
            let entries = count(verified.entry_count, "entry");
            format!("intact: {entries}, the newest is {head}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use seawall_api::audit::{Action, CHAIN_BEGIN};

    use super::*;

    #[test]
    fn an_act_is_a_line() {
        let entry = AuditEntry {
            sequence: 7,
            at_secs: 0,
            actor: String::new(),
            action: Action::Promote,
            application: Some("team/web".parse().unwrap()),
            version: Some("1.0".parse().unwrap()),
            release: None,
            facts: BTreeMap::from([
                ("channel".to_owned(), "stable".to_owned()),
                ("sequence".to_owned(), "2".to_owned()),
            ]),
            digest: CHAIN_BEGIN,
        };
        assert_eq!(
            shown_list(&Shown { entries: vec![entry] }).text(),
            "ENTRY  WHEN                  BY  ACTION   WHAT          PARTICULARS\n\
             7      1970-01-01 00:00:00Z  -   promote  team/web:1.0  channel=stable sequence=2\n"
        );
        let verified = Verified { entry_count: 2, head: Some("2@blake3:00".to_owned()) };
        assert_eq!(verified_text(&verified), "intact: 2 entries, the newest is 2@blake3:00\n");
    }
}
