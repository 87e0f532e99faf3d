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
//! [`framing`]: self::framing

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::limits;
use progress::{Progress, join_crowd};

mod framing;
mod progress;

pub(super) use framing::BodyForm;

/// The handle of a connection for its requests.
#[derive(Clone, Debug)]
pub(crate) struct Connection(Rc<RefCell<Progress>>);

impl Connection {
    /// Starts a request with this body, which lasts until the returned guard is dropped.
    pub(super) fn begin(&self, body: BodyForm) -> OpenRequest {
        self.0.borrow_mut().begin(body);
        OpenRequest(self.clone())
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
pub(super) struct OpenRequest(Connection);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.0.borrow_mut().end(Instant::now());
    }
}

/// The body of an answer. The request lasts until the whole body was handed on.
pub(super) struct Answer {
    body: BoxBody,
    _open: Option<OpenRequest>,
}

impl Answer {
    pub(super) fn boxed(body: BoxBody, open: Option<OpenRequest>) -> BoxBody {
        BoxBody::new(Self { body, _open: open })
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
pub(crate) struct Timed<S> {
    socket: S,
    /// Bytes received and withheld from the framework: at most as many as one read returns.
    early: BytesMut,
    progress: Rc<RefCell<Progress>>,
    timer: Pin<Box<Sleep>>,
}

impl<S> Timed<S> {
    /// Wraps a newly accepted connection of a worker that accepts `connections_max` at once.
    pub(crate) fn new(socket: S, connections_max: usize) -> Self {
        let now = Instant::now();
        let progress = Rc::new(RefCell::new(Progress::new(now)));
        let room = connections_max / limits::CROWD_ROOM_PART;
        join_crowd(&progress, now, connections_max.saturating_sub(room.max(1)));
        let timer = Box::pin(sleep_until(now + limits::HEAD_TIME_MAX));
        Self { socket, early: BytesMut::new(), progress, timer }
    }

    /// Returns the handle for the connection's requests.
    pub(crate) fn connection(&self) -> Connection {
        Connection(Rc::clone(&self.progress))
    }

    /// Ready once the connection has expired. Until then, the task is woken at the deadline.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(deadline) = self.progress.borrow().deadline() else { return Poll::Pending };
            if self.timer.deadline() != deadline {
                self.timer.as_mut().reset(deadline);
            }
            match self.timer.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if self.progress.borrow().is_over(Instant::now()) => {
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

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    /// An expired connection reads as if closed by the client.
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        let now = Instant::now();
        {
            let mut progress = me.progress.borrow_mut();
            if !progress.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                progress.waker = Some(cx.waker().clone());
            }
            if progress.is_over(now) {
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
            let taken = me.progress.borrow_mut().framing.take(received);
            me.early.extend_from_slice(&received[taken..]);
            buf.set_filled(before + taken);
            taken
        } else {
            let len = me.early.len().min(buf.remaining());
            let taken = me.progress.borrow_mut().framing.take(&me.early[..len]);
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
        if !me.progress.borrow_mut().received(now, taken) {
            buf.set_filled(before);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        match Pin::new(&mut me.socket).poll_write(cx, bytes) {
            Poll::Ready(Ok(len)) => {
                me.progress.borrow_mut().sent(len);
                Poll::Ready(Ok(len))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                me.progress.borrow_mut().blocked(Instant::now());
                me.poll_over(cx).map(|()| Err(too_slow()))
            }
        }
    }

    /// At this point, all output has been passed to the kernel.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        if me.progress.borrow_mut().flushed() {
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

    const NONE: BodyForm = BodyForm::Sized(0);

    /// A connection that is being answered stays, however long the answer takes.
    #[tokio::test]
    async fn in_a_crowd_the_connection_that_waits_longest_ends() {
        let now = Instant::now();
        let is_over = |it: &Timed<()>| it.progress.borrow().is_over(Instant::now());
        let first = Timed::new((), 4);
        let open = first.connection().begin(NONE);
        let mut later = Vec::new();
        for _ in 0..3 {
            later.push(Timed::new((), 4));
            later.last().unwrap().progress.borrow_mut().waits_since =
                now + Duration::from_secs(later.len() as u64);
        }
        assert!(!is_over(&first) && is_over(&later[0]), "the fourth needs room");
        assert!(!is_over(&later[1]) && !is_over(&later[2]));
        drop(open);
        first.progress.borrow_mut().waits_since = now + Duration::from_secs(9);
        let last = Timed::new((), 4);
        assert!(is_over(&later[1]) && !is_over(&first) && !is_over(&last));
        drop((later, first));
        assert!(!is_over(&Timed::new((), 4)) && !is_over(&last), "there is room again");
    }
}
