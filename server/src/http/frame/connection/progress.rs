//! The clock and the counters of a connection, and the crowd of a worker's connections.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::task::Waker;

use tokio::time::Instant;

use super::framing::{BodyForm, Framing};
use crate::http::frame::limits;

/// The clock and the counters of a connection.
#[derive(Debug)]
pub(super) struct Progress {
    /// The number of requests whose answers were not completely handed to the socket.
    pub(super) open_count: u32,
    /// The number of bytes read since the last request started or the last answer ended.
    received_len: usize,
    /// The time when the connection ends unless a request starts.
    read_deadline: Option<Instant>,
    /// True if bytes arrived since the last answer ended.
    has_begun: bool,
    /// True if the connection ends after the current answer.
    pub(super) is_closing: bool,
    /// The time when the connection was accepted or its last answer ended.
    pub(super) waits_since: Instant,
    /// The boundaries of the connection's requests.
    pub(super) framing: Framing,
    /// The time since when the client accepts too little, and the number of bytes accepted since.
    blocked: Option<(Instant, usize)>,
    /// The waker of the task that serves the connection.
    pub(super) waker: Option<Waker>,
}

impl Progress {
    pub(super) fn new(now: Instant) -> Self {
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
    pub(super) fn received(&mut self, now: Instant, len: usize) -> bool {
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

    pub(super) fn begin(&mut self, body: BodyForm) {
        self.open_count += 1;
        self.received_len = 0;
        self.read_deadline = None;
        if self.framing.begin(body) {
            // Part of the body arrived with the head.
            self.wake();
        }
    }

    pub(super) fn end(&mut self, now: Instant) {
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

    pub(super) fn blocked(&mut self, now: Instant) {
        self.blocked.get_or_insert((now, 0));
    }

    pub(super) fn sent(&mut self, len: usize) {
        if let Some((_, sent_len)) = &mut self.blocked {
            *sent_len += len;
            if *sent_len >= limits::SEND_LEN_MIN {
                self.blocked = None;
            }
        }
    }

    /// Records that all output was passed to the kernel. Returns true if the next request waits.
    pub(super) fn flushed(&mut self) -> bool {
        self.blocked = None;
        self.open_count == 0 && self.framing.answered()
    }

    /// Returns the time when the connection ends unless something happens before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let send = self.blocked.map(|(since, _)| since + limits::SEND_WINDOW);
        self.read_deadline.into_iter().chain(send).min()
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }
}

thread_local! {
    /// The connections of this worker, which is one thread.
    static CROWD: RefCell<Vec<Weak<RefCell<Progress>>>> = const { RefCell::new(Vec::new()) };
}

/// Adds a connection to those of its worker. If there are `crowd_len` or more, ends the connection
/// that has waited longest for a request. Otherwise idle connections, which cost a client nothing,
/// could use up the maximum number, and no further connection would be accepted.
pub(super) fn join_crowd(progress: &Rc<RefCell<Progress>>, now: Instant, crowd_len: usize) {
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
        crowd.push(Rc::downgrade(progress));
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NONE: BodyForm = BodyForm::Sized(0);

    fn answered(is_closing: bool) -> (Progress, Instant) {
        let begin = Instant::now();
        let mut progress = Progress::new(begin);
        assert!(progress.received(begin, 100));
        progress.begin(NONE);
        progress.is_closing = is_closing;
        progress.end(begin);
        (progress, begin)
    }

    #[test]
    fn a_request_must_have_a_head_in_time_the_first_and_each_after_it() {
        let begin = Instant::now();
        let mut progress = Progress::new(begin);
        assert!(progress.is_over(begin + limits::HEAD_TIME_MAX));
        progress.begin(NONE);
        assert_eq!(progress.deadline(), None, "what a handler does has deadlines of its own");
        progress.end(begin);
        assert_eq!(progress.deadline(), Some(begin + limits::IDLE_TIME_MAX));
        let later = begin + Duration::from_secs(30);
        for at in 0..10 {
            assert!(progress.received(later + Duration::from_secs(at), 1), "a byte a second");
        }
        assert_eq!(progress.deadline(), Some(later + limits::HEAD_TIME_MAX));
    }

    #[test]
    fn a_body_that_nobody_reads_ends_the_connection_by_time_and_by_length() {
        let (mut progress, begin) = answered(false);
        for at in 0..14 {
            assert!(progress.received(begin + Duration::from_secs(at), 1));
        }
        assert!(progress.is_over(begin + limits::HEAD_TIME_MAX), "1 B/s is too slow for a request");
        let (mut progress, begin) = answered(false);
        assert!(progress.received(begin, limits::DRAIN_LEN_MAX));
        assert!(!progress.received(begin, 1));
    }

    #[test]
    fn behind_the_last_answer_bytes_buy_no_time() {
        let (mut progress, begin) = answered(true);
        assert!(progress.received(begin + Duration::from_secs(4), 1 << 20));
        assert!(progress.is_over(begin + limits::CLOSE_TIME_MAX));
    }

    #[test]
    fn an_answer_under_way_is_not_idle_and_its_request_is_bounded() {
        let mut progress = Progress::new(Instant::now());
        progress.begin(NONE);
        progress.begin(NONE);
        progress.end(Instant::now());
        assert_eq!(progress.deadline(), None, "another is under way");
        assert!(progress.received(Instant::now(), limits::REQUEST_LEN_MAX));
        assert!(!progress.received(Instant::now(), 1));
    }

    /// Sixteen parallel answers over 1 Mbit/s, which reach the client in pieces of 64 KiB, and one
    /// client that accepts 1 KiB/s.
    #[test]
    fn a_slow_reader_is_served_and_a_stalled_one_is_not() {
        let begin = Instant::now();
        let takes = |bytes_per_sec: usize| {
            let mut progress = Progress::new(begin);
            progress.begin(NONE);
            for sent in (0..16 << 20).step_by(64 << 10) {
                let now = begin + Duration::from_secs_f64(sent as f64 / bytes_per_sec as f64);
                if progress.is_over(now) {
                    return false;
                }
                progress.sent(64 << 10);
                progress.blocked(now);
            }
            true
        };
        assert!(takes(125_000 / 16));
        assert!(!takes(1024));
    }
}
