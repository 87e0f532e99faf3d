//! A receiver of webhooks: a small HTTP server that responds as a test requires and records all
//! requests.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The time after which a missing message counts as lost.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A message as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// The headers, by name in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Vec<u8>,
    /// How it was answered.
    pub status: u16,
}

#[derive(Debug)]
struct Shared {
    /// What it answers,
    status: AtomicU16,
    /// after this many responses with 500.
    failures_left: AtomicU32,
    received: Mutex<Vec<Received>>,
}

/// A running receiver.
#[derive(Debug)]
pub struct Receiver {
    port: u16,
    shared: Arc<Shared>,
}

impl Receiver {
    /// Starts a receiver that fails this many times and then accepts.
    #[must_use]
    pub fn failing(times: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            status: AtomicU16::new(204),
            failures_left: AtomicU32::new(times),
            received: Mutex::new(Vec::new()),
        });
        let to = Arc::clone(&shared);
        // The thread ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let to = Arc::clone(&to);
                std::thread::spawn(move || answer(stream, &to));
            }
        });
        Self { port, shared }
    }

    /// Makes the receiver keep its requests without an answer, until it answers with a status.
    pub fn holds(&self) {
        self.answers(0);
    }

    /// Makes the receiver respond with this status from now on.
    pub fn answers(&self, status: u16) {
        self.shared.status.store(status, Ordering::SeqCst);
    }

    /// Returns the address of a path.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Returns the requests received so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Waits for a request that `wanted` accepts.
    #[track_caller]
    pub fn waits_for(&self, what: &str, wanted: impl Fn(&Received) -> bool) -> Received {
        let begun = Instant::now();
        loop {
            if let Some(found) = self.received().into_iter().find(&wanted) {
                return found;
            }
            assert!(begun.elapsed() < WAIT_MAX, "no {what} came: {:?}", self.received());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Answers the requests of one connection.
fn answer(mut stream: TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut headers = BTreeMap::new();
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let Some((name, value)) = line.trim().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let len = headers.get("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
        let mut body = vec![0; len];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let fails = shared
            .failures_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok();
        let status = if fails { 500 } else { shared.status.load(Ordering::SeqCst) };
        shared.received.lock().unwrap().push(Received { headers, body, status });
        if status == 0 {
            while shared.status.load(Ordering::SeqCst) == 0 {
                std::thread::sleep(Duration::from_millis(10));
            }
            return;
        }
        // A redirect leads back to this receiver, which thereby detects a client that follows it.
        let head =
            format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nlocation: /elsewhere\r\n\r\n");
        if stream.write_all(head.as_bytes()).is_err() {
            return;
        }
    }
}
