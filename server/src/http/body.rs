//! Bodies of uploads: bounded in length, time and memory.

use std::sync::Arc;

use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{HttpMessage, HttpRequest, dev, web};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use seawall_api::problem::Code;
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use super::problem::ApiError;
use super::{Edge, limits};

/// A body in memory, and the share of memory it takes until this is dropped.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    _share: OwnedSemaphorePermit,
}

/// Reads a body of at most `limit` bytes, once there is memory for it.
pub(super) async fn receive(
    request: &HttpRequest,
    payload: web::Payload,
    limit: usize,
) -> Result<Received, ApiError> {
    let mut payload = payload.into_inner();
    match read(request, &mut payload, limit).await {
        Ok(received) => Ok(received),
        Err(error) => {
            drain(&mut payload).await;
            Err(error)
        }
    }
}

/// Reads a body in JSON.
pub(super) async fn json<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<T, ApiError> {
    let received = receive(request, payload, limits::JSON_LEN_MAX).await?;
    // A page of another site can make a browser send anything but this type without asking us.
    if request.content_type() != "application/json" {
        return Err(ApiError::invalid("the body is not declared as JSON")
            .with_remedy("send `content-type: application/json`".to_owned()));
    }
    serde_json::from_slice(&received.bytes)
        .map_err(|error| ApiError::invalid(format!("the body does not follow its schema: {error}")))
}

async fn read(
    request: &HttpRequest,
    payload: &mut dev::Payload,
    limit: usize,
) -> Result<Received, ApiError> {
    let too_large = || ApiError::too_large("the body", limit);
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|len| len.to_str().ok());
    let declared = declared.and_then(|len| len.parse::<u64>().ok());
    let room = match declared.map(usize::try_from) {
        Some(Ok(len)) if len <= limit => len,
        Some(_) => return Err(too_large()),
        None => limit,
    };
    let share = share(request, room).await?;
    let mut bytes = BytesMut::with_capacity(declared.map_or(0, |_| room));
    let deadline = Instant::now() + limits::BODY_TIME_MAX;
    loop {
        let pause = deadline.min(Instant::now() + limits::BODY_PAUSE_MAX);
        match timeout_at(pause, payload.next()).await {
            Ok(Some(Ok(piece))) if bytes.len() + piece.len() <= room => {
                bytes.extend_from_slice(&piece);
            }
            Ok(Some(Ok(_))) => return Err(too_large()),
            Ok(Some(Err(error))) => {
                return Err(ApiError::invalid(format!("the body broke off: {error}")));
            }
            Ok(None) => return Ok(Received { bytes: bytes.freeze(), _share: share }),
            Err(_) => return Err(ApiError::invalid("the body took too long")),
        }
    }
}

async fn share(request: &HttpRequest, room: usize) -> Result<OwnedSemaphorePermit, ApiError> {
    let failed = || ApiError::new(Code::Unavailable, "the registry is stopping");
    let edge = request.app_data::<web::Data<Edge>>().ok_or_else(failed)?;
    let units = u32::try_from(room.div_ceil(limits::BUDGET_UNIT)).map_err(|_| failed())?;
    Arc::clone(&edge.budget).acquire_many_owned(units).await.map_err(|_| failed())
}

/// Reads on for a while after a refusal. A sender that meets a closed connection while it is
/// still writing never gets to see the answer.
pub(super) async fn drain(payload: &mut dev::Payload) {
    let rest = async {
        let mut len = 0;
        while let Some(Ok(piece)) = payload.next().await {
            len += piece.len();
            if len > limits::DRAIN_LEN_MAX {
                break;
            }
        }
    };
    // Whether it ended or not: the answer goes out now.
    let _ = timeout(limits::DRAIN_TIME_MAX, rest).await;
}
