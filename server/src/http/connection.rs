//! A connection and the limits that hold for all of it, whatever its requests are answered.
//!
//! The framework reads on behind an answer: a chunked body that nobody wants is taken for as long
//! as it comes, and only the first request's head has a deadline. A handler cannot bound that, so
//! the socket is wrapped: bytes are counted and deadlines kept where they come in and go out.
//!
//! # Invariants
//!
//! 1. Between two requests a connection lies idle for [`limits::IDLE_TIME_MAX`] at most; once a
//!    byte came, the next request's head is whole within [`limits::HEAD_TIME_MAX`], or the
//!    connection ends.
//! 2. Behind an answer no more than [`limits::DRAIN_LEN_MAX`] bytes are read, and none later than
//!    [`limits::CLOSE_TIME_MAX`] where the answer ends the connection.
//! 3. A client that is sent something takes [`limits::SEND_LEN_MIN`] bytes of it in any
//!    [`limits::SEND_WINDOW`], or the rest of it.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::limits;

/// The clock and the counters of one connection.
#[derive(Debug)]
struct Watch {
    /// Requests whose answers have not been handed to the socket whole.
    open_count: u32,
    /// Bytes read since the last request began or the last answer ended.
    received_len: usize,
    /// When the connection ends unless a request begins.
    read_deadline: Option<Instant>,
    /// Whether bytes came since the last answer ended.
    has_begun: bool,
    /// Whether the answer under way is the last.
    is_closing: bool,
    /// Since when the client takes too little of what it is sent, and how much it took.
    blocked: Option<(Instant, usize)>,
    /// The task that serves the connection.
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
            blocked: None,
            waker: None,
        }
    }

    /// Counts bytes that came in; false when they are too many.
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

    fn begin(&mut self) {
        self.open_count += 1;
        self.received_len = 0;
        self.read_deadline = None;
    }

    fn end(&mut self, now: Instant) {
        self.open_count = self.open_count.saturating_sub(1);
        if self.open_count > 0 {
            return;
        }
        self.received_len = 0;
        self.has_begun = false;
        let time = if self.is_closing { limits::CLOSE_TIME_MAX } else { limits::IDLE_TIME_MAX };
        self.read_deadline = Some(now + time);
        if let Some(waker) = &self.waker {
            // The deadline is new: whoever sleeps for the old one has to look again.
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

    /// When the connection ends unless something happens before.
    fn deadline(&self) -> Option<Instant> {
        let send = self.blocked.map(|(since, _)| since + limits::SEND_WINDOW);
        self.read_deadline.into_iter().chain(send).min()
    }

    fn is_over(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }
}

/// A connection, as its requests see it.
#[derive(Clone, Debug)]
pub(crate) struct Connection(Rc<RefCell<Watch>>);

impl Connection {
    /// Begins a request, which lasts until what is returned is dropped.
    pub(super) fn begin(&self) -> Asking {
        self.0.borrow_mut().begin();
        Asking(self.clone())
    }

    /// Makes the answer under way the last.
    pub(super) fn close(&self) {
        self.0.borrow_mut().is_closing = true;
    }

    /// Whether the answer under way is the last.
    pub(super) fn is_closing(&self) -> bool {
        self.0.borrow().is_closing
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Asking(Connection);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.0.borrow_mut().end(Instant::now());
    }
}

/// An answer's body; its request lasts until all of it was handed on.
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

/// A socket that ends when its connection's limits say so.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    socket: S,
    watch: Rc<RefCell<Watch>>,
    timer: Pin<Box<Sleep>>,
}

impl<S> Watched<S> {
    /// Begins to watch a connection that was just accepted.
    pub(crate) fn new(socket: S) -> Self {
        let watch = Watch::new(Instant::now());
        let timer = Box::pin(sleep_until(Instant::now() + limits::HEAD_TIME_MAX));
        Self { socket, watch: Rc::new(RefCell::new(watch)), timer }
    }

    /// The connection, for its requests.
    pub(crate) fn connection(&self) -> Connection {
        Connection(Rc::clone(&self.watch))
    }

    /// Ready once the connection is over; else its task is woken when it is.
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
    io::Error::new(io::ErrorKind::TimedOut, "the client takes too little of what it is sent")
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    /// A connection that is over reads as one that its client has closed.
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
        let polled = Pin::new(&mut me.socket).poll_read(cx, buf);
        match polled {
            Poll::Ready(Ok(())) => {
                let len = buf.filled().len() - before;
                if len > 0 && !me.watch.borrow_mut().received(now, len) {
                    buf.set_filled(before);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => me.poll_over(cx).map(Ok),
        }
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

    /// All that there was to send is with the kernel.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        me.watch.borrow_mut().blocked = None;
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

    fn answered(is_closing: bool) -> (Watch, Instant) {
        let begin = Instant::now();
        let mut watch = Watch::new(begin);
        assert!(watch.received(begin, 100));
        watch.begin();
        watch.is_closing = is_closing;
        watch.end(begin);
        (watch, begin)
    }

    #[test]
    fn a_request_must_have_a_head_in_time_the_first_and_each_after_it() {
        let begin = Instant::now();
        let mut watch = Watch::new(begin);
        assert!(watch.is_over(begin + limits::HEAD_TIME_MAX));
        watch.begin();
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
        watch.begin();
        watch.begin();
        watch.end(Instant::now());
        assert_eq!(watch.deadline(), None, "another is under way");
        assert!(watch.received(Instant::now(), limits::REQUEST_LEN_MAX));
        assert!(!watch.received(Instant::now(), 1));
    }

    /// Sixteen answers at once over 1 Mbit/s, which reach the client in pieces of 64 KiB; and one
    /// that takes 1 KiB/s.
    #[test]
    fn a_slow_line_is_sent_to_and_one_that_trickles_is_not() {
        let begin = Instant::now();
        let takes = |bytes_per_sec: usize| {
            let mut watch = Watch::new(begin);
            watch.begin();
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
