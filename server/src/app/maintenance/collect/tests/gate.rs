//! A store whose callers wait at a gate before and after every call, so that the simulation decides
//! on the next step.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{StreamExt, stream};
use seawall_store::error::StoreError;
use seawall_store::port::{Listing, ObjectKind, ObjectName, ObjectStore, OpenObject, Put};
use tokio::sync::oneshot;

tokio::task_local! {
    /// The calling actor.
    pub(super) static ACTOR: u32;
}

/// The gate at which actors wait. Calls outside an actor, from the oracle, pass freely.
#[derive(Default)]
pub(super) struct Gate {
    waiting: Mutex<BTreeMap<u32, Vec<oneshot::Sender<()>>>>,
}

impl Gate {
    async fn pass(&self) {
        let Ok(actor) = ACTOR.try_with(|actor| *actor) else { return };
        let (grant, granted) = oneshot::channel();
        self.waiting.lock().unwrap().entry(actor).or_default().push(grant);
        // A crash drops the sender; this future is then no longer polled.
        let _ = granted.await;
    }

    /// Returns the waiting actors.
    pub(super) fn waiting(&self) -> Vec<u32> {
        self.waiting.lock().unwrap().keys().copied().collect()
    }

    /// Lets one call of an actor continue.
    pub(super) fn grant(&self, actor: u32) {
        let mut waiting = self.waiting.lock().unwrap();
        let calls = waiting.get_mut(&actor).unwrap();
        let call = calls.remove(0);
        if calls.is_empty() {
            waiting.remove(&actor);
        }
        // An actor that has abandoned this call is not waiting for it.
        let _ = call.send(());
    }

    /// Removes all waiting actors after a crash.
    pub(super) fn clear(&self) {
        self.waiting.lock().unwrap().clear();
    }
}

/// A store behind a gate.
pub(super) struct Gated {
    pub(super) inner: Arc<dyn ObjectStore>,
    pub(super) gate: Arc<Gate>,
}

impl Gated {
    async fn pass<T>(&self, call: impl Future<Output = T>) -> T {
        self.gate.pass().await;
        let value = call.await;
        self.gate.pass().await;
        value
    }
}

struct OpenGated {
    inner: Arc<dyn OpenObject>,
    gate: Arc<Gate>,
}

#[async_trait::async_trait]
impl OpenObject for OpenGated {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn piece_len(&self) -> u64 {
        self.inner.piece_len()
    }

    async fn link(&self) -> Result<Option<String>, StoreError> {
        self.inner.link().await
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.gate.pass().await;
        self.inner.read(range).await
    }
}

#[async_trait::async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Gated {
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<Put, StoreError> {
        self.pass(self.inner.put(name, bytes)).await
    }

    async fn replace(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        self.pass(self.inner.replace(name, bytes)).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Bytes, StoreError> {
        self.pass(self.inner.get(name)).await
    }

    async fn open(&self, name: &ObjectName) -> Result<Arc<dyn OpenObject>, StoreError> {
        let inner = self.pass(self.inner.open(name)).await?;
        Ok(Arc::new(OpenGated { inner, gate: Arc::clone(&self.gate) }))
    }

    async fn len(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.pass(self.inner.len(name)).await
    }

    fn list(&self, kind: ObjectKind) -> Listing<'_> {
        let begin = stream::once(self.gate.pass()).flat_map(move |()| self.inner.list(kind));
        let end = stream::once(self.gate.pass()).filter_map(|()| std::future::ready(None));
        begin.chain(end).boxed()
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.pass(self.inner.delete(name)).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.inner.probe().await
    }
}
