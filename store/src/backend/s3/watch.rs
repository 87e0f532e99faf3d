//! Detection of stalled requests.
//!
//! A limit on the time of a whole request either kills uploads over slow lines or waits for minutes
//! on a dead one. Here a request may take long as long as bytes move: the request fails once
//! nothing was sent or received for a while, and is then repeated like one that was never sent.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use http_body::{Body, Frame, SizeHint};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService, SpawnedReqwestConnector,
};
use object_store::{ClientOptions, PutPayload};
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::Budget;
use super::renewal::Refused;
use crate::error::Fault;

/// The length of the parts in which progress of an upload is seen, in bytes.
const PART_LEN: usize = 64 << 10;

/// The longest answer in bytes. The store reads objects in pieces of 4 MiB.
const ANSWER_LEN_MAX: usize = 20 << 20;

/// The failure of an answer that is too long.
#[derive(Debug, thiserror::Error)]
#[error("the answer is longer than {} MiB", ANSWER_LEN_MAX >> 20)]
struct TooLong;

/// The failure of a request that made no progress.
#[derive(Debug, thiserror::Error)]
#[error("nothing was sent or received for {} seconds", .0.as_secs())]
struct Stalled(Duration);

fn stalled(time: Duration) -> HttpError {
    // Of the kinds, this one is repeated whatever the request.
    HttpError::new(HttpErrorKind::Request, Stalled(time))
}

/// Makes clients whose requests fail when they stall.
#[derive(Debug)]
pub(super) struct Connector {
    /// The runtime of the connections.
    pub(super) runtime: Handle,
    /// The time without progress after which a request fails.
    pub(super) stall_time_max: Duration,
    /// The retries that all requests share.
    pub(super) budget: Arc<Budget>,
    /// Set when an answer refuses the credentials.
    pub(super) refused: Arc<Refused>,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = SpawnedReqwestConnector::new(self.runtime.clone()).connect(options)?;
        let (stall_time_max, budget) = (self.stall_time_max, Arc::clone(&self.budget));
        let refused = Arc::clone(&self.refused);
        Ok(HttpClient::new(Watched { inner, stall_time_max, budget, refused }))
    }
}

/// A client that watches its requests and retries them.
#[derive(Debug)]
struct Watched {
    inner: HttpClient,
    stall_time_max: Duration,
    budget: Arc<Budget>,
    refused: Arc<Refused>,
}

#[async_trait::async_trait]
impl HttpService for Watched {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.budget.send(request.method(), || self.attempt(request.clone())).await
    }
}

impl Watched {
    /// Sends a request and receives the whole answer, so that one that is cut counts as failed.
    async fn attempt(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let progress = Progress::begin();
        let request = request.map(|body| in_parts(body, &progress));
        let response = tokio::select! {
            response = self.inner.execute(request) => response?,
            () = progress.ends(self.stall_time_max) => return Err(stalled(self.stall_time_max)),
        };
        let (head, inner) = response.into_parts();
        let timer = Box::pin(sleep(self.stall_time_max));
        let watch = Watch { inner, timer, is_waiting: false, stall_time_max: self.stall_time_max };
        let bytes = received(HttpResponseBody::new(watch)).await?;
        if Fault::is_of_credentials(head.status.as_u16(), &bytes) {
            self.refused.set();
        }
        Ok(HttpResponse::from_parts(head, bytes.into()))
    }
}

/// Receives the body of an answer. Fails if it is longer than any that the store asks for.
async fn received(body: HttpResponseBody) -> Result<Bytes, HttpError> {
    let cut = |error| HttpError::new(HttpErrorKind::Request, error);
    let mut frames = body.bytes_stream();
    let Some(first) = frames.try_next().await.map_err(cut)? else { return Ok(Bytes::new()) };
    let Some(second) = frames.try_next().await.map_err(cut)? else { return Ok(first) };
    let mut bytes = BytesMut::from(first);
    bytes.extend_from_slice(&second);
    while let Some(frame) = frames.try_next().await.map_err(cut)? {
        if bytes.len() + frame.len() > ANSWER_LEN_MAX {
            return Err(HttpError::new(HttpErrorKind::Decode, TooLong));
        }
        bytes.extend_from_slice(&frame);
    }
    Ok(bytes.freeze())
}

