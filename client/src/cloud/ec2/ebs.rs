//! The EBS direct API: snapshots written block by block.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::{CloudError, Origin, Place, State, VolumeSpec};
use super::wire::{Call, Wire};
use super::{snapshots, volume_gib};

/// The time in minutes after which the service gives up on a snapshot without new blocks. A killed
/// flow may be resumed for so long.
const TIMEOUT_MINUTES: u64 = 24 * 60;
/// The maximum number of attempts at a snapshot whose predecessors failed.
const ATTEMPTS_MAX: u32 = 16;
/// The name of the tag that consoles show.
const NAME_TAG: &str = "Name";
/// The maximum length of a tag's value and of a description, in characters.
const TEXT_LEN_MAX: usize = 255;

/// Starts a snapshot, or returns the pending one of the same origin.
///
/// # Errors
/// Fails if the service refuses.
pub(super) async fn begin(
    wire: &Wire,
    place: &Place,
    spec: &VolumeSpec,
) -> Result<String, CloudError> {
    let application = spec.origin.application.parse().map_err(|_| CloudError::Defect)?;
    let mut failed = Vec::new();
    for volume in snapshots::list(wire, Some(&application)).await? {
        match volume.state {
            State::Pending if volume.origin == spec.origin => return Ok(volume.id),
            State::Failed if volume.origin == spec.origin => failed.push(volume.id),
            _ => {}
        }
    }
    for id in &failed {
        snapshots::delete(wire, id).await?;
    }
    for attempt in 0..ATTEMPTS_MAX {
        let (id, status) = start(wire, place, spec, attempt).await?;
        // The token of a failed or removed attempt answers with that attempt.
        if status == "pending" && !failed.contains(&id) {
            return Ok(id);
        }
    }
    let object = format!("the snapshot of {}", spec.origin.content);
    Err(CloudError::Failed { object, why: format!("{ATTEMPTS_MAX} attempts failed") })
}

async fn start(
    wire: &Wire,
    place: &Place,
    spec: &VolumeSpec,
    attempt: u32,
) -> Result<(String, String), CloudError> {
    let Origin { application, version, machine, disk, .. } = &spec.origin;
    let mut tags = spec.origin.tags();
    let title = shortened(&format!("{application} {version} {machine}/{disk}"));
    tags.insert(NAME_TAG.to_owned(), title.clone());
    let tags: Vec<Value> =
        tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    let mut body = json!({
        "VolumeSize": volume_gib(spec.disk_len),
        "Description": title,
        "Tags": tags,
        "Timeout": TIMEOUT_MINUTES,
        "ClientToken": token(place, spec, attempt),
    });
    if let Some(parent) = &spec.parent {
        // The child is encrypted as its parent is; saying so is an error.
        body["ParentSnapshotId"] = parent.id.clone().into();
    }
    let call = Call {
        service: "ebs",
        name: format!("StartSnapshot for {machine}/{disk}"),
        method: Method::POST,
        target: "/snapshots".to_owned(),
        headers: vec![("content-type", "application/json".to_owned())],
        body: Bytes::from(body.to_string()),
        is_body_signed: true,
    };
    let reply = wire.send(&call).await?;
    let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let text = |name: &str| answer[name].as_str().map(str::to_owned);
    let id = text("SnapshotId").filter(|id| is_id(id)).ok_or_else(|| CloudError::Answer {
        call: call.name.clone(),
        why: "it names no snapshot".to_owned(),
    })?;
    Ok((id, text("Status").unwrap_or_else(|| "pending".to_owned())))
}

/// Returns true for text that may stand in a path.
pub(super) fn is_id(id: &str) -> bool {
    let is_right = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..=64).contains(&id.len()) && id.chars().all(is_right)
}

fn shortened(text: &str) -> String {
    text.chars().take(TEXT_LEN_MAX).collect()
}

/// Returns the token of a request that may be sent twice: a digest of all that it says.
fn token(place: &Place, spec: &VolumeSpec, attempt: u32) -> String {
    let mut hasher = blake3::Hasher::new();
    let (len, attempt) = (spec.disk_len.to_string(), attempt.to_string());
    let tags = spec.origin.tags();
    let tags = tags.iter().flat_map(|(name, value)| [name.as_str(), value]);
    for part in
        [&place.account, &place.region, &len, &attempt].map(String::as_str).into_iter().chain(tags)
    {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    format!("seawall-{}", hasher.finalize().to_hex())
}

/// Writes a block.
pub(super) async fn put(
    wire: &Wire,
    (id, index): (&str, u64),
    (block, digest): (Bytes, [u8; 32]),
    percent: u8,
) -> Result<(), CloudError> {
    let call = Call {
        service: "ebs",
        name: format!("PutSnapshotBlock {index} of {id}"),
        method: Method::PUT,
        target: format!("/snapshots/{id}/blocks/{index}"),
        headers: vec![
            ("x-amz-data-length", block.len().to_string()),
            ("x-amz-progress", percent.min(100).to_string()),
            ("x-amz-checksum", BASE64.encode(digest)),
            ("x-amz-checksum-algorithm", "SHA256".to_owned()),
        ],
        body: block,
        // The signed checksum is of the body.
        is_body_signed: false,
    };
    wire.send(&call).await.map(drop)
}

/// Seals a snapshot: says how many blocks were written, and the digest of their digests.
pub(super) async fn complete(
    wire: &Wire,
    id: &str,
    digests: &[[u8; 32]],
) -> Result<(), CloudError> {
    let mut all = Sha256::new();
    digests.iter().for_each(|digest| all.update(digest));
    let mut headers = vec![("x-amz-changedblockscount", digests.len().to_string())];
    if !digests.is_empty() {
        headers.push(("x-amz-checksum", BASE64.encode(all.finalize())));
        headers.push(("x-amz-checksum-algorithm", "SHA256".to_owned()));
        headers.push(("x-amz-checksum-aggregation-method", "LINEAR".to_owned()));
    }
    let call = Call {
        service: "ebs",
        name: format!("CompleteSnapshot {id}"),
        method: Method::POST,
        target: format!("/snapshots/completion/{id}"),
        headers,
        body: Bytes::new(),
        is_body_signed: true,
    };
    match wire.send(&call).await {
        // Sealed before, and the answer was lost. If it failed instead, the next look shows it.
        Err(CloudError::Refused { name, message, .. })
            if name == "ValidationException" && message.contains("INVALID_SNAPSHOT_ID") =>
        {
            Ok(())
        }
        done => done.map(drop),
    }
}
