//! Snapshots, as EC2's own API shows them.

use std::time::{Duration, Instant};

use roxmltree::Node;
use seawall_api::names::ApplicationName;

use super::super::{CloudError, Origin, State, Volume};
use super::query::{Query, tags, text};
use super::wire::Wire;
use super::{GIB, VOLUME_GIB_MAX};

/// The time in which a completed snapshot becomes usable.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(3600);
/// The first and the longest pause between two looks.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Returns the snapshots that have our tags.
pub(super) async fn list(
    wire: &Wire,
    of: Option<&ApplicationName>,
) -> Result<Vec<Volume>, CloudError> {
    let query = Query::new("DescribeSnapshots").with("Owner.1", "self");
    let tag = Origin::application_tag();
    let query = match of {
        Some(name) => query.filter(1, &format!("tag:{tag}"), name.as_str()),
        None => query.filter(1, "tag-key", &tag),
    };
    query.all(wire, "snapshotSet", volume).await
}

/// Reads a snapshot. Returns `None` unless it is ours.
fn volume(node: Node<'_, '_>) -> Option<Volume> {
    let origin = Origin::of_tags(&tags(node))?;
    let gib = text(node, "volumeSize")?.parse::<u64>().ok()?;
    Some(Volume {
        id: text(node, "snapshotId")?,
        state: state(&text(node, "status").or_else(|| text(node, "state"))?),
        len: gib.min(VOLUME_GIB_MAX) * GIB,
        encrypted: text(node, "encrypted").is_some_and(|it| it == "true"),
        created: text(node, "startTime").unwrap_or_default(),
        origin,
    })
}

fn state(status: &str) -> State {
    match status {
        "completed" => State::Available,
        "error" => State::Failed,
        _ => State::Pending,
    }
}

/// Waits until a snapshot is complete.
///
/// # Errors
/// Fails if the snapshot fails, or is not complete in time.
pub(super) async fn settle(wire: &Wire, id: &str) -> Result<(), CloudError> {
    let query = Query::new("DescribeSnapshots").about(id).with("SnapshotId.1", id);
    let begun = Instant::now();
    let mut pause = PAUSES.0;
    loop {
        let read = |node: Node<'_, '_>| {
            let why = text(node, "statusMessage").unwrap_or_default();
            Some((state(&text(node, "status")?), why))
        };
        let found = match query.send(wire, |root| first(root, &read)).await {
            Ok(found) => found,
            // A new snapshot may not be shown yet.
            Err(CloudError::Refused { name, .. }) if name == "InvalidSnapshot.NotFound" => None,
            Err(error) => return Err(error),
        };
        match found {
            Some((State::Available, _)) => return Ok(()),
            Some((State::Failed, why)) => {
                return Err(CloudError::Failed { object: id.to_owned(), why });
            }
            _ => {}
        }
        if begun.elapsed() > SETTLE_TIME_MAX {
            let secs = SETTLE_TIME_MAX.as_secs();
            return Err(CloudError::NotReady { object: id.to_owned(), secs });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

fn first<T>(root: Node<'_, '_>, read: &impl Fn(Node<'_, '_>) -> Option<T>) -> Option<T> {
    let set = root.children().find(|it| it.tag_name().name() == "snapshotSet")?;
    set.children().filter(Node::is_element).find_map(read)
}

/// Deletes a snapshot. Succeeds if there is none.
pub(super) async fn delete(wire: &Wire, id: &str) -> Result<(), CloudError> {
    let query = Query::new("DeleteSnapshot").about(id).with("SnapshotId", id);
    match query.send(wire, |_| ()).await {
        Err(CloudError::Refused { name, .. }) if name == "InvalidSnapshot.NotFound" => Ok(()),
        done => done,
    }
}
