//! The EBS direct API, 2019-11-02.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::answer::{Answer, Outcome, Refusal};
use super::http::Request;
use super::signature::{Scope, hex};
use super::state::{Account, Snapshot, Stage};
use super::{ACCOUNT, BLOCK_LEN};

/// The blocks of a GiB.
const BLOCKS_PER_GIB: u64 = 2048;

pub(super) fn dispatch(
    request: &Request,
    operation: &str,
    scope: &Scope,
    account: &mut Account,
) -> Outcome {
    let parts: Vec<&str> = request.path.split('/').skip(1).collect();
    match (operation, &parts[..]) {
        ("StartSnapshot", _) => start(request, scope, account),
        ("PutSnapshotBlock", [_, id, _, index]) => put(request, (id, index), scope, account),
        ("CompleteSnapshot", [_, _, id]) => complete(request, id, account),
        ("ListSnapshotBlocks", [_, id, _]) => list(request, id, account),
        ("ListChangedBlocks", [_, id, _]) => changed(request, id, account),
        ("GetSnapshotBlock", [_, id, _, index]) => get(request, id, index, account),
        _ => Err(Refusal::new(404, "UnknownOperationException", request.path.clone())),
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::validation("INVALID_PARAMETER_VALUE", message)
}

fn gone(id: &str) -> Refusal {
    let refusal = Refusal::new(404, "ResourceNotFoundException", format!("no snapshot {id}"));
    Refusal { reason: "SNAPSHOT_NOT_FOUND", ..refusal }
}

fn start(request: &Request, scope: &Scope, account: &mut Account) -> Outcome {
    let body: Value = serde_json::from_slice(&request.body).map_err(|e| invalid(e.to_string()))?;
    let known = [
        "VolumeSize",
        "ParentSnapshotId",
        "Tags",
        "Description",
        "ClientToken",
        "Encrypted",
        "KmsKeyArn",
        "Timeout",
    ];
    let fields = body.as_object().ok_or_else(|| invalid("a body is an object"))?;
    if let Some(field) = fields.keys().find(|field| !known.contains(&field.as_str())) {
        return Err(invalid(format!("unknown field {field}")));
    }
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let token = text("ClientToken");
    if token.len() > 255 || text("Description").len() > 255 {
        return Err(invalid("ClientToken and Description have at most 255 characters"));
    }
    if let Some((fingerprint, id)) = account.tokens.get(&token).filter(|_| !token.is_empty()) {
        let told = body.to_string();
        if *fingerprint != told {
            return Err(Refusal::new(409, "ConflictException", "the token is of another request"));
        }
        let removed = || json!({ "SnapshotId": id, "Status": "error" });
        let answer = account.snapshots.get(id).map_or_else(removed, shown);
        return Ok(Answer::json(201, &answer));
    }
    let size_gib = body["VolumeSize"].as_u64().unwrap_or(0);
    if !(1..=65_536).contains(&size_gib) {
        return Err(Refusal::validation("INVALID_VOLUME_SIZE", "VolumeSize is 1 to 65536"));
    }
    let minutes = body["Timeout"].as_u64().unwrap_or(60);
    if !(10..=4320).contains(&minutes) {
        return Err(invalid("Timeout is 10 to 4320"));
    }
    let tags = tags(&body)?;
    let parent = body["ParentSnapshotId"].as_str().map(str::to_owned);
    let encrypted = match &parent {
        Some(id) => inherited(&body, (id, size_gib), scope, account)?,
        None => account.encrypts || body["Encrypted"].as_bool().unwrap_or(false),
    };
    if account.is_full_of_pending() {
        return Err(Refusal::new(400, "ConcurrentLimitExceededException", "too many pending"));
    }
    let now = Instant::now();
    let id = account.name("snap");
    let snapshot = Snapshot {
        id: id.clone(),
        region: scope.region.clone(),
        owner: ACCOUNT.to_owned(),
        size_gib,
        parent,
        stage: Stage::Pending,
        tags,
        description: text("Description"),
        encrypted,
        blocks: BTreeMap::new(),
        timeout: Duration::from_secs(minutes * 60),
        touched: now,
        created: now,
    };
    let answer = shown(&snapshot);
    if !token.is_empty() {
        account.tokens.insert(token, (body.to_string(), id.clone()));
    }
    account.snapshots.insert(id, snapshot);
    Ok(Answer::json(201, &answer))
}

/// Returns whether a child of this parent is encrypted.
///
/// # Errors
/// Fails if the snapshot cannot be the parent.
fn inherited(
    body: &Value,
    (id, size_gib): (&str, u64),
    scope: &Scope,
    account: &Account,
) -> Result<bool, Refusal> {
    if body.get("Encrypted").is_some() || body.get("KmsKeyArn").is_some() {
        return Err(invalid("Encrypted and ParentSnapshotId exclude each other"));
    }
    let parent = account.snapshots.get(id).ok_or_else(|| gone(id))?;
    if parent.stage != Stage::Completed || parent.region != scope.region {
        return Err(Refusal::validation("INVALID_SNAPSHOT_ID", "the parent is not completed"));
    }
    if parent.owner != ACCOUNT {
        return Err(Refusal::new(403, "AccessDeniedException", "the parent is another's"));
    }
    if size_gib < parent.size_gib {
        return Err(Refusal::validation("INVALID_VOLUME_SIZE", "smaller than the parent"));
    }
    Ok(parent.encrypted)
}

fn tags(body: &Value) -> Result<BTreeMap<String, String>, Refusal> {
    let mut tags = BTreeMap::new();
    for tag in body["Tags"].as_array().into_iter().flatten() {
        let (key, value) = (tag["Key"].as_str(), tag["Value"].as_str());
        let (Some(key), Some(value)) = (key, value) else {
            return Err(Refusal::validation("INVALID_TAG", "a tag has Key and Value"));
        };
        check_tag(key, value)?;
        tags.insert(key.to_owned(), value.to_owned());
    }
    if tags.len() > 50 {
        return Err(Refusal::validation("INVALID_TAG", "at most 50 tags"));
    }
    Ok(tags)
}

/// Fails unless a tag follows the rules of the service.
pub(super) fn check_tag(key: &str, value: &str) -> Result<(), Refusal> {
    let is_allowed = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
    let is_right = !key.is_empty()
        && key.chars().count() <= 127
        && value.chars().count() <= 255
        && !key.starts_with("aws:")
        && key.chars().chain(value.chars()).all(is_allowed);
    let refusal = || Refusal::validation("INVALID_TAG", format!("the tag {key}={value}"));
    is_right.then_some(()).ok_or_else(refusal)
}

fn shown(snapshot: &Snapshot) -> Value {
    json!({
        "SnapshotId": snapshot.id, "OwnerId": snapshot.owner, "Status": snapshot.stage.name(),
        "VolumeSize": snapshot.size_gib, "BlockSize": BLOCK_LEN,
        "ParentSnapshotId": snapshot.parent, "Description": snapshot.description,
        "StartTime": 1_800_000_000.0,
    })
}

fn put(
    request: &Request,
    (id, index): (&str, &str),
    scope: &Scope,
    account: &mut Account,
) -> Outcome {
    account.throttle()?;
    let snapshot = account.snapshots.get_mut(id).ok_or_else(|| gone(id))?;
    if snapshot.stage != Stage::Pending {
        let message = format!("{id} is {}, not pending", snapshot.stage.name());
        return Err(Refusal::validation("INVALID_SNAPSHOT_ID", message));
    }
    let index: u64 = index.parse().map_err(|_| invalid("a block index is a number"))?;
    if index >= snapshot.size_gib * BLOCKS_PER_GIB {
        return Err(Refusal::validation("INVALID_BLOCK", "the block is behind the volume's end"));
    }
    if request.header("x-amz-data-length") != BLOCK_LEN.to_string()
        || request.body.len() != BLOCK_LEN
    {
        return Err(invalid("a block has 524288 bytes"));
    }
    if request.header("x-amz-checksum-algorithm") != "SHA256" {
        return Err(invalid("the algorithm is SHA256"));
    }
    for name in ["x-amz-checksum", "x-amz-checksum-algorithm", "x-amz-data-length"] {
        if !scope.signed.iter().any(|it| it == name) {
            let message = format!("`{name}` is not signed");
            return Err(Refusal::new(403, "SignatureDoesNotMatch", message));
        }
    }
    let progress = request.header("x-amz-progress");
    if !progress.is_empty() && progress.parse::<u32>().map_or(true, |it| it > 100) {
        return Err(invalid("Progress is 0 to 100"));
    }
    let digest: [u8; 32] = Sha256::digest(&request.body).into();
    if request.header("x-amz-checksum") != BASE64.encode(digest) {
        return Err(Refusal::validation("INVALID_BLOCK", "the checksum is of other bytes"));
    }
    snapshot.blocks.insert(index, (digest, Arc::from(request.body.as_slice())));
    snapshot.touched = Instant::now();
    let mut answer = Answer { status: 201, ..Answer::default() };
    answer.headers.insert("x-amz-Checksum".into(), BASE64.encode(digest));
    answer.headers.insert("x-amz-Checksum-Algorithm".into(), "SHA256".into());
    Ok(answer)
}

fn complete(request: &Request, id: &str, account: &mut Account) -> Outcome {
    let looks = account.looks_until_complete;
    let snapshot = account.snapshots.get_mut(id).ok_or_else(|| gone(id))?;
    if snapshot.stage != Stage::Pending {
        let message = format!("{id} is {}, not pending", snapshot.stage.name());
        return Err(Refusal::validation("INVALID_SNAPSHOT_ID", message));
    }
    let count = snapshot.blocks.len();
    if request.header("x-amz-changedblockscount") != count.to_string() {
        let told = request.header("x-amz-changedblockscount");
        return Err(invalid(format!("ChangedBlocksCount is {told}, {count} were written")));
    }
    let checksum = request.header("x-amz-checksum");
    if !checksum.is_empty() {
        if request.header("x-amz-checksum-algorithm") != "SHA256"
            || request.header("x-amz-checksum-aggregation-method") != "LINEAR"
        {
            return Err(invalid("a checksum is SHA256 and LINEAR"));
        }
        let mut all = Sha256::new();
        for (digest, _) in snapshot.blocks.values() {
            all.update(digest);
        }
        if BASE64.encode(all.finalize()) != checksum {
            return Err(invalid("the checksum of the snapshot is of other blocks"));
        }
    }
    snapshot.stage = if looks == 0 { Stage::Completed } else { Stage::Completing(looks) };
    Ok(Answer::json(202, &json!({ "Status": snapshot.stage.name() })))
}

/// Returns the page of a list: begin, and length.
fn page(request: &Request) -> Result<(u64, usize), Refusal> {
    let number = |name: &str| request.parameter(name).map(str::parse::<u64>);
    let len = number("maxResults").unwrap_or(Ok(10_000)).map_err(|_| invalid("maxResults"))?;
    if !(100..=10_000).contains(&len) {
        return Err(invalid("maxResults is 100 to 10000"));
    }
    let first = match request.parameter("pageToken") {
        Some(token) => {
            token.strip_prefix("page/").and_then(|it| it.parse().ok()).ok_or_else(|| {
                Refusal::validation("INVALID_PAGE_TOKEN", "the page token is of no list")
            })?
        }
        None => number("startingBlockIndex").unwrap_or(Ok(0)).map_err(|_| invalid("index"))?,
    };
    Ok((first, usize::try_from(len).unwrap()))
}

fn token(snapshot: &str, index: u64) -> String {
    let text = format!("token of {snapshot} {index}");
    hex(&Sha256::digest(text.as_bytes()))
}

fn completed<'a>(account: &'a Account, id: &str) -> Result<&'a Snapshot, Refusal> {
    let snapshot = account.snapshots.get(id).ok_or_else(|| gone(id))?;
    if snapshot.stage != Stage::Completed {
        return Err(Refusal::validation("INVALID_SNAPSHOT_ID", "the snapshot is not completed"));
    }
    Ok(snapshot)
}

