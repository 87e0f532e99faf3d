//! A connection, with limits that hold regardless of the answers to its requests.
//!
//! The framework keeps reading after an answer: an unwanted chunked body is read for as long as it
//! arrives, and only the first request's head has a deadline. A handler cannot bound this. The
//! socket is therefore wrapped, and bytes and deadlines are checked on input and output.
//!
//! # Invariants
//!
//! 1. A connection is idle between two requests for at most [`limits::IDLE_TIME_MAX`]. Once the
//!    first byte arrives, the head of the next request must be complete within
//!    [`limits::HEAD_TIME_MAX`], or the connection ends.
//! 2. After an answer, at most [`limits::DRAIN_LEN_MAX`] bytes are read. After the last answer of a
//!    connection, reading ends after [`limits::CLOSE_TIME_MAX`].
//! 3. A new connection finds room: if a worker has nearly as many connections as it accepts, the
//!    connection that has waited longest for its next request ends.
//! 4. A request is handed on once the answer before it was sent ([`framing`]).
//! 5. A client accepts [`limits::SEND_LEN_MIN`] bytes of an answer, or the rest of it, in any
//!    [`limits::SEND_WINDOW`].
//!
//! [`framing`]: super::framing

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::framing::{Body, Framing};
use super::limits;

/// The clock and the counters of a connection.
#[derive(Debug)]
struct Watch {
    /// The number of requests whose answers were not completely handed to the socket.
    open_count: u32,
    /// The number of bytes read since the last request started or the last answer ended.
    received_len: usize,
    /// The time when the connection ends unless a request starts.
    read_deadline: Option<Instant>,
    /// True if bytes arrived since the last answer ended.
    has_begun: bool,
    /// True if the connection ends after the current answer.
    is_closing: bool,
    /// The time when the connection was accepted or its last answer ended.
    waits_since: Instant,
    /// The boundaries of the connection's requests.
    framing: Framing,
    /// The time since when the client accepts too little, and the number of bytes accepted since.
    blocked: Option<(Instant, usize)>,
    /// The waker of the task that serves the connection.
    waker: Option<Waker>,
}

impl Watch {
    fn new(now: Instant) -> Self {
        Self {
            open_count: 0,
            received_len: 0,
            read_deadline: Some(now + limits::HEAD_TIME_MAX),
            has_begun: true,
            is_closing: false,
            waits_since: now,
            framing: Framing::new(),
            blocked: None,
            waker: None,
        }
    }

    /// Counts received bytes. Returns false if they exceed the limit.
    fn received(&mut self, now: Instant, len: usize) -> bool {
        self.received_len = self.received_len.saturating_add(len);
        if self.open_count > 0 {
            return self.received_len <= limits::REQUEST_LEN_MAX;
        }
        if !self.has_begun && !self.is_closing {
            self.has_begun = true;
            self.read_deadline = Some(now + limits::HEAD_TIME_MAX);
        }
        self.received_len <= limits::DRAIN_LEN_MAX
    }

    fn begin(&mut self, body: Body) {
        self.open_count += 1;
        self.received_len = 0;
        self.read_deadline = None;
        if self.framing.begin(body) {
            // Part of the body arrived with the head.
            self.wake();
        }
    }

    fn end(&mut self, now: Instant) {
        self.open_count = self.open_count.saturating_sub(1);
        if self.open_count > 0 {
            return;
        }
        self.received_len = 0;
        self.waits_since = now;
        self.has_begun = false;
        let time = if self.is_closing { limits::CLOSE_TIME_MAX } else { limits::IDLE_TIME_MAX };
        self.ends_at(now + time);
    }

