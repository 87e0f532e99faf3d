//! Structured logs.
//!
//! Only a serving program installs the logger. A registry hosted inside another process logs to
//! that process's subscriber.
//!
//! # Invariants
//!
//! 1. Logging never fails and never waits: a line goes to a queue, and a thread writes the queue to
//!    standard error. A closed reader, a full disk or a full pipe only loses lines, which are
//!    counted.
//! 2. The queue holds at most [`QUEUE_LEN_MAX`] bytes.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tracing_subscriber::EnvFilter;

/// The maximum length of the queued lines, in bytes.
const QUEUE_LEN_MAX: usize = 4 << 20;

/// The queue of this process, once created.
static LINES: OnceLock<Arc<Lines>> = OnceLock::new();

/// The format of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Text for people.
    Text,
}

/// Sends log lines, including panics, to standard error from now on.
///
/// `filter` has the syntax of `RUST_LOG`. Malformed directives are ignored. Returns false if the
/// process already has a subscriber, which then stays.
pub fn init(format: LogFormat, filter: &str) -> bool {
    let Ok(lines) = Lines::start() else { return false };
    let filter = EnvFilter::builder().parse_lossy(filter);
    let is_terminal = io::stderr().is_terminal();
    let queue = Arc::clone(&lines);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .log_internal_errors(false)
        .with_writer(move || Line(Arc::clone(&queue)));
    let is_installed = match format {
        LogFormat::Json => subscriber.json().flatten_event(true).try_init().is_ok(),
        // Colours only for a terminal. Files and journals get plain text.
        LogFormat::Text => subscriber.with_ansi(is_terminal).try_init().is_ok(),
    };
    if is_installed {
        let _ = LINES.set(lines);
        // The default hook writes to standard error directly, and blocks if that is full.
        std::panic::set_hook(Box::new(|info| tracing::error!(panic = %info, "panicked")));
    }
    is_installed
}

/// Waits until every line is written, but at most `time_max`.
pub fn flush(time_max: Duration) {
    if let Some(lines) = LINES.get() {
        let queue = lines.locked();
        let unwritten = |queue: &mut Queue| queue.is_writing || !queue.lines.is_empty();
        let _ = lines.changed.wait_timeout_while(queue, time_max, unwritten);
    }
}

/// Returns the number of lines lost since the process started, because the queue was full or
/// standard error refused them.
#[must_use]
pub fn dropped_count() -> u64 {
    LINES.get().map_or(0, |lines| lines.dropped.load(Ordering::Relaxed))
}

/// A queue of lines for standard error.
#[derive(Debug, Default)]
struct Lines {
    queue: Mutex<Queue>,
    /// Notified after lines were queued or written.
    changed: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    /// The total length of the queued lines, in bytes.
    len: usize,
    /// True while lines taken from the queue are being written.
    is_writing: bool,
}

impl Lines {
    /// Starts the thread that writes to standard error.
    fn start() -> io::Result<Arc<Self>> {
        // A separate descriptor: the holder of std's lock may block forever.
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let lines = Arc::new(Self::default());
        let queue = Arc::clone(&lines);
        std::thread::Builder::new()
            .name("seawall-log".to_owned())
            .spawn(move || queue.write_to(stderr))?;
        Ok(lines)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut queue = self.locked();
        if queue.len.saturating_add(line.len()) > QUEUE_LEN_MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.len += line.len();
        queue.lines.push_back(line.to_vec());
        self.changed.notify_all();
    }

    fn write_to(&self, mut out: impl Write) {
        loop {
            let queue = self.locked();
            let mut queue = self
                .changed
                .wait_while(queue, |queue| queue.lines.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            let lines = std::mem::take(&mut queue.lines);
            queue.is_writing = true;
            drop(queue);
            for line in lines {
                // Each line is tried: a disk may have room again, or a pipe a new reader.
                if out.write_all(&line).is_err() {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                }
                self.locked().len -= line.len();
            }
            self.locked().is_writing = false;
            self.changed.notify_all();
        }
    }
}

/// A writer that queues one line.
struct Line(Arc<Lines>);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A writer that accepts lines when the test says so, and refuses the line `refused`.
    struct Gate(mpsc::Receiver<()>, mpsc::Sender<Vec<u8>>);

    impl Write for Gate {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            if line == b"refused" {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let _ = self.1.send(line.to_vec());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_takes_nothing_costs_lines_and_holds_nobody_up() {
        let lines = Arc::new(Lines::default());
        let (open, gate) = mpsc::channel();
        let (written, found) = mpsc::channel();
        let queue = Arc::clone(&lines);
        std::thread::spawn(move || queue.write_to(Gate(gate, written)));
        let line = vec![b'x'; QUEUE_LEN_MAX / 4];
        for _ in 0..10 {
            lines.push(&line);
        }
        assert_eq!(lines.dropped.load(Ordering::Relaxed), 6, "four fit");
        for _ in 0..4 {
            open.send(()).unwrap();
            assert_eq!(found.recv().unwrap().len(), line.len());
        }
        lines.push(b"refused");
        lines.push(b"kept");
        open.send(()).unwrap();
        open.send(()).unwrap();
        assert_eq!(found.recv().unwrap(), b"kept");
        assert_eq!(lines.dropped.load(Ordering::Relaxed), 7);
    }
}