fn listed(name: &str, snapshot: &Snapshot, mut blocks: Vec<Value>, len: usize) -> Answer {
    let next = blocks.get(len).map(|it| format!("page/{}", it["BlockIndex"]));
    blocks.truncate(len);
    let mut body = json!({
        "ExpiryTime": 1_900_000_000.0, "VolumeSize": snapshot.size_gib, "BlockSize": BLOCK_LEN,
    });
    body[name] = blocks.into();
    if let Some(next) = next {
        body["NextToken"] = next.into();
    }
    Answer::json(200, &body)
}

fn list(request: &Request, id: &str, account: &Account) -> Outcome {
    let (first, len) = page(request)?;
    let snapshot = completed(account, id)?;
    let indexes = account.indexes(id);
    let block = |index: &u64| json!({ "BlockIndex": index, "BlockToken": token(id, *index) });
    let blocks = indexes.range(first..).take(len + 1).map(block).collect();
    Ok(listed("Blocks", snapshot, blocks, len))
}

fn changed(request: &Request, second: &str, account: &Account) -> Outcome {
    let (from, len) = page(request)?;
    let snapshot = completed(account, second)?;
    let first = request.parameter("firstSnapshotId").unwrap_or_default();
    completed(account, first)?;
    let mut at = Some(second.to_owned());
    while let Some(id) = at.filter(|id| id != first) {
        at = account.snapshots[&id].parent.clone();
        if at.is_none() {
            return Err(Refusal::validation("UNRELATED_SNAPSHOTS", "not of one lineage"));
        }
    }
    let mut blocks = Vec::new();
    for index in account.indexes(second).range(from..) {
        let (old, new) = (account.block(first, *index), account.block(second, *index));
        if old.map(|it| it.0) != new.map(|it| it.0) {
            let mut block =
                json!({ "BlockIndex": index, "SecondBlockToken": token(second, *index) });
            if old.is_some() {
                block["FirstBlockToken"] = token(first, *index).into();
            }
            blocks.push(block);
        }
    }
    Ok(listed("ChangedBlocks", snapshot, blocks, len))
}

fn get(request: &Request, id: &str, index: &str, account: &Account) -> Outcome {
    completed(account, id)?;
    let index: u64 = index.parse().map_err(|_| invalid("a block index is a number"))?;
    if request.parameter("blockToken") != Some(token(id, index).as_str()) {
        return Err(Refusal::validation("INVALID_BLOCK_TOKEN", "the token is of another block"));
    }
    let (digest, bytes) = account
        .block(id, index)
        .ok_or_else(|| Refusal::validation("INVALID_BLOCK", "no such block"))?;
    let mut answer = Answer { status: 200, body: bytes.to_vec(), ..Answer::default() };
    answer.headers.insert("x-amz-Data-Length".into(), BLOCK_LEN.to_string());
    answer.headers.insert("x-amz-Checksum".into(), BASE64.encode(digest));
    answer.headers.insert("x-amz-Checksum-Algorithm".into(), "SHA256".into());
    Ok(answer)
}
