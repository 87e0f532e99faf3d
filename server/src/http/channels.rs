//! `/v1/applications/{application}/channels`

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, HeaderMap, IF_MATCH, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};
use seawall_api::names::{ApplicationName, ChannelName};
use seawall_api::problem::Code;
use seawall_api::v1;

use super::auth::Actor;
use super::body::json;
use super::problem::ApiError;
use super::{openapi, range};
use crate::app::Registry;
use crate::app::channels::ChannelChange;
use crate::app::model::{Channel, ChannelMove, Expected};

pub(super) fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::resource("/v1/applications/{application}/channels").route(web::get().to(list)),
    )
    .service(
        web::resource("/v1/applications/{application}/channels/{channel}")
            .route(web::get().to(read))
            .route(web::put().to(advance)),
    )
    .service(
        web::resource("/v1/applications/{application}/channels/{channel}/history")
            .route(web::get().to(history)),
    );
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
pub(super) async fn list(
    registry: web::Data<Registry>,
    application: web::Path<ApplicationName>,
) -> Result<web::Json<v1::ChannelPage>, ApiError> {
    let channels = registry.channels(&application).await?;
    Ok(web::Json(v1::ChannelPage { channels: channels.into_iter().map(body_of).collect() }))
}

/// Returns the current state of a channel.
#[utoipa::path(get, path = "/v1/applications/{application}/channels/{channel}", tag = "channels",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION),
           ("channel" = ChannelName, Path, description = "The channel's name"),
           ("If-None-Match" = Option<String>, Header,
            description = "The known sequence numbers, in quotes")),
    responses((status = 200, description = "The channel", body = v1::Channel,
               headers(("etag" = String,
                        description = "The channel's sequence number, in quotes"))),
              (status = 304, description = "The channel has not moved")))]
pub(super) async fn read(
    registry: web::Data<Registry>,
    path: web::Path<(ApplicationName, ChannelName)>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (application, channel) = path.into_inner();
    let channel = registry.channel(&application, &channel).await?;
    let etag = etag_of(&channel);
    let is_known = range::matches_any(request.headers().get_all(IF_NONE_MATCH), &etag);
    let mut response = HttpResponse::Ok();
    response.insert_header((ETAG, etag)).insert_header((CACHE_CONTROL, range::CHECKED));
    if is_known {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    Ok(response.json(body_of(channel)))
}

/// Points a channel to a release, unless the channel moved since it was read.
#[utoipa::path(put, path = "/v1/applications/{application}/channels/{channel}", tag = "channels",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION),
           ("channel" = ChannelName, Path, description = "The channel's name"),
           ("If-Match" = Option<String>, Header,
            description = "The sequence number to replace, in quotes"),
           ("If-None-Match" = Option<String>, Header, description = "`*` to create the channel")),
    request_body = v1::MoveChannel,
    responses((status = 200, description = "The channel moved", body = v1::Channel),
              (status = 201, description = "The channel was created", body = v1::Channel)))]
pub(super) async fn advance(
    registry: web::Data<Registry>,
    path: web::Path<(ApplicationName, ChannelName)>,
    actor: Actor,
    (request, payload): (HttpRequest, web::Payload),
) -> Result<HttpResponse, ApiError> {
    let (application, channel) = path.into_inner();
    let body: v1::MoveChannel = json(&request, payload).await?;
    let expected = expected(request.headers())?;
    let change = ChannelChange { channel, release: body.release, expected, token: actor.0 };
    let moved = registry.move_channel(&application, change).await?;
    let status = if moved.sequence == 1 { StatusCode::CREATED } else { StatusCode::OK };
    let etag = etag_of(&moved);
    Ok(HttpResponse::build(status).insert_header((ETAG, etag)).json(body_of(moved)))
}

/// Parses the expected state of a channel from the request's preconditions.
fn expected(headers: &HeaderMap) -> Result<Expected, ApiError> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
    let malformed = |what: &str| Err(ApiError::invalid(what.to_owned()));
    match (text(IF_MATCH), text(IF_NONE_MATCH)) {
        (Some(tag), None) => {
            let digits = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            match digits.and_then(|digits| digits.parse().ok()) {
                Some(sequence) => Ok(Expected::Sequence(sequence)),
                None => malformed(
                    "If-Match must be the channel's sequence number in quotes, such as `\"3\"`",
                ),
            }
        }
        (None, Some("*")) => Ok(Expected::Absent),
        (None, Some(_)) => malformed("If-None-Match can only be `*`, which creates a channel"),
        (Some(_), Some(_)) => malformed("use either If-Match or If-None-Match, not both"),
        (None, None) => {
            let detail = "a change of a channel must name the state it replaces";
            let remedy = "send `If-Match: \"SEQUENCE\"`, or `If-None-Match: *` for a new channel";
            Err(ApiError::new(Code::PreconditionRequired, detail).with_remedy(remedy.to_owned()))
        }
    }
}

/// Lists the last 1000 moves of a channel, newest first.
#[utoipa::path(get, path = "/v1/applications/{application}/channels/{channel}/history",
    tag = "channels",
    params(("application" = ApplicationName, Path, description = openapi::APPLICATION),
           ("channel" = ChannelName, Path, description = "The channel's name")),
    responses((status = 200, description = "The moves of the channel", body = v1::ChannelHistory)))]
pub(super) async fn history(
    registry: web::Data<Registry>,
    path: web::Path<(ApplicationName, ChannelName)>,
) -> Result<web::Json<v1::ChannelHistory>, ApiError> {
    let (application, channel) = path.into_inner();
    let moves = registry.channel_history(&application, &channel).await?;
    Ok(web::Json(v1::ChannelHistory { moves: moves.into_iter().map(move_of).collect() }))
}
