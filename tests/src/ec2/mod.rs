//! A strict stand-in for Amazon EC2 and the EBS direct API.
//!
//! It enforces what the service models and the guides state, so that a request that AWS would
//! refuse fails here: signatures, ranges of every parameter, the life of a snapshot, checksums,
//! client tokens. It keeps the written blocks, so that a test compares a volume with a disk.
//!
//! Faults are injected by operation and count ([`Ec2Fake::harms`]).

mod answer;
mod ebs;
mod http;
mod images;
mod query;
mod signature;
mod snapshots;
mod state;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::run::Run;

pub use state::{Account, Image, Snapshot, Stage};

/// The access key of the account.
pub const ACCESS_KEY: &str = "AKIASEAWALLTEST";
/// The secret key of the account.
pub const SECRET_KEY: &str = "a/secret+of=the-tests";
/// The number of the account.
pub const ACCOUNT: &str = "111122223333";
/// The length of a block of a snapshot.
pub const BLOCK_LEN: usize = 512 << 10;
/// The time after which a call that a test waits for counts as lost.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A fault of one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ec2Fault {
    /// Answers 500 and changes nothing.
    ErrorBefore,
    /// Does the work and answers 500.
    ErrorAfter,
    /// Closes the connection and changes nothing.
    ResetBefore,
    /// Does the work and closes the connection.
    ResetAfter,
    /// Answers that the request is throttled.
    Throttle,
    /// Keeps the request without an answer until the client is gone; changes nothing.
    HoldBefore,
    /// Does the work and never answers.
    HoldAfter,
}

/// An injected fault: the operation, its first call (from 1), the number of calls, and the fault.
#[derive(Clone, Debug)]
struct Harmed {
    operation: String,
    calls: std::ops::Range<u64>,
    fault: Ec2Fault,
}

/// The shared state of a running stand-in.
#[derive(Debug)]
struct Shared {
    account: Mutex<Account>,
    faults: Mutex<Vec<Harmed>>,
    calls: Mutex<BTreeMap<String, u64>>,
    /// Refusals, as `Operation: Name: message`.
    refused: Mutex<Vec<String>>,
    held: Mutex<u64>,
    holds: Condvar,
    /// The answer time of each call, in milliseconds.
    latency_ms: AtomicU64,
    /// The bytes of blocks that were received.
    block_bytes: AtomicU64,
    /// The most blocks in flight at one time.
    in_flight: AtomicU64,
    in_flight_max: AtomicU64,
    /// The error of the service's clock, in seconds.
    skew_secs: AtomicI64,
}

/// A running stand-in, which ends with the process of the test.
#[derive(Clone, Debug)]
pub struct Ec2Fake {
    port: u16,
    shared: Arc<Shared>,
}

impl Default for Ec2Fake {
    fn default() -> Self {
        Self::start(0)
    }
}

impl Ec2Fake {
    /// Starts a stand-in on a free port, or on `port`.
    #[must_use]
    pub fn start(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            account: Mutex::default(),
            faults: Mutex::default(),
            calls: Mutex::default(),
            refused: Mutex::default(),
            held: Mutex::default(),
            holds: Condvar::new(),
            latency_ms: AtomicU64::new(0),
            block_bytes: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            in_flight_max: AtomicU64::new(0),
            skew_secs: AtomicI64::new(0),
        });
        let to = Arc::clone(&shared);
        // The thread ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let to = Arc::clone(&to);
                std::thread::spawn(move || http::serve(&stream, &to));
            }
        });
        Self { port, shared }
    }

    /// Returns the address of every service.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns a run that has the keys of the account.
    #[must_use]
    pub fn opened(&self, run: Run) -> Run {
        run.env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .env("AWS_ENDPOINT_URL", self.endpoint())
    }

    /// Sets the time of each answer.
    pub fn set_latency(&self, latency: Duration) {
        let ms = u64::try_from(latency.as_millis()).unwrap();
        self.shared.latency_ms.store(ms, Ordering::SeqCst);
    }

    /// Sets the error of the service's clock.
    pub fn set_clock_error(&self, secs: i64) {
        self.shared.skew_secs.store(secs, Ordering::SeqCst);
    }

    /// Harms calls of an operation, counted from 1 since the start.
    pub fn harms(&self, operation: &str, calls: std::ops::Range<u64>, fault: Ec2Fault) {
        let operation = operation.to_owned();
        self.shared.faults.lock().unwrap().push(Harmed { operation, calls, fault });
    }

    /// Ends every injected fault.
    pub fn heals(&self) {
        self.shared.faults.lock().unwrap().clear();
    }

    /// Waits until a call is held.
    pub fn waits_for_hold(&self) {
        let held = self.shared.held.lock().unwrap();
        let (held, wait) =
            self.shared.holds.wait_timeout_while(held, WAIT_MAX, |held| *held == 0).unwrap();
        assert!(!wait.timed_out(), "no call was held: {:?}", self.calls());
        drop(held);
    }

    /// Forgets the calls that were held.
    pub fn forgets_holds(&self) {
        *self.shared.held.lock().unwrap() = 0;
    }

    /// Returns the number of calls by operation.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.shared.calls.lock().unwrap().clone()
    }

    /// Returns the number of calls of an operation.
    #[must_use]
    pub fn count(&self, operation: &str) -> u64 {
        self.calls().get(operation).copied().unwrap_or(0)
    }

    /// Returns the refused calls, as `Operation: Name: message`.
    #[must_use]
    pub fn refused(&self) -> Vec<String> {
        self.shared.refused.lock().unwrap().clone()
    }

    /// Returns the received bytes of blocks.
    #[must_use]
    pub fn block_bytes(&self) -> u64 {
        self.shared.block_bytes.load(Ordering::SeqCst)
    }

    /// Returns the most blocks that were in flight at one time.
    #[must_use]
    pub fn in_flight_max(&self) -> u64 {
        self.shared.in_flight_max.load(Ordering::SeqCst)
    }

    /// Reads or changes the account.
    pub fn with<T>(&self, work: impl FnOnce(&mut Account) -> T) -> T {
        work(&mut self.shared.account.lock().unwrap())
    }

    /// Returns the first `len` bytes of the volume that a snapshot makes.
    #[must_use]
    pub fn volume(&self, snapshot: &str, len: u64) -> Vec<u8> {
        self.with(|account| account.volume(snapshot, len))
    }
}

impl Shared {
    /// Returns the fault of this call of an operation, and counts the call.
    fn fault(&self, operation: &str) -> Option<Ec2Fault> {
        let mut calls = self.calls.lock().unwrap();
        let count = calls.entry(operation.to_owned()).or_default();
        *count += 1;
        let faults = self.faults.lock().unwrap();
        let hit = |it: &&Harmed| it.operation == operation && it.calls.contains(count);
        faults.iter().find(hit).map(|it| it.fault)
    }

    fn hold(&self) {
        *self.held.lock().unwrap() += 1;
        self.holds.notify_all();
        let begun = Instant::now();
        while begun.elapsed() < WAIT_MAX && *self.held.lock().unwrap() > 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
