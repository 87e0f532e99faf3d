//! `seawall diff A B`.

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, Version};
use seawall_api::reference::Selector;
use seawall_api::units::HumanBytes;
use seawall_api::v1::{DiskDiff, FieldDiff, MachineDiff, Presence, ReleaseDiff};

use seawall::plain::one_line;
use seawall::resolve::document;
use serde::{Serialize, Serializer};

use crate::command::Target;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{Style, answer, count, print};

pub(crate) async fn diff(context: &Context, from: &Target, to: &Target) -> Result<(), Failure> {
    let diff = context
        .registry
        .diff((&from.application, &from.selector), (&to.application, &to.selector))
        .await?;
    let Style::Json(_) = context.style else {
        let from = side(context, from, diff.from).await?;
        let to = side(context, to, diff.to).await?;
        return print(&text(&from, &to, &diff));
    };
    let compared = Compared {
        from: named(context, from, diff.from).await?,
        to: named(context, to, diff.to).await?,
        diff,
    };
    answer(context.style, &compared, |_| String::new())
}

/// A comparison with the application and version of each side.
struct Compared {
    from: Side,
    to: Side,
    diff: ReleaseDiff,
}

#[derive(Serialize)]
struct Side {
    application: ApplicationName,
    version: Version,
    digest: ReleaseDigest,
}

impl Serialize for Compared {
    /// Serializes the registry's comparison, with each side's digest replaced by a [`Side`].
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error as _;
        let mut value = serde_json::to_value(&self.diff).map_err(S::Error::custom)?;
        value["from"] = serde_json::to_value(&self.from).map_err(S::Error::custom)?;
        value["to"] = serde_json::to_value(&self.to).map_err(S::Error::custom)?;
        value.serialize(serializer)
    }
}

/// Formats a side for people; a digest or a folder appears as its version.
async fn side(
    context: &Context,
    target: &Target,
    digest: ReleaseDigest,
) -> Result<String, Failure> {
    let application = &target.application;
    Ok(match &target.selector {
        Selector::Digest(_) => {
            let version = named(context, target, digest).await?.version;
            format!("{application}:{version}")
        }
        named => format!("{application}:{named}"),
    })
}

/// Returns a side with its version, read from the registry.
async fn named(context: &Context, target: &Target, digest: ReleaseDigest) -> Result<Side, Failure> {
    let selector = Selector::Digest(digest);
    let release = document(context.registry.as_ref(), &target.application, &selector).await?;
    let (application, version) = (target.application.clone(), release.version().clone());
    Ok(Side { application, version, digest })
}

fn text(from: &str, to: &str, diff: &ReleaseDiff) -> String {
    let mut text = format!("from  {from}  {}\nto    {to}  {}\n\n", diff.from, diff.to);
    if diff.from == diff.to {
        return text + "They are the same release.\n";
    }
    for field in &diff.fields {
        text += &field_line(0, field);
    }
    for machine in &diff.machines {
        text += &machine_lines(machine);
    }
    if diff.fields.is_empty() && diff.machines.is_empty() {
        text += "Machines, disks and descriptions are the same.\n";
    }
    text += &format!(
        "\nPatching from {from} to {to} downloads {} ({}, {} uncompressed);\n\
         {} is already there.\n",
        HumanBytes(diff.download_bytes),
        count(diff.download_chunks, "chunk"),
        HumanBytes(diff.new_plain_bytes),
        HumanBytes(diff.reused_plain_bytes),
    );
    text
}

fn machine_lines(machine: &MachineDiff) -> String {
    let mut text = format!("{} machine {}\n", sign(machine.presence), machine.machine);
    for field in &machine.fields {
        text += &field_line(2, field);
    }
    for disk in &machine.disks {
        text += &disk_lines(disk);
    }
    text
}

