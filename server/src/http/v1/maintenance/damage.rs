//! `/v1/damage`, the damage of one release, and the repair of lost documents

use actix_web::{HttpResponse, web};
use seawall_api::digest::ReleaseDigest;
use seawall_api::release::Release;
use seawall_api::v1;

use crate::app::Registry;
use crate::app::releases::damage::{DamagedRelease, Lack};
use crate::http::extract::{ReleasePath, UnderLease, Upload};
use crate::http::frame::{Access, Actor, Resource, at};
use crate::http::v1::answers::status_of;
use crate::http::voice::ApiError;

pub(crate) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/damage").get(Access::Auditor, damage),
        at("/v1/applications/{application}/releases/{selector}/damage")
            .get(Access::Reader, damage_of),
        at("/v1/releases/{release}").put(Access::Publisher, put_document),
    ]
}

fn damaged((release, lacks): DamagedRelease) -> v1::DamagedRelease {
    let lost = lacks.into_iter().map(|Lack { lost, disks }| v1::LostObject {
        object: lost.object,
        what: lost.what,
        disks,
    });
    v1::DamagedRelease {
        application: release.application,
        version: release.version,
        digest: release.digest,
        lost: lost.collect(),
    }
}

/// Lists the releases known to be damaged, with the missing or damaged objects.
#[utoipa::path(get, path = "/v1/damage", tag = "fsck", operation_id = "read_damage",
    responses((status = 200, description = "The damaged releases", body = v1::Damage)))]
pub(crate) async fn damage(
    registry: web::Data<Registry>,
) -> Result<web::Json<v1::Damage>, ApiError> {
    let (releases, is_cut) = registry.releases.damage(v1::DAMAGED_RELEASES_MAX).await?;
    Ok(web::Json(v1::Damage { releases: releases.into_iter().map(damaged).collect(), is_cut }))
}

/// Lists the missing or damaged objects of a release.
///
/// The list is empty for a sound release.
#[utoipa::path(get, path = "/v1/applications/{application}/releases/{selector}/damage",
    tag = "fsck", operation_id = "read_damage_of",
    params(ReleasePath),
    responses((status = 200, description = "The missing or damaged objects",
               body = v1::DamagedRelease)))]
pub(crate) async fn damage_of(
    registry: web::Data<Registry>,
    path: web::Path<ReleasePath>,
) -> Result<web::Json<v1::DamagedRelease>, ApiError> {
    Ok(web::Json(damaged(registry.releases.damage_of(&path.application, &path.selector()?).await?)))
}

/// Restores the lost document of a published release.
#[utoipa::path(put, path = "/v1/releases/{release}", tag = "fsck", operation_id = "put_document",
    params(("release" = ReleaseDigest, Path, description = "The release's digest"), UnderLease),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, description = "Stored"),
              (status = 200, description = "Already present")))]
pub(crate) async fn put_document(
    registry: web::Data<Registry>,
    actor: Actor,
    upload: Upload<ReleaseDigest>,
) -> Result<HttpResponse, ApiError> {
    if let Ok(release) = Release::parse(&upload.bytes) {
        actor.check(Some(release.application()))?;
    }
    Ok(status_of(registry.releases.put_document(upload.lease, upload.target, upload.bytes).await?))
}
