//! `/v1/chunks` and `/v1/leaves/missing`: queries about many objects at once.

use actix_web::web;
use seawall_api::v1::{self, CHUNKS_PER_QUESTION_MAX, LEAVES_PER_QUESTION_MAX};

use crate::app::Registry;
use crate::app::model::ChunkPlace;
use crate::http::extract::{Body, lease_id};
use crate::http::frame::{Access, Resource, at};
use crate::http::voice::ApiError;

pub(crate) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/chunks/missing").post(Access::Publisher, missing_chunks),
        at("/v1/chunks/locate").post(Access::Reader, locate),
        at("/v1/leaves/missing").post(Access::Publisher, missing_leaves),
    ]
}

fn at_most(count: usize, max: usize, what: &str) -> Result<(), ApiError> {
    if count <= max {
        return Ok(());
    }
    Err(ApiError::invalid(format!("a query may name at most {max} {what}, not {count}"))
        .with_remedy("split the query".to_owned()))
}

/// Returns the positions of the chunks that a push has to upload.
#[utoipa::path(post, path = "/v1/chunks/missing", tag = "chunks", request_body = v1::MissingChunks,
    responses((status = 200, description = "The positions of the missing items",
               body = v1::MissingPositions)))]
pub(crate) async fn missing_chunks(
    registry: web::Data<Registry>,
    Body(body): Body<v1::MissingChunks>,
) -> Result<web::Json<v1::MissingPositions>, ApiError> {
    at_most(body.chunks.len(), CHUNKS_PER_QUESTION_MAX, "chunks")?;
    let missing = registry.content.missing_chunks(lease_id(&body.lease)?, body.chunks).await?;
    Ok(web::Json(v1::MissingPositions { missing }))
}

/// Returns the positions of the leaves that a push has to upload.
///
/// The other leaves are complete.
#[utoipa::path(post, path = "/v1/leaves/missing", tag = "indexes", request_body = v1::MissingLeaves,
    responses((status = 200, description = "The positions of the missing items",
               body = v1::MissingPositions)))]
pub(crate) async fn missing_leaves(
    registry: web::Data<Registry>,
    Body(body): Body<v1::MissingLeaves>,
) -> Result<web::Json<v1::MissingPositions>, ApiError> {
    at_most(body.leaves.len(), LEAVES_PER_QUESTION_MAX, "leaves")?;
    let missing = registry.content.missing_leaves(lease_id(&body.lease)?, body.leaves).await?;
    Ok(web::Json(v1::MissingPositions { missing }))
}

/// Returns the locations of chunks: the pack, the range in the pack, and the encoding.
#[utoipa::path(post, path = "/v1/chunks/locate", tag = "chunks", request_body = v1::LocateChunks,
    responses((status = 200, description = "One location per chunk", body = v1::LocatedChunks)))]
pub(crate) async fn locate(
    registry: web::Data<Registry>,
    Body(body): Body<v1::LocateChunks>,
) -> Result<web::Json<v1::LocatedChunks>, ApiError> {
    at_most(body.chunks.len(), CHUNKS_PER_QUESTION_MAX, "chunks")?;
    let (packs, places) = registry.content.locate_chunks(body.chunks).await?;
    let locations = places.into_iter().map(location_of).collect();
    Ok(web::Json(v1::LocatedChunks { packs, locations }))
}

fn location_of(place: ChunkPlace) -> v1::ChunkLocation {
    v1::ChunkLocation {
        pack: place.pack,
        offset: place.frame.offset,
        stored_len: place.frame.stored_len,
        plain_len: place.frame.plain_len.get(),
        encoding: place.frame.encoding,
    }
}