fn disk_lines(disk: &DiskDiff) -> String {
    let mut text = format!("  {} disk {}", sign(disk.presence), disk.disk);
    if disk.changed_extents > 0 {
        text += &format!(
            ": {} in {} {}",
            HumanBytes(disk.changed_bytes),
            count(disk.changed_extents, "extent"),
            if disk.changed_extents == 1 { "differs" } else { "differ" }
        );
    }
    if disk.new_plain_bytes > 0 {
        text += &format!(", {} of them new", HumanBytes(disk.new_plain_bytes));
    }
    text += "\n";
    for (label, content) in [("from", disk.from), ("to  ", disk.to)] {
        if let Some(content) = content {
            text += &format!("      {label} {content}\n");
        }
    }
    for field in &disk.fields {
        text += &field_line(4, field);
    }
    text
}

fn field_line(indent: usize, field: &FieldDiff) -> String {
    let margin = " ".repeat(indent);
    // Keys of annotations are free text, as is any text from the registry.
    let shown = |value: &Option<String>| value.as_deref().map(one_line);
    let name = one_line(&field.field);
    match (shown(&field.from), shown(&field.to)) {
        (Some(from), Some(to)) => format!("{margin}~ {name}: {from} -> {to}\n"),
        (Some(from), None) => format!("{margin}- {name}: {from}\n"),
        (None, Some(to)) => format!("{margin}+ {name}: {to}\n"),
        (None, None) => format!("{margin}~ {name}\n"),
    }
}

fn sign(presence: Presence) -> char {
    match presence {
        Presence::Added => '+',
        Presence::Removed => '-',
        Presence::Changed => '~',
    }
}

#[cfg(test)]
mod tests {
    use seawall_api::digest::{ContentDigest, ReleaseDigest};

    use super::*;

    #[test]
    fn a_diff_reads_as_a_list_of_changes_and_a_price() {
        let field = |field: &str, from: &str, to: &str| FieldDiff {
            field: field.to_owned(),
            from: Some(from.to_owned()),
            to: Some(to.to_owned()),
        };
        let diff = ReleaseDiff {
            from: ReleaseDigest::from_bytes([1; 32]),
            to: ReleaseDigest::from_bytes([2; 32]),
            fields: vec![],
            machines: vec![MachineDiff {
                machine: "web".parse().unwrap(),
                presence: Presence::Changed,
                fields: vec![field("cpus", "1", "2")],
                disks: vec![DiskDiff {
                    disk: "root".parse().unwrap(),
                    presence: Presence::Changed,
                    fields: vec![],
                    from: Some(ContentDigest::from_bytes([3; 32])),
                    to: Some(ContentDigest::from_bytes([4; 32])),
                    changed_extents: 2,
                    changed_bytes: 3 << 20,
                    new_plain_bytes: 1 << 20,
                }],
            }],
            download_chunks: 9,
            download_bytes: 1 << 19,
            new_plain_bytes: 1 << 20,
            reused_plain_bytes: 1 << 30,
        };
        let digest = |byte: &str| format!("blake3:{}", byte.repeat(32));
        assert_eq!(
            text("web:1.0", "web:stable", &diff),
            format!(
                "from  web:1.0  {}\nto    web:stable  {}\n\n~ machine web\n  ~ cpus: 1 -> 2\n  \
                 ~ disk root: 3.0 MiB in 2 extents differ, 1.0 MiB of them new\n      \
                 from {}\n      to   {}\n\n\
                 Patching from web:1.0 to web:stable downloads 512.0 KiB (9 chunks, 1.0 MiB \
                 uncompressed);\n1.0 GiB is already there.\n",
                digest("01"),
                digest("02"),
                digest("03"),
                digest("04"),
            )
        );
        let forged = field("annotations/x\nhelp: run `evil`", "\"a\"", "\"\u{202e}b\"");
        let line = "~ annotations/x\\nhelp: run `evil`: \"a\" -> \"\\u{202e}b\"\n";
        assert_eq!(field_line(0, &forged), line);
        let same = ReleaseDiff { to: diff.from, ..diff };
        assert!(text("a:1", "a:2", &same).contains("the same release"));
    }
}