    fn ends_at(&mut self, deadline: Instant) {
        self.read_deadline = Some(deadline);
        // The deadline changed: a task that sleeps until the old one has to look again.
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    fn blocked(&mut self, now: Instant) {
        self.blocked.get_or_insert((now, 0));
    }

    fn sent(&mut self, len: usize) {
        if let Some((_, sent_len)) = &mut self.blocked {
            *sent_len += len;
            if *sent_len >= limits::SEND_LEN_MIN {
                self.blocked = None;
            }
        }
    }

    /// Records that all output was passed to the kernel. Returns true if the next request waits.
    fn flushed(&mut self) -> bool {
        self.blocked = None;
        self.open_count == 0 && self.framing.answered()
    }

    /// Returns the time when the connection ends unless something happens before.
    fn deadline(&self) -> Option<Instant> {
        let send = self.blocked.map(|(since, _)| since + limits::SEND_WINDOW);
        self.read_deadline.into_iter().chain(send).min()
    }

    fn is_over(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }
}

thread_local! {
    /// The connections of this worker, which is one thread.
    static CROWD: RefCell<Vec<Weak<RefCell<Watch>>>> = const { RefCell::new(Vec::new()) };
}

/// Adds a connection to its worker's; in a crowd of `crowd_len` and more the one that has waited
/// longest for a request ends. Idle connections cost nothing to open, and no others would be
/// accepted beside as many as there may be.
fn join_crowd(watch: &Rc<RefCell<Watch>>, now: Instant, crowd_len: usize) {
    CROWD.with_borrow_mut(|crowd| {
        crowd.retain(|other| other.strong_count() > 0);
        if crowd.len() >= crowd_len {
            let others = crowd.iter().filter_map(Weak::upgrade);
            let waiting = others.filter(|other| {
                let other = other.borrow();
                other.open_count == 0 && !other.is_over(now)
            });
            if let Some(oldest) = waiting.min_by_key(|other| other.borrow().waits_since) {
                oldest.borrow_mut().ends_at(now);
            }
        }
        crowd.push(Rc::downgrade(watch));
    });
}

/// The handle of a connection for its requests.
#[derive(Clone, Debug)]
pub(crate) struct Connection(Rc<RefCell<Watch>>);

impl Connection {
    /// Starts a request with this body, which lasts until the returned guard is dropped.
    pub(super) fn begin(&self, body: Body) -> Asking {
        self.0.borrow_mut().begin(body);
        Asking(self.clone())
    }

    /// Ends the connection after the current answer.
    pub(super) fn close(&self) {
        self.0.borrow_mut().is_closing = true;
    }

    /// Returns true if the connection ends after the current answer.
    pub(super) fn is_closing(&self) -> bool {
        self.0.borrow().is_closing
    }
}

/// A request in progress.
#[derive(Debug)]
pub(super) struct Asking(Connection);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.0.borrow_mut().end(Instant::now());
    }
}

/// The body of an answer. The request lasts until the whole body was handed on.
pub(super) struct Answer {
    body: BoxBody,
    _asking: Option<Asking>,
}

impl Answer {
    pub(super) fn boxed(body: BoxBody, asking: Option<Asking>) -> BoxBody {
        BoxBody::new(Self { body, _asking: asking })
    }
}

impl MessageBody for Answer {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

/// A socket that enforces the limits of its connection.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    socket: S,
    /// Bytes received and withheld from the framework: at most as many as one read returns.
    early: BytesMut,
    watch: Rc<RefCell<Watch>>,
    timer: Pin<Box<Sleep>>,
}

impl<S> Watched<S> {
    /// Wraps a newly accepted connection of a worker that accepts `connections_max` at once.
    pub(crate) fn new(socket: S, connections_max: usize) -> Self {
        let now = Instant::now();
        let watch = Rc::new(RefCell::new(Watch::new(now)));
        let room = connections_max / limits::CROWD_ROOM_PART;
        join_crowd(&watch, now, connections_max.saturating_sub(room.max(1)));
        let timer = Box::pin(sleep_until(now + limits::HEAD_TIME_MAX));
        Self { socket, early: BytesMut::new(), watch, timer }
    }

    /// Returns the handle for the connection's requests.
    pub(crate) fn connection(&self) -> Connection {
        Connection(Rc::clone(&self.watch))
    }

