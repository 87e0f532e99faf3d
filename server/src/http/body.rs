//! Bodies of uploads and questions: bounded in length, pace and memory.
//!
//! # Invariants
//!
//! 1. A body's share of memory is given back when the last of its bytes is dropped, not before:
//!    work that goes on after its client is gone still holds it.
//! 2. Questions have a share of their own: however many packs crawl in, they are answered.
//! 3. No body waits for memory, or comes in below the slowest pace, for ever.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CONTENT_LENGTH, HeaderMap};
use actix_web::{HttpMessage, HttpRequest, dev, web};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use seawall_api::problem::Code;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::problem::ApiError;
use super::{Edge, limits};
use crate::app::Registry;
use crate::app::room::Reserved;
use crate::metrics::Metrics;

/// Memory for bodies of one kind, in units of `limits::BUDGET_UNIT`.
#[derive(Debug)]
pub(super) struct Budget {
    units: Arc<Semaphore>,
    /// How long a body may wait for its share.
    wait_max: Duration,
}

impl Budget {
    pub(super) fn new(units: usize, wait_max: Duration) -> Self {
        Self { units: Arc::new(Semaphore::new(units)), wait_max }
    }

    /// Room for `len` bytes, as soon as there is.
    async fn share(&self, len: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let stopping = || ApiError::new(Code::Unavailable, "the registry is stopping");
        let units = u32::try_from(len.div_ceil(limits::BUDGET_UNIT)).map_err(|_| stopping())?;
        let share = Arc::clone(&self.units).acquire_many_owned(units);
        match timeout(self.wait_max, share).await {
            Ok(share) => share.map_err(|_| stopping()),
            Err(_) => {
                let secs = self.wait_max.as_secs();
                let detail = format!("no memory for the body came free within {secs} s");
                Err(ApiError::new(Code::Unavailable, detail)
                    .with_remedy("try again, with fewer uploads at once".to_owned()))
            }
        }
    }
}

/// Bytes that hold their share of memory.
struct Held {
    bytes: BytesMut,
    _share: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// How fast a body comes in, seen through windows of time: a line may be slow and may falter, but
/// a client that stalls must not hold its share of memory.
struct Pace {
    window_end: Instant,
    window_len: usize,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { window_end: now + limits::PACE_WINDOW, window_len: 0 }
    }

    /// Counts `len` bytes that came at `now`.
    fn received(&mut self, now: Instant, len: usize) {
        self.window_len += len;
        if self.window_len >= limits::PACE_LEN_MIN {
            *self = Self::new(now);
        }
    }

    /// When the body is given up, unless enough of it comes before.
    fn deadline(&self) -> Instant {
        self.window_end
    }
}

fn too_slow() -> ApiError {
    let (len, secs) = (limits::PACE_LEN_MIN >> 10, limits::PACE_WINDOW.as_secs());
    let detail = format!("less than {len} KiB of the body came in {secs} s");
    ApiError::new(Code::Unavailable, detail)
        .with_remedy("send it again, with fewer uploads at once or over a faster line".to_owned())
}

/// Reads an upload of at most `limit` bytes, once there is memory for it.
pub(super) async fn receive(
    request: &HttpRequest,
    payload: web::Payload,
    limit: usize,
) -> Result<Bytes, ApiError> {
    receive_in(request, payload, limit, |edge| &edge.uploads).await
}

/// The same for what goes to the store, once there is room for it there. The room is held until
/// what is returned is dropped.
pub(super) async fn receive_for_store(
    request: &HttpRequest,
    payload: web::Payload,
    limit: usize,
    registry: &Registry,
) -> Result<(Option<Reserved>, Bytes), ApiError> {
    let declared = content_len(request.headers()).unwrap_or(limit as u64);
    match registry.reserve(declared.min(limit as u64)) {
        Ok(reserved) => Ok((reserved, receive(request, payload, limit).await?)),
        Err(error) => {
            if let Some(edge) = request.app_data::<web::Data<Edge>>() {
                drain(&mut payload.into_inner(), &edge.metrics).await;
            }
            Err(error.into())
        }
    }
}

