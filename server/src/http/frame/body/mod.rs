//! Request bodies, bounded in length, pace and memory.
//!
//! # Invariants
//!
//! 1. A body's share of memory is released when the last of its bytes is dropped, not before: work
//!    that continues after the client is gone still holds the share.
//! 2. Queries have a budget of their own. They are answered no matter how many packs are being
//!    uploaded slowly.
//! 3. No body waits for memory forever or arrives below the minimum pace forever.
//! 4. A body that is incomplete after [`limits::SPOOL_AFTER`] is spooled to disk and acquires its
//!    share again once complete. Meanwhile, others can use the memory.

use actix_web::http::header::{CONTENT_LENGTH, HeaderMap};
use actix_web::{HttpRequest, dev, web};
use bytes::Bytes;
use futures::StreamExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::Connection;
use super::{Edge, Refusal, limits};
use crate::metrics::Metrics;

mod budget;
mod spool;

pub(super) use budget::Budget;
use budget::Sender;
pub(crate) use budget::{AnswerMemory, Share};
pub(super) use spool::Spool;

/// Bytes with their share of memory.
struct Held {
    bytes: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The pace of an incoming body, measured in time windows. A connection may be slow or falter, but
/// a stalled client must not hold its share of memory.
struct Pace {
    window_end: Instant,
    window_len: usize,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { window_end: now + limits::PACE_WINDOW, window_len: 0 }
    }

    /// Counts `len` bytes received at `now`.
    fn received(&mut self, now: Instant, len: usize) {
        self.window_len += len;
        if self.window_len >= limits::PACE_LEN_MIN {
            *self = Self::new(now);
        }
    }

    /// Returns the time when the body is given up unless enough bytes arrive before.
    fn deadline(&self) -> Instant {
        self.window_end
    }
}

/// Reads an upload of at most `limit` bytes, once memory is available.
pub(crate) async fn upload(
    request: &HttpRequest,
    payload: &mut dev::Payload,
    limit: usize,
) -> Result<Bytes, Refusal> {
    receive(request, payload, limit, |edge| &edge.uploads).await
}

/// Reads a query of at most [`limits::JSON_LEN_MAX`] bytes, once memory is available.
pub(crate) async fn question(
    request: &HttpRequest,
    payload: &mut dev::Payload,
) -> Result<Bytes, Refusal> {
    receive(request, payload, limits::JSON_LEN_MAX, |edge| &edge.questions).await
}

/// Returns the declared length of a body, in bytes.
pub(crate) fn content_len(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn receive(
    request: &HttpRequest,
    payload: &mut dev::Payload,
    limit: usize,
    budget: fn(&Edge) -> &Budget,
) -> Result<Bytes, Refusal> {
    let edge = request.app_data::<web::Data<Edge>>().ok_or(Refusal::Unconfigured)?;
    let receiver = Receiver {
        sender: Sender::of(request),
        budget: budget(edge),
        spool: edge.spool.as_ref(),
        metrics: &edge.metrics,
    };
    let received = receiver.read(request.headers(), payload, limit).await;
    if received.is_err() {
        drain(request, payload, &edge.metrics).await;
    }
    received
}

/// The context for reading a body.
struct Receiver<'a> {
    sender: Sender,
    budget: &'a Budget,
    /// The spool for slow bodies. `None` keeps them in memory.
    spool: Option<&'a Spool>,
    metrics: &'a Metrics,
}

impl Receiver<'_> {
    async fn read(
        &self,
        headers: &HeaderMap,
        payload: &mut dev::Payload,
        limit: usize,
    ) -> Result<Bytes, Refusal> {
        let declared = content_len(headers);
        let room = match declared.map(usize::try_from) {
            Some(Ok(len)) if len <= limit => len,
            Some(_) => return Err(Refusal::BodyTooLong { limit }),
            None => limit,
        };
        let share = self.budget.share(&self.sender, room).await?;
        let mut coming = Coming {
            bytes: Vec::with_capacity(declared.map_or(0, |_| room)),
            len: 0,
            room,
            limit,
            pace: Pace::new(Instant::now()),
        };
        let in_time = self.rest(payload, &mut coming);
        let is_whole = match timeout(limits::SPOOL_AFTER, in_time).await {
            Ok(outcome) => outcome.map(|()| true)?,
            Err(_) => false,
        };
        let spooled = match self.spool {
            Some(spool) if !is_whole => spool.begin().await,
            _ => None,
        };
        let Some(mut spooled) = spooled else {
            if !is_whole {
                self.rest(payload, &mut coming).await?;
            }
            return Ok(Bytes::from_owner(Held { bytes: coming.bytes, _share: share }));
        };
        spooled.push(std::mem::take(&mut coming.bytes)).await?;
        drop(share);
        while self.next(payload, &mut coming).await? {
            if coming.bytes.len() >= limits::SPOOL_PIECE_LEN {
                spooled.push(std::mem::take(&mut coming.bytes)).await?;
            }
        }
        spooled.push(coming.bytes).await?;
        let share = self.budget.share(&self.sender, spooled.len()).await?;
        Ok(Bytes::from_owner(Held { bytes: spooled.read().await?, _share: share }))
    }

    /// Reads the rest of a body.
    async fn rest(&self, payload: &mut dev::Payload, coming: &mut Coming) -> Result<(), Refusal> {
        while self.next(payload, coming).await? {}
        Ok(())
    }

    /// Reads the next piece. Returns false at the end of the body.
    async fn next(&self, payload: &mut dev::Payload, coming: &mut Coming) -> Result<bool, Refusal> {
        let next = timeout_at(coming.pace.deadline(), payload.next()).await;
        match next.map_err(|_| Refusal::BodyTooSlow)? {
            Some(Ok(piece)) => {
                self.metrics.received(piece.len());
                coming.len += piece.len();
                if coming.len > coming.room {
                    return Err(Refusal::BodyTooLong { limit: coming.limit });
                }
                coming.pace.received(Instant::now(), piece.len());
                coming.bytes.extend_from_slice(&piece);
                Ok(true)
            }
            Some(Err(error)) => Err(Refusal::BodyIncomplete { why: error.to_string() }),
            None => Ok(false),
        }
    }
}