    /// Ready once the connection has expired. Until then, the task is woken at the deadline.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(deadline) = self.watch.borrow().deadline() else { return Poll::Pending };
            if self.timer.deadline() != deadline {
                self.timer.as_mut().reset(deadline);
            }
            match self.timer.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if self.watch.borrow().is_over(Instant::now()) => {
                    return Poll::Ready(());
                }
                Poll::Ready(()) => {}
            }
        }
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client reads the response too slowly")
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    /// An expired connection reads as if closed by the client.
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        let now = Instant::now();
        {
            let mut watch = me.watch.borrow_mut();
            if !watch.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                watch.waker = Some(cx.waker().clone());
            }
            if watch.is_over(now) {
                return Poll::Ready(Ok(()));
            }
        }
        let before = buf.filled().len();
        let taken = if me.early.is_empty() {
            match Pin::new(&mut me.socket).poll_read(cx, buf) {
                Poll::Ready(Ok(())) if buf.filled().len() == before => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return me.poll_over(cx).map(Ok),
            }
            let received = &buf.filled()[before..];
            let taken = me.watch.borrow_mut().framing.take(received);
            me.early.extend_from_slice(&received[taken..]);
            buf.set_filled(before + taken);
            taken
        } else {
            let len = me.early.len().min(buf.remaining());
            let taken = me.watch.borrow_mut().framing.take(&me.early[..len]);
            buf.put_slice(&me.early[..taken]);
            me.early.advance(taken);
            if me.early.is_empty() {
                me.early = BytesMut::new();
            }
            taken
        };
        if taken == 0 {
            // The start of the current request or the end of its answer wakes the task.
            return me.poll_over(cx).map(Ok);
        }
        if !me.watch.borrow_mut().received(now, taken) {
            buf.set_filled(before);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        match Pin::new(&mut me.socket).poll_write(cx, bytes) {
            Poll::Ready(Ok(len)) => {
                me.watch.borrow_mut().sent(len);
                Poll::Ready(Ok(len))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                me.watch.borrow_mut().blocked(Instant::now());
                me.poll_over(cx).map(|()| Err(too_slow()))
            }
        }
    }

    /// At this point, all output has been passed to the kernel.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        if me.watch.borrow_mut().flushed() {
            cx.waker().wake_by_ref();
        }
        Pin::new(&mut me.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NONE: Body = Body::Sized(0);

    fn answered(is_closing: bool) -> (Watch, Instant) {
        let begin = Instant::now();
        let mut watch = Watch::new(begin);
        assert!(watch.received(begin, 100));
        watch.begin(NONE);
        watch.is_closing = is_closing;
        watch.end(begin);
        (watch, begin)
    }

    #[test]
    fn a_request_must_have_a_head_in_time_the_first_and_each_after_it() {
        let begin = Instant::now();
        let mut watch = Watch::new(begin);
        assert!(watch.is_over(begin + limits::HEAD_TIME_MAX));
        watch.begin(NONE);
        assert_eq!(watch.deadline(), None, "what a handler does has deadlines of its own");
        watch.end(begin);
        assert_eq!(watch.deadline(), Some(begin + limits::IDLE_TIME_MAX));
        let later = begin + Duration::from_secs(30);
        for at in 0..10 {
            assert!(watch.received(later + Duration::from_secs(at), 1), "a byte a second");
        }
        assert_eq!(watch.deadline(), Some(later + limits::HEAD_TIME_MAX));
    }

    #[test]
    fn a_body_that_nobody_reads_ends_the_connection_by_time_and_by_length() {
        let (mut watch, begin) = answered(false);
        for at in 0..14 {
            assert!(watch.received(begin + Duration::from_secs(at), 1));
        }
        assert!(watch.is_over(begin + limits::HEAD_TIME_MAX), "1 B/s is no request");
        let (mut watch, begin) = answered(false);
        assert!(watch.received(begin, limits::DRAIN_LEN_MAX));
        assert!(!watch.received(begin, 1));
    }

    #[test]
    fn behind_the_last_answer_bytes_buy_no_time() {
        let (mut watch, begin) = answered(true);
        assert!(watch.received(begin + Duration::from_secs(4), 1 << 20));
        assert!(watch.is_over(begin + limits::CLOSE_TIME_MAX));
    }

    #[test]
    fn an_answer_under_way_is_not_idle_and_its_request_is_bounded() {
        let mut watch = Watch::new(Instant::now());
        watch.begin(NONE);
        watch.begin(NONE);
        watch.end(Instant::now());
        assert_eq!(watch.deadline(), None, "another is under way");
        assert!(watch.received(Instant::now(), limits::REQUEST_LEN_MAX));
        assert!(!watch.received(Instant::now(), 1));
    }

    /// Those that are answered stay, however long they take.
    #[tokio::test]
    async fn in_a_crowd_the_connection_that_waits_longest_ends() {
        let now = Instant::now();
        let is_over = |it: &Watched<()>| it.watch.borrow().is_over(Instant::now());
        let first = Watched::new((), 4);
        let asking = first.connection().begin(NONE);
        let mut later = Vec::new();
        for _ in 0..3 {
            later.push(Watched::new((), 4));
            later.last().unwrap().watch.borrow_mut().waits_since =
                now + Duration::from_secs(later.len() as u64);
        }
        assert!(!is_over(&first) && is_over(&later[0]), "the fourth needs room");
        assert!(!is_over(&later[1]) && !is_over(&later[2]));
        drop(asking);
        first.watch.borrow_mut().waits_since = now + Duration::from_secs(9);
        let last = Watched::new((), 4);
        assert!(is_over(&later[1]) && !is_over(&first) && !is_over(&last));
        drop((later, first));
        assert!(!is_over(&Watched::new((), 4)) && !is_over(&last), "there is room again");
    }

    /// Sixteen parallel answers over 1 Mbit/s, which reach the client in pieces of 64 KiB, and one
    /// client that accepts 1 KiB/s.
    #[test]
    fn a_slow_line_is_sent_to_and_one_that_trickles_is_not() {
        let begin = Instant::now();
        let takes = |bytes_per_sec: usize| {
            let mut watch = Watch::new(begin);
            watch.begin(NONE);
            for sent in (0..16 << 20).step_by(64 << 10) {
                let now = begin + Duration::from_secs_f64(sent as f64 / bytes_per_sec as f64);
                if watch.is_over(now) {
                    return false;
                }
                watch.sent(64 << 10);
                watch.blocked(now);
            }
            true
        };
        assert!(takes(125_000 / 16));
        assert!(!takes(1024));
    }
}
