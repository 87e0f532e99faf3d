//! `/v1/diff`

use actix_web::web;
use seawall_api::reference::Reference;
use seawall_api::v1;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::Registry;
use crate::app::releases::diff::{DiskDiff, FieldDiff, MachineDiff, Presence, ReleaseDiff, Side};
use crate::http::frame::{Access, Actor, Resource, at};
use crate::http::voice::ApiError;

pub(crate) fn resources() -> Vec<Resource> {
    vec![at("/v1/diff").get(Access::Reader, diff)]
}

/// The releases to compare.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Sides {
    /// The old release, as `application:version`, `application:channel` or `application@blake3:…`.
    from: String,
    /// The new release, in the same form.
    to: String,
}

fn side(name: &str, text: &str) -> Result<Side, ApiError> {
    let bad = |why: String| ApiError::invalid(format!("`{name}`: {why}"));
    let reference: Reference = text.parse().map_err(|error| bad(format!("{error}")))?;
    match reference {
        Reference {
            host: None,
            application,
            selector: Some(selector),
            machine: None,
            disk: None,
        } => Ok((application, selector)),
        _ => Err(bad("name a release of this registry, `team/webshop:1.0`".to_owned())),
    }
}

/// Compares two releases, and computes the download of a host that moves from one to the other.
#[utoipa::path(get, path = "/v1/diff", tag = "releases", params(Sides),
    responses((status = 200, description = "The differences", body = v1::ReleaseDiff)))]
pub(crate) async fn diff(
    registry: web::Data<Registry>,
    actor: Actor,
    sides: web::Query<Sides>,
) -> Result<web::Json<v1::ReleaseDiff>, ApiError> {
    let (from, to) = (side("from", &sides.from)?, side("to", &sides.to)?);
    actor.check(Some(&from.0))?;
    actor.check(Some(&to.0))?;
    Ok(web::Json(body_of(registry.releases.diff(from, to).await?)))
}

fn body_of(diff: ReleaseDiff) -> v1::ReleaseDiff {
    v1::ReleaseDiff {
        from: diff.from,
        to: diff.to,
        fields: fields_of(diff.fields),
        machines: diff.machines.into_iter().map(machine_of).collect(),
        download_chunks: diff.download_chunks,
        download_bytes: diff.download_bytes,
        new_plain_bytes: diff.new_plain_bytes,
        reused_plain_bytes: diff.reused_plain_bytes,
    }
}

fn machine_of(diff: MachineDiff) -> v1::MachineDiff {
    v1::MachineDiff {
        machine: diff.machine,
        presence: presence_of(diff.presence),
        fields: fields_of(diff.fields),
        disks: diff.disks.into_iter().map(disk_of).collect(),
    }
}

fn disk_of(diff: DiskDiff) -> v1::DiskDiff {
    v1::DiskDiff {
        disk: diff.disk,
        presence: presence_of(diff.presence),
        fields: fields_of(diff.fields),
        from: diff.from.map(|disk| disk.content),
        to: diff.to.map(|disk| disk.content),
        changed_extents: diff.changed_extents,
        changed_bytes: diff.changed_bytes,
        new_plain_bytes: diff.new_plain_bytes,
    }
}

fn fields_of(diffs: Vec<FieldDiff>) -> Vec<v1::FieldDiff> {
    let body = |diff: FieldDiff| v1::FieldDiff { field: diff.field, from: diff.from, to: diff.to };
    diffs.into_iter().map(body).collect()
}

fn presence_of(presence: Presence) -> v1::Presence {
    match presence {
        Presence::Added => v1::Presence::Added,
        Presence::Removed => v1::Presence::Removed,
        Presence::Changed => v1::Presence::Changed,
    }
}