/// The time at which an upload last made progress.
#[derive(Clone, Debug)]
struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    fn begin() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once there was no progress for `time`.
    async fn ends(&self, time: Duration) {
        let mut seen = self.last();
        loop {
            sleep_until(seen + time).await;
            let now = self.last();
            if now == seen {
                return;
            }
            seen = now;
        }
    }
}

/// A part of an upload. The connection drops it once it is written to the socket.
struct Part {
    bytes: Bytes,
    progress: Progress,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.progress.note();
    }
}

/// Cuts the body of an upload into parts that tell when they are sent. Copies nothing.
fn in_parts(mut body: HttpRequestBody, progress: &Progress) -> HttpRequestBody {
    // The bodies of all other requests are short.
    if body.as_bytes().is_some() {
        return body;
    }
    let mut parts = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) {
        let Ok(mut bytes) = frame.into_data() else { continue };
        while !bytes.is_empty() {
            let part = bytes.split_to(PART_LEN.min(bytes.len()));
            parts.push(Bytes::from_owner(Part { bytes: part, progress: progress.clone() }));
        }
    }
    HttpRequestBody::from(parts.into_iter().collect::<PutPayload>())
}

/// The body of an answer, which fails if nothing arrives for a while.
#[derive(Debug)]
struct Watch {
    inner: HttpResponseBody,
    timer: Pin<Box<Sleep>>,
    /// True while the reader waits for bytes. The time that the reader takes does not count.
    is_waiting: bool,
    stall_time_max: Duration,
}

impl Body for Watch {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            self.is_waiting = false;
            return Poll::Ready(frame);
        }
        let time = self.stall_time_max;
        if !self.is_waiting {
            self.is_waiting = true;
            self.timer.as_mut().reset(Instant::now() + time);
        }
        self.timer.as_mut().poll(context).map(|()| Some(Err(stalled(time))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_upload_may_take_long_while_its_parts_are_sent() {
        let progress = Progress::begin();
        let payload = PutPayload::from(vec![7; 3 * PART_LEN + 1]);
        let mut body = in_parts(HttpRequestBody::from(payload), &progress);
        assert_eq!(body.content_length(), 3 * PART_LEN + 1);
        let begun = Instant::now();
        let (limit, step) = (Duration::from_secs(60), Duration::from_secs(50));
        let send = async {
            let mut context = Context::from_waker(Waker::noop());
            let mut sent = Vec::new();
            while let Poll::Ready(Some(part)) = Pin::new(&mut body).poll_frame(&mut context) {
                sent.push(part.unwrap().into_data().unwrap());
            }
            // The payload keeps its parts; the connection gets them one by one.
            drop(body);
            assert_eq!(sent.len(), 4);
            for part in sent {
                sleep(step).await;
                drop(part);
            }
        };
        tokio::join!(send, progress.ends(limit));
        assert_eq!(begun.elapsed(), 4 * step + limit, "the time counts from the last part");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_stops_in_the_middle_fails() {
        let (send, receive) = tokio::sync::mpsc::channel(1);
        struct Slow(tokio::sync::mpsc::Receiver<Bytes>);
        impl Body for Slow {
            type Data = Bytes;
            type Error = HttpError;
            fn poll_frame(
                mut self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
                self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
        let stall_time_max = Duration::from_secs(60);
        let timer = Box::pin(sleep(Duration::ZERO));
        let inner = HttpResponseBody::new(Slow(receive));
        let watch = Watch { inner, timer, is_waiting: false, stall_time_max };
        let mut body = Box::pin(HttpResponseBody::new(watch).bytes_stream());
        let mut next = async || futures::StreamExt::next(&mut body).await.unwrap();
        let feed = async {
            sleep(Duration::from_secs(59)).await;
            send.send(Bytes::from_static(b"x")).await.unwrap();
        };
        let (first, ()) = tokio::join!(next(), feed);
        assert_eq!(first.unwrap(), "x");
        // A reader that is slow itself is not a stall.
        sleep(Duration::from_secs(600)).await;
        send.send(Bytes::from_static(b"y")).await.unwrap();
        assert_eq!(next().await.unwrap(), "y");
        let begun = Instant::now();
        let error = next().await.unwrap_err();
        assert_eq!(error.kind(), HttpErrorKind::Request);
        assert_eq!(begun.elapsed(), stall_time_max);
    }
}
