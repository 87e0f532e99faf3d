//! The contract of `--json` (docs/json.md): one name per concept across all commands.
//!
//! Answers are built from API bodies and reports, whose fields have other names. This module
//! renames them: every object states its schema, the digest of a release is `digest`, lengths end
//! in `Bytes`, moments appear in RFC 3339 beside their seconds, and no value is JSON inside a
//! string.

use seawall_api::moment::rfc3339;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// The version of every schema; raised by a change that could break a program.
const VERSION: u32 = 1;

/// The renamed fields: the enclosing object (`*` for any), the field's name, and its name in the
/// contract.
const RENAMED: [(&str, &str, &str); 36] = [
    ("*", "alreadyThere", "alreadyPresent"),
    ("*", "diskLen", "diskBytes"),
    ("*", "fileLen", "fileBytes"),
    ("*", "roundedLen", "roundedBytes"),
    ("*", "instance", "directory"),
    ("applications", "name", "application"),
    ("channel", "name", "channel"),
    ("channels", "name", "channel"),
    ("deliveries", "id", "delivery"),
    ("disks", "len", "diskBytes"),
    ("disks", "path", "file"),
    ("entries", "digest", "entryDigest"),
    ("entry", "digest", "entryDigest"),
    ("hosts", "disks", "diskCount"),
    ("noted", "disks", "diskCount"),
    ("packages", "len", "fileBytes"),
    ("mirrors", "name", "mirror"),
    ("jobs", "bytes", "doneBytes"),
    ("jobs", "objects", "objectCount"),
    ("partitions", "len", "partitionBytes"),
    ("partitions", "start", "offsetBytes"),
    ("pins", "name", "pin"),
    ("tokens", "name", "token"),
    ("webhooks", "id", "webhook"),
    ("seawall.backup", "len", "fileBytes"),
    ("seawall.export", "len", "diskBytes"),
    ("seawall.export", "disk", "reference"),
    ("seawall.fsck", "bytes", "readBytes"),
    ("seawall.fsck", "objects", "objectCount"),
    ("seawall.mirror", "name", "mirror"),
    ("seawall.package", "release", "reference"),
    ("seawall.patch", "disks", "changes"),
    ("seawall.patch-plan", "disks", "changes"),
    ("seawall.repair", "bytes", "sentBytes"),
    ("seawall.token", "name", "token"),
    ("seawall.webhook", "id", "webhook"),
];

/// Objects with a format of their own, passed unchanged: the enclosing object and the field's name.
const FOREIGN: [(&str, &str); 3] =
    [("seawall.show", "release"), ("seawall.retention", "error"), ("last", "error")];

/// Returns an answer in the form of the contract.
pub(crate) fn shaped(schema: &str, value: &impl Serialize) -> Result<Value, Failure> {
    let value = serde_json::to_value(value)
        .map_err(|error| Failure::internal(format!("the answer is no JSON: {error}")))?;
    let Value::Object(map) = value else {
        return Err(Failure::internal(format!("{schema} is not an object")));
    };
    let mut map = object(&format!("seawall.{schema}"), map);
    map.insert("schema".to_owned(), json!(format!("seawall.{schema}/{VERSION}")));
    Ok(Value::Object(map))
}

/// Returns a failure in the form of the contract, for standard error.
pub(crate) fn error(failure: &Failure) -> Value {
    json!({
        "schema": format!("seawall.error/{VERSION}"),
        "code": failure.code(),
        "message": failure.what(),
        "causes": failure.causes(),
        "remedy": failure.remedy(),
        "exitStatus": failure.exit_code(),
    })
}

/// Shapes an object found under the name `parent`; items of a list take the list's name.
fn object(parent: &str, map: Map<String, Value>) -> Map<String, Value> {
    let mut shaped = Map::new();
    for (name, value) in map {
        let name = renamed(parent, &name, &value);
        let value = match value {
            foreign if FOREIGN.contains(&(parent, name)) => foreign,
            Value::String(text) => unpacked(parent, name, text),
            value => inner(name, value),
        };
        if let (Some(moment), Some(secs)) = (moment_name(name), value.as_u64()) {
            shaped.insert(moment.to_owned(), json!(rfc3339(secs)));
        }
        shaped.insert(name.to_owned(), value);
    }
    shaped
}

