//! Segments that are being read, each once for everyone who wants it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use super::entries::Key;

type Landing = watch::Receiver<Option<Bytes>>;

/// The segments in flight.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<Key, Landing>>);

/// A segment in flight: this reader's to fetch, or another's.
pub(super) enum Flight {
    /// This reader has to fetch the segment.
    Own(Promise),
    /// Another reader fetches the segment.
    Joined(Joined),
}

/// The obligation to fetch a segment. Others who want the segment join until it is dropped.
pub(super) struct Promise {
    key: Key,
    sender: watch::Sender<Option<Bytes>>,
    flights: Arc<Flights>,
}

/// A segment that another reader fetches.
pub(super) struct Joined(Landing);

impl Flights {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Landing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the flight of a segment, or begins one.
    pub(super) fn board(self: &Arc<Self>, key: Key) -> Flight {
        let mut flights = self.lock();
        if let Some(landing) = flights.get(&key) {
            return Flight::Joined(Joined(landing.clone()));
        }
        let (sender, landing) = watch::channel(None);
        flights.insert(key, landing);
        Flight::Own(Promise { key, sender, flights: Arc::clone(self) })
    }

    /// Lets nobody join the present flight of a segment any more.
    pub(super) fn forget(&self, key: Key) {
        self.lock().remove(&key);
    }
}

impl Promise {
    pub(super) fn key(&self) -> Key {
        self.key
    }

    pub(super) fn keep(&self, bytes: Bytes) {
        self.sender.send_replace(Some(bytes));
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        let is_this = |landing: &Landing| landing.same_channel(&self.sender.subscribe());
        if flights.get(&self.key).is_some_and(is_this) {
            flights.remove(&self.key);
        }
    }
}

impl Joined {
    /// Waits for the segment; `None` if the other reader failed.
    pub(super) async fn bytes(mut self) -> Option<Bytes> {
        self.0.wait_for(Option::is_some).await.ok().and_then(|bytes| bytes.clone())
    }
}