/// An incoming body.
struct Coming {
    /// The bytes received since the last write to the spool.
    bytes: Vec<u8>,
    /// The number of bytes received.
    len: usize,
    /// The maximum number of bytes to receive.
    room: usize,
    limit: usize,
    pace: Pace,
}

/// Reads and discards the rest of a refused body, within limits.
///
/// A sender that meets a closed connection while still writing never sees the answer. If the body
/// exceeds the limits, the answer ends the connection.
pub(crate) async fn drain(request: &HttpRequest, payload: &mut dev::Payload, metrics: &Metrics) {
    let rest = async {
        let mut len = 0;
        while let Some(piece) = payload.next().await {
            let Ok(piece) = piece else { return false };
            len += piece.len();
            metrics.received(piece.len());
            if len > limits::DRAIN_LEN_MAX {
                return false;
            }
        }
        true
    };
    let is_whole = timeout(limits::DRAIN_TIME_MAX, rest).await == Ok(true);
    if let Some(connection) = request.conn_data::<Connection>().filter(|_| !is_whole) {
        connection.close();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;
    use std::time::Duration;

    use super::*;

    fn budget(units: usize) -> Budget {
        Budget::new(units, Duration::from_millis(50))
    }

    async fn read_all(pieces: Vec<Bytes>, budget: &Budget) -> Result<Bytes, Refusal> {
        let mut pieces = pieces.into_iter().map(Ok);
        let stream = futures::stream::poll_fn(move |_| Poll::Ready(pieces.next()));
        let mut payload = dev::Payload::Stream { payload: stream.boxed_local() };
        let metrics = &Metrics::default();
        let receiver = Receiver { sender: Sender::named("ci"), budget, spool: None, metrics };
        receiver.read(&HeaderMap::new(), &mut payload, limits::BUDGET_UNIT).await
    }

    /// A body whose rest arrives when the test says so.
    #[tokio::test]
    async fn a_slow_body_waits_on_the_disk_and_leaves_the_memory_to_others() {
        let (budget, dir) = (budget(1), tempfile::tempdir().unwrap());
        let (send, rest) = tokio::sync::oneshot::channel::<()>();
        let first = futures::stream::iter([Ok(Bytes::from_static(b"slow "))]);
        let last = futures::stream::once(rest).map(|_| Ok(Bytes::from_static(b"line")));
        let mut payload = dev::Payload::Stream { payload: first.chain(last).boxed_local() };
        let (spool, metrics) = (Spool::new(dir.path()), Metrics::default());
        let (sender, spool) = (Sender::named("slow"), Some(&spool));
        let receiver = Receiver { sender, budget: &budget, spool, metrics: &metrics };
        let headers = HeaderMap::new();
        let slow = receiver.read(&headers, &mut payload, limits::BUDGET_UNIT);
        let others = async {
            while budget.free_units() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let fast = read_all(vec![Bytes::from_static(b"fast")], &budget).await.unwrap();
            assert_eq!(fast, b"fast"[..]);
            drop(fast);
            send.send(()).unwrap();
        };
        tokio::task::yield_now().await;
        let (slow, ()) = futures::join!(slow, others);
        assert_eq!(slow.unwrap(), b"slow line"[..]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "its file has no name");
    }

    /// The handler that received the body may be gone long before the last user of its bytes.
    #[tokio::test]
    async fn a_share_of_memory_is_held_until_the_last_of_its_bytes_is_dropped() {
        let budget = budget(1);
        let bytes = read_all(vec![Bytes::from_static(b"abc")], &budget).await.unwrap();
        let part = bytes.slice(1..);
        drop(bytes);
        assert_eq!(budget.free_units(), 0);
        assert_eq!(part, b"bc"[..]);
        drop(part);
        assert_eq!(budget.free_units(), 1);
    }

    #[tokio::test]
    async fn a_body_that_finds_no_memory_in_time_is_told_to_come_back() {
        let budget = budget(1);
        let _held = read_all(vec![Bytes::from_static(b"abc")], &budget).await.unwrap();
        let error = read_all(vec![], &budget).await.unwrap_err();
        assert!(matches!(error, Refusal::NoMemory { .. }), "{error:?}");
    }

    /// Three packs of 16 MiB in parallel over 1 Mbit/s, in pieces of 4 KiB, and one that trickles.
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
