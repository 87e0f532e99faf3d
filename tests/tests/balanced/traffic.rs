//! Requests that are not repeated if they fail, as many as a deployment answers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The number of clients, each with a connection that it keeps.
const CLIENTS: usize = 3;
/// The number of failures that are remembered.
const FAILURES_MAX: usize = 10;

#[derive(Default)]
struct Tally {
    has_ended: AtomicBool,
    answered: AtomicU64,
    failures: Mutex<Vec<String>>,
}

/// Clients that send requests until they are told to end.
pub(super) struct Traffic {
    tally: Arc<Tally>,
    clients: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Starts clients that get these paths in turn.
    pub(super) fn start((url, token): (String, String), paths: &[String]) -> Self {
        let tally = Arc::new(Tally::default());
        let clients = (0..CLIENTS).map(|_| {
            let (tally, paths) = (Arc::clone(&tally), paths.to_vec());
            let (url, token) = (url.clone(), token.clone());
            std::thread::spawn(move || tally.run(&url, &token, &paths))
        });
        Self { clients: clients.collect(), tally }
    }

    /// Returns the number of requests that were answered so far.
    pub(super) fn answered(&self) -> u64 {
        self.tally.answered.load(Ordering::Relaxed)
    }

    /// Ends the clients, and asserts that no request failed. Returns the number of requests.
    #[track_caller]
    pub(super) fn end(self) -> u64 {
        self.tally.has_ended.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        let failures = self.tally.failures.lock().unwrap();
        assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
        self.tally.answered.load(Ordering::Relaxed)
    }
}

impl Tally {
    fn run(&self, url: &str, token: &str, paths: &[String]) {
        let client = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
        for path in paths.iter().cycle() {
            if self.has_ended.load(Ordering::Relaxed) {
                return;
            }
            let answer = client.get(format!("{url}{path}")).bearer_auth(token).send();
            let outcome = answer.and_then(|answer| answer.error_for_status()?.bytes());
            match outcome {
                Ok(_) => drop(self.answered.fetch_add(1, Ordering::Relaxed)),
                Err(error) => {
                    let mut failures = self.failures.lock().unwrap();
                    if failures.len() < FAILURES_MAX {
                        failures.push(format!("{path}: {error:?}"));
                    }
                }
            }
        }
    }
}
