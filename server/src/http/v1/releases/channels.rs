//! `/v1/applications/{application}/channels`

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG};
use actix_web::{HttpResponse, web};
use seawall_api::names::ApplicationName;
use seawall_api::v1;

use crate::app::Registry;
use crate::app::model::{Channel, ChannelMove};
use crate::app::releases::channels::ChannelChange;
use crate::http::extract::{Body, ChannelPath, Known, Precondition};
use crate::http::frame::{Access, Actor, Resource, at};
use crate::http::v1::answers::CHECKED;
use crate::http::v1::openapi;
use crate::http::voice::ApiError;

pub(crate) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/applications/{application}/channels").get(Access::Reader, list),
        at("/v1/applications/{application}/channels/{channel}")
            .get(Access::Reader, read)
            .put(Access::Publisher, advance),
        at("/v1/applications/{application}/channels/{channel}/history")
            .get(Access::Reader, history),
    ]
}

fn body_of(channel: Channel) -> v1::Channel {
    v1::Channel {
        name: channel.name,
        release: channel.release,
        version: channel.version,
        sequence: channel.sequence,
        moved_at_secs: channel.moved_at_secs,
    }
}

fn move_of(change: ChannelMove) -> v1::ChannelMove {
    v1::ChannelMove {
        sequence: change.sequence,
        release: change.release,
        version: change.version,
        moved_at_secs: change.moved_at_secs,
        moved_by: change.moved_by,
    }
}

fn etag_of(channel: &Channel) -> String {
    format!("\"{}\"", channel.sequence)
}

/// Lists the channels of an application, ordered by name.
#[utoipa::path(get, path = "/v1/applications/{application}/channels", tag = "channels",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION)),
    responses((status = 200, description = "The channels", body = v1::ChannelPage)))]
pub(crate) async fn list(
    registry: web::Data<Registry>,
    application: web::Path<ApplicationName>,
) -> Result<web::Json<v1::ChannelPage>, ApiError> {
    let channels = registry.releases.channels(&application).await?;
    Ok(web::Json(v1::ChannelPage { channels: channels.into_iter().map(body_of).collect() }))
}

/// Returns the current state of a channel.
#[utoipa::path(get, path = "/v1/applications/{application}/channels/{channel}", tag = "channels",
    params(ChannelPath,
           ("If-None-Match" = Option<String>, Header,
            description = "The known sequence numbers, in quotes")),
    responses((status = 200, description = "The channel", body = v1::Channel,
               headers(("etag" = String,
                        description = "The channel's sequence number, in quotes"))),
              (status = 304, description = "The channel has not moved")))]
pub(crate) async fn read(
    registry: web::Data<Registry>,
    path: web::Path<ChannelPath>,
    known: Known,
) -> Result<HttpResponse, ApiError> {
    let channel = registry.names.channel(&path.application, &path.channel).await?;
    let etag = etag_of(&channel);
    let is_known = known.has(&etag);
    let mut response = HttpResponse::Ok();
    response.insert_header((ETAG, etag)).insert_header((CACHE_CONTROL, CHECKED));
    if is_known {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    Ok(response.json(body_of(channel)))
}

/// Points a channel to a release, unless the channel moved since it was read.
#[utoipa::path(put, path = "/v1/applications/{application}/channels/{channel}", tag = "channels",
    params(ChannelPath,
           ("If-Match" = Option<String>, Header,
            description = "The sequence number to replace, in quotes"),
           ("If-None-Match" = Option<String>, Header, description = "`*` to create the channel")),
    request_body = v1::MoveChannel,
    responses((status = 200, description = "The channel moved", body = v1::Channel),
              (status = 201, description = "The channel was created", body = v1::Channel)))]
pub(crate) async fn advance(
    registry: web::Data<Registry>,
    path: web::Path<ChannelPath>,
    actor: Actor,
    precondition: Precondition,
    Body(body): Body<v1::MoveChannel>,
) -> Result<HttpResponse, ApiError> {
    let ChannelPath { application, channel } = path.into_inner();
    let expected = precondition.expected()?;
    let change = ChannelChange { channel, release: body.release, expected, token: actor.name };
    let moved = registry.releases.move_channel(&application, change).await?;
    let status = if moved.sequence == 1 { StatusCode::CREATED } else { StatusCode::OK };
    let etag = etag_of(&moved);
    Ok(HttpResponse::build(status).insert_header((ETAG, etag)).json(body_of(moved)))
}

/// Lists the last 1000 moves of a channel, newest first.
#[utoipa::path(get, path = "/v1/applications/{application}/channels/{channel}/history",
    tag = "channels",
    params(ChannelPath),
    responses((status = 200, description = "The moves of the channel", body = v1::ChannelHistory)))]
pub(crate) async fn history(
    registry: web::Data<Registry>,
    path: web::Path<ChannelPath>,
) -> Result<web::Json<v1::ChannelHistory>, ApiError> {
    let moves = registry.releases.channel_history(&path.application, &path.channel).await?;
    Ok(web::Json(v1::ChannelHistory { moves: moves.into_iter().map(move_of).collect() }))
}
