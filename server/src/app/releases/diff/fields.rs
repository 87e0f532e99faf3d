//! The comparison of two documents field by field, over their JSON, so that new fields need no code
//! here.

use std::collections::BTreeSet;

use seawall_api::release::{Disk, Machine, Release};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::app::AppError;

/// A differing field. Values are JSON text, and `None` if absent from the document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldDiff {
    /// The field's path in the document.
    pub field: String,
    /// The value in `from`.
    pub from: Option<String>,
    /// The value in `to`.
    pub to: Option<String>,
}

pub(super) fn outside_machines(from: &Release, to: &Release) -> Result<Vec<FieldDiff>, AppError> {
    between(Some(from.document()), Some(to.document()), &["machines"])
}

pub(super) fn outside_disks(
    from: Option<&Machine>,
    to: Option<&Machine>,
) -> Result<Vec<FieldDiff>, AppError> {
    between(from, to, &["name", "disks"])
}

pub(super) fn of_disk(from: Option<&Disk>, to: Option<&Disk>) -> Result<Vec<FieldDiff>, AppError> {
    between(from, to, &["name", "content", "index"])
}

fn between<T: Serialize>(
    from: Option<&T>,
    to: Option<&T>,
    except: &[&str],
) -> Result<Vec<FieldDiff>, AppError> {
    let (from, to) = (object(from, except)?, object(to, except)?);
    let mut diffs = Vec::new();
    compare("", &from, &to, &mut diffs);
    Ok(diffs)
}

fn object<T: Serialize>(part: Option<&T>, except: &[&str]) -> Result<Map<String, Value>, AppError> {
    let value = serde_json::to_value(part).map_err(|error| AppError::Internal {
        action: "compare documents",
        source: error.into(),
    })?;
    let Value::Object(mut object) = value else { return Ok(Map::new()) };
    object.retain(|key, _| !except.contains(&key.as_str()));
    Ok(object)
}

/// Compares objects key by key, and any other value, including a list, as a whole.
fn compare(
    path: &str,
    from: &Map<String, Value>,
    to: &Map<String, Value>,
    diffs: &mut Vec<FieldDiff>,
) {
    let keys: BTreeSet<_> = from.keys().chain(to.keys()).collect();
    for key in keys {
        let field = if path.is_empty() { key.clone() } else { format!("{path}/{key}") };
        match (from.get(key), to.get(key)) {
            (a, b) if a == b => {}
            (Some(Value::Object(a)), Some(Value::Object(b))) => compare(&field, a, b, diffs),
            (a, b) => {
                let text = |value: &Value| value.to_string();
                diffs.push(FieldDiff { field, from: a.map(text), to: b.map(text) });
            }
        }
    }
}
