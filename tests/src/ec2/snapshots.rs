//! The snapshots of EC2's own API.

use super::answer::{Answer, Outcome, Refusal, element, moment, tag_set};
use super::query::{Parameters, by_tag, unknown_filter};
use super::state::{Account, Snapshot, Stage};
use super::{ACCOUNT, images};

/// The time at which every object was made.
pub(super) const MADE_AT_SECS: u64 = 1_800_000_000;

pub(super) fn describe(call: &Parameters, region: &str, account: &mut Account) -> Outcome {
    let ids = call.list("SnapshotId");
    if call.list("Owner").is_empty() && ids.is_empty() {
        return Err(Refusal::query("OperationNotPermitted", "that is every public snapshot"));
    }
    let shown_after = account.shown_after;
    let mut inner = String::from("<snapshotSet>");
    let mut found = 0;
    for snapshot in account.snapshots.values_mut() {
        let is_listed = ids.contains(&snapshot.id.as_str())
            || (ids.is_empty() && snapshot.created.elapsed() >= shown_after);
        let is_owned = call.list("Owner").is_empty() || snapshot.owner == ACCOUNT;
        if snapshot.region != region || !is_listed || !is_owned || !passes(call, snapshot)? {
            continue;
        }
        found += 1;
        show(&mut inner, snapshot);
        // A look brings the completion nearer.
        snapshot.stage = match snapshot.stage {
            Stage::Completing(0 | 1) => Stage::Completed,
            Stage::Completing(looks) => Stage::Completing(looks - 1),
            stage => stage,
        };
    }
    if found < ids.len() {
        return Err(Refusal::query("InvalidSnapshot.NotFound", "no such snapshot"));
    }
    inner.push_str("</snapshotSet>");
    Ok(Answer::xml("DescribeSnapshots", &inner))
}

fn passes(call: &Parameters, snapshot: &Snapshot) -> Result<bool, Refusal> {
    for (name, values) in call.filters() {
        let passes = match by_tag(&snapshot.tags, name, &values) {
            Some(passes) => passes,
            None => match name {
                "status" => values.contains(&snapshot.stage.name()),
                "description" => values.contains(&snapshot.description.as_str()),
                _ => return Err(unknown_filter(name)),
            },
        };
        if !passes {
            return Ok(false);
        }
    }
    Ok(true)
}

fn show(out: &mut String, snapshot: &Snapshot) {
    out.push_str("<item>");
    element(out, "snapshotId", &snapshot.id);
    element(out, "status", snapshot.stage.name());
    element(out, "startTime", &moment(MADE_AT_SECS));
    element(out, "progress", if snapshot.stage == Stage::Completed { "100%" } else { "0%" });
    element(out, "ownerId", &snapshot.owner);
    element(out, "volumeSize", &snapshot.size_gib.to_string());
    element(out, "description", &snapshot.description);
    element(out, "encrypted", &snapshot.encrypted.to_string());
    tag_set(out, &snapshot.tags);
    out.push_str("</item>");
}

pub(super) fn delete(call: &Parameters, account: &mut Account) -> Outcome {
    let id = call.need("SnapshotId")?;
    if !account.snapshots.contains_key(id) {
        return Err(Refusal::query("InvalidSnapshot.NotFound", format!("no snapshot {id}")));
    }
    if let Some(image) = images::user_of(account, id) {
        let message = format!("The snapshot {id} is currently in use by {image}");
        return Err(Refusal::query("InvalidSnapshot.InUse", message));
    }
    remove(account, id);
    Ok(Answer::xml("DeleteSnapshot", "<return>true</return>"))
}

/// Removes a snapshot. Its blocks move to its children, because each keeps all that it needs.
pub(super) fn remove(account: &mut Account, id: &str) {
    let Some(gone) = account.snapshots.remove(id) else { return };
    for child in account.snapshots.values_mut() {
        if child.parent.as_deref() == Some(id) {
            for (index, block) in &gone.blocks {
                child.blocks.entry(*index).or_insert_with(|| block.clone());
            }
            child.parent.clone_from(&gone.parent);
        }
    }
}