fn inner(name: &str, value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(object(name, map)),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| inner(name, item)).collect())
        }
        value => value,
    }
}

fn renamed<'a>(parent: &str, name: &'a str, value: &Value) -> &'a str {
    let rule = RENAMED.iter().find(|(of, old, _)| (*of == "*" || *of == parent) && *old == name);
    match (rule, name, value) {
        (Some((.., new)), ..) => new,
        // The digest of a release, in any object.
        (None, "release", Value::String(text)) if text.starts_with("blake3:") => "digest",
        _ => name,
    }
}

/// Decodes a string that holds another type: a number in `facts`, JSON in `fields`.
fn unpacked(parent: &str, name: &str, text: String) -> Value {
    let is_number = |name: &str| {
        ["Bytes", "Count", "BytesMax", "CountMax"].iter().any(|end| name.ends_with(end))
            || ["sequence", "packs", "objects"].contains(&name)
    };
    match parent {
        "facts" if is_number(name) => match text.parse::<u64>() {
            Ok(number) => json!(number),
            // A lifted quota.
            Err(_) if text == "none" => Value::Null,
            Err(_) => Value::String(text),
        },
        "facts" if text.starts_with('{') => serde_json::from_str(&text).unwrap_or(json!(text)),
        "fields" if ["from", "to"].contains(&name) => {
            serde_json::from_str(&text).unwrap_or(json!(text))
        }
        _ => Value::String(text),
    }
}

/// Returns the name for the RFC 3339 form of a moment in seconds, such as `movedAt` for
/// `movedAtSecs`; `None` for durations.
fn moment_name(name: &str) -> Option<&str> {
    let stem = name.strip_suffix("Secs")?;
    let is_moment = ["At", "Since", "Until"].iter().any(|end| stem.ends_with(end))
        || ["at", "since", "deadline", "until"].contains(&stem);
    is_moment.then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_gets_the_names_of_the_contract() {
        let digest = format!("blake3:{}", "ab".repeat(32));
        let answer = json!({
            "alreadyThere": true,
            "channel": {"release": digest, "movedAtSecs": 60, "ttlSecs": 60},
            "disks": [{"len": 4096, "path": "/srv/a"}],
            "entries": [{
                "digest": "blake3:entry",
                "release": digest,
                "facts": {"sequence": "2", "dataBytesMax": "none", "reason": "7"},
            }],
            "fields": [{"field": "/cpus", "from": "4", "to": "{\"a\":1}"}],
        });
        assert_eq!(
            shaped("promote", &answer).unwrap(),
            json!({
                "schema": "seawall.promote/1",
                "alreadyPresent": true,
                "channel": {
                    "digest": digest,
                    "movedAtSecs": 60,
                    "movedAt": "1970-01-01T00:01:00Z",
                    "ttlSecs": 60,
                },
                "disks": [{"diskBytes": 4096, "file": "/srv/a"}],
                "entries": [{
                    "entryDigest": "blake3:entry",
                    "digest": digest,
                    "facts": {"sequence": 2, "dataBytesMax": null, "reason": "7"},
                }],
                "fields": [{"field": "/cpus", "from": 4, "to": {"a": 1}}],
            })
        );
        assert!(shaped("x", &json!([1])).is_err(), "a bare list has no schema");
    }

    #[test]
    fn a_failure_is_an_object_with_its_next_step() {
        let failure = Failure::usage("no such thing", "name another");
        assert_eq!(
            error(&failure),
            json!({
                "schema": "seawall.error/1",
                "code": "invalid-input",
                "message": "no such thing",
                "causes": [],
                "remedy": "name another",
                "exitStatus": 2,
            })
        );
    }
}
