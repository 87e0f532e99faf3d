//! The clock of the database, by which all registries over it tell the time.
//!
//! Deadlines of leases and heartbeats of jobs are written by one registry and judged by another. By
//! the clocks of their own machines, a registry whose clock is ahead would end the leases of the
//! others, and take over their jobs.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::SimpleQueryMessage;

/// The query for the time, in milliseconds since 1970-01-01 UTC.
pub(super) const READ: &str = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";
/// The longest wait for an answer that replaces an earlier reading: half of it is the error.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);

/// The time as the server last told it.
#[derive(Debug, Default)]
pub(in super::super) struct Clock(Mutex<Option<Reading>>);

#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    /// The time since 1970-01-01 UTC.
    read: Duration,
}

impl Clock {
    /// Returns the time since 1970-01-01 UTC; `None` until the server has told it.
    pub(in super::super) fn now(&self) -> Option<Duration> {
        let reading = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reading.map(|Reading { at, read }| read + at.elapsed())
    }

    /// Takes the time from the last row of an answer to [`READ`], asked for at `asked`.
    pub(super) fn read(&self, asked: Instant, answer: &[SimpleQueryMessage]) {
        let took = asked.elapsed();
        let row = answer.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let Some(read) = row.and_then(|text| text.parse().ok()).map(Duration::from_millis) else {
            return;
        };
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if took <= ANSWER_TIME_MAX || reading.is_none() {
            *reading = Some(Reading { at: asked + took / 2, read });
        }
    }
}