fn content_len(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a body in JSON.
pub(super) async fn json<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<T, ApiError> {
    let limit = limits::JSON_LEN_MAX;
    let bytes = receive_in(request, payload, limit, |edge| &edge.questions).await?;
    // A page of another site can make a browser send anything but this type without asking us.
    if request.content_type() != "application/json" {
        return Err(ApiError::invalid("the body is not declared as JSON")
            .with_remedy("send `content-type: application/json`".to_owned()));
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::invalid(format!("the body does not follow its schema: {error}")))
}

async fn receive_in(
    request: &HttpRequest,
    payload: web::Payload,
    limit: usize,
    budget: fn(&Edge) -> &Budget,
) -> Result<Bytes, ApiError> {
    let edge = request
        .app_data::<web::Data<Edge>>()
        .ok_or_else(|| ApiError::new(Code::Internal, "the registry is not set up"))?;
    let mut payload = payload.into_inner();
    match read(request.headers(), &mut payload, limit, (budget(edge), &edge.metrics)).await {
        Ok(received) => Ok(received),
        Err(error) => {
            drain(&mut payload, &edge.metrics).await;
            Err(error)
        }
    }
}

async fn read(
    headers: &HeaderMap,
    payload: &mut dev::Payload,
    limit: usize,
    (budget, metrics): (&Budget, &Metrics),
) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::too_large("the body", limit);
    let declared = content_len(headers);
    let room = match declared.map(usize::try_from) {
        Some(Ok(len)) if len <= limit => len,
        Some(_) => return Err(too_large()),
        None => limit,
    };
    let share = budget.share(room).await?;
    let mut bytes = BytesMut::with_capacity(declared.map_or(0, |_| room));
    let mut pace = Pace::new(Instant::now());
    loop {
        let next = timeout_at(pace.deadline(), payload.next()).await;
        if let Ok(Some(Ok(piece))) = &next {
            metrics.received(piece.len());
        }
        match next {
            Ok(Some(Ok(piece))) if bytes.len() + piece.len() <= room => {
                pace.received(Instant::now(), piece.len());
                bytes.extend_from_slice(&piece);
            }
            Ok(Some(Ok(_))) => return Err(too_large()),
            Ok(Some(Err(error))) => {
                return Err(ApiError::invalid(format!("the body broke off: {error}")));
            }
            Ok(None) => return Ok(Bytes::from_owner(Held { bytes, _share: share })),
            Err(_) => return Err(too_slow()),
        }
    }
}

/// Reads on for a while after a refusal. A sender that meets a closed connection while it is
/// still writing never gets to see the answer.
pub(super) async fn drain(payload: &mut dev::Payload, metrics: &Metrics) {
    let rest = async {
        let mut len = 0;
        while let Some(Ok(piece)) = payload.next().await {
            len += piece.len();
            metrics.received(piece.len());
            if len > limits::DRAIN_LEN_MAX {
                break;
            }
        }
    };
    // Whether it ended or not: the answer goes out now.
    let _ = timeout(limits::DRAIN_TIME_MAX, rest).await;
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    fn budget(units: usize) -> Budget {
        Budget::new(units, Duration::from_millis(50))
    }

    async fn read_all(pieces: Vec<Bytes>, budget: &Budget) -> Result<Bytes, ApiError> {
        let mut pieces = pieces.into_iter().map(Ok);
        let stream = futures::stream::poll_fn(move |_| Poll::Ready(pieces.next()));
        let mut payload = dev::Payload::Stream { payload: stream.boxed_local() };
        read(&HeaderMap::new(), &mut payload, limits::BUDGET_UNIT, (budget, &Metrics::default()))
            .await
    }

    /// The handler that received it may be gone long before the last one who works on it.
    #[tokio::test]
    async fn a_share_of_memory_is_held_until_the_last_of_its_bytes_is_dropped() {
        let budget = budget(1);
        let bytes = read_all(vec![Bytes::from_static(b"abc")], &budget).await.unwrap();
        let part = bytes.slice(1..);
        drop(bytes);
        assert_eq!(budget.units.available_permits(), 0);
        assert_eq!(part, b"bc"[..]);
        drop(part);
        assert_eq!(budget.units.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_body_that_finds_no_memory_in_time_is_told_to_come_back() {
        let budget = budget(1);
        let _held = read_all(vec![Bytes::from_static(b"abc")], &budget).await.unwrap();
        let error = read_all(vec![], &budget).await.unwrap_err();
        assert_eq!(error.problem().code, Code::Unavailable);
        assert!(error.problem().remedy.as_ref().unwrap().contains("try again"));
    }

    /// Three packs of 16 MiB at once over 1 Mbit/s, in pieces of 4 KiB, and one that trickles.
    #[test]
    fn a_slow_line_is_waited_for_and_a_trickle_is_not() {
        let begin = Instant::now();
        let arrives = |len: usize, bytes_per_sec: usize| {
            let mut pace = Pace::new(begin);
            for at in (0..len).step_by(4096) {
                let now = begin + Duration::from_secs_f64(at as f64 / bytes_per_sec as f64);
                if now > pace.deadline() {
                    return false;
                }
                pace.received(now, 4096);
            }
            true
        };
        assert!(arrives(16 << 20, 125_000 / 3));
        assert!(!arrives(16 << 20, 4096));
    }
}
