//! The reader of a source: plans, reads, proves, and keeps what several callers want.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use seawall_api::index::ChunkRef;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::cache::{Cache, Pending, Promise, Urgency};
use super::ranges::coalesce;
use super::{Freshness, Nearby, Plan, Prover, ReadError, Request, Source, SourceError, Wanted};
use crate::error::ErrorKind;

/// The number of concurrent requests. One connection of an object store gives about 90 MB/s.
const CONNECTIONS: usize = 6;
/// The number of further concurrent requests, for callers that wait.
const CONNECTIONS_URGENT: usize = 4;
/// The maximum number of answers waiting for a worker.
const ANSWERS_MAX: usize = 2;

/// A reader of a source. Long-lived and shared.
///
/// # At the same time
///
/// Everyone who wants a chunk while it is in flight waits for the same read. Callers that wait have
/// connections of their own, so reading ahead and bulk flows do not delay them. A chunk that is
/// read ahead becomes urgent when a caller waits for it.
pub struct Reader {
    source: Arc<dyn Source>,
    nearby: Option<Arc<dyn Nearby>>,
    runtime: Handle,
    threads: usize,
    connections: Semaphore,
    urgent: Semaphore,
    workers: Arc<Semaphore>,
    urgent_workers: Arc<Semaphore>,
    /// Idle provers, at most one per worker.
    provers: Mutex<Vec<Prover>>,
    cache: Mutex<Cache>,
}

impl Reader {
    /// Makes a reader that decodes and hashes on `threads` threads. Must be called within a
    /// runtime, on which it then reads.
    #[must_use]
    pub fn new(source: Arc<dyn Source>, threads: usize) -> Self {
        let threads = threads.max(1);
        Self {
            source,
            nearby: None,
            runtime: Handle::current(),
            threads,
            connections: Semaphore::new(CONNECTIONS),
            urgent: Semaphore::new(CONNECTIONS_URGENT),
            workers: Arc::new(Semaphore::new(threads)),
            urgent_workers: Arc::new(Semaphore::new(threads)),
            provers: Mutex::default(),
            cache: Mutex::default(),
        }
    }

    /// Reads chunks from local copies where there are any. Affects [`Self::want`] only.
    #[must_use]
    pub fn beside(self, nearby: Arc<dyn Nearby>) -> Self {
        Self { nearby: Some(nearby), ..self }
    }

    /// Returns the number of requests that a bulk flow should have in progress.
    #[must_use]
    pub fn requests_max(&self) -> usize {
        CONNECTIONS + ANSWERS_MAX + self.threads
    }

    /// Locates chunks with one question, and coalesces their frames into requests.
    ///
    /// # Errors
    /// Fails if the source fails, or gives an impossible place for one of the chunks.
    pub async fn plan<T: Wanted>(&self, wants: Vec<T>) -> Result<Vec<Request<T>>, Arc<ReadError>> {
        let plan = match self.locate(wants).await {
            Ok(plan) => plan,
            Err((_, error)) => return Err(Arc::new(error.into())),
        };
        match plan.lost.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(plan.requests),
        }
    }

    /// Locates chunks as [`Self::plan`] does, and lists the lost ones instead of failing. A
    /// question fails as a whole if one chunk is missing, so a failed question is halved.
    pub async fn plan_each<T: Wanted>(&self, wants: Vec<T>) -> Plan<T> {
        let mut found = Plan { requests: Vec::new(), lost: Vec::new() };
        let mut questions = vec![wants];
        while let Some(wants) = questions.pop() {
            match self.locate(wants).await {
                Ok(plan) => {
                    found.requests.extend(plan.requests);
                    found.lost.extend(plan.lost);
                }
                Err((mut wants, error))
                    if error.kind() == ErrorKind::NotFound && wants.len() > 1 =>
                {
                    let second = wants.split_off(wants.len() / 2);
                    questions.extend([second, wants]);
                }
                Err((wants, error)) => {
                    let error = Arc::new(ReadError::from(error));
                    found.lost.extend(wants.into_iter().map(|want| (want, Arc::clone(&error))));
                }
            }
        }
        found
    }

    async fn locate<T: Wanted>(&self, wants: Vec<T>) -> Result<Plan<T>, (Vec<T>, SourceError)> {
        if wants.is_empty() {
            return Ok(coalesce(wants, &[]));
        }
        let digests: Vec<_> = wants.iter().map(|want| want.chunk().digest).collect();
        match self.source.locate(&digests).await {
            Ok(places) => Ok(coalesce(wants, &places)),
            Err(error) => Err((wants, error)),
        }
    }

    /// Reads the range of a request, on one of the connections of bulk flows. A caller who finds
    /// the bytes wrong reads them once more, at rest.
    ///
    /// # Errors
    /// The error of the source.
    pub async fn read<T>(
        &self,
        request: &Request<T>,
        freshness: Freshness,
    ) -> Result<Bytes, Arc<ReadError>> {
        let _connection = self.connections.acquire().await.map_err(|_| ReadError::Defect)?;
        self.range(request, freshness).await
    }

    async fn range<T>(
        &self,
        request: &Request<T>,
        freshness: Freshness,
    ) -> Result<Bytes, Arc<ReadError>> {
        let (pack, range) = (request.pack, request.range.clone());
        let read = self.source.range(pack, range.clone(), freshness).await;
        read.map_err(|error| Arc::new(error.of_range(pack, range).into()))
    }

    /// Runs `job` on one of the reader's threads. The job runs to its end even if the caller stops
    /// waiting.
    ///
    /// # Errors
    /// Fails if the job panics.
    pub async fn work<R: Send + 'static>(
        self: &Arc<Self>,
        job: impl FnOnce(&mut Prover) -> R + Send + 'static,
    ) -> Result<R, Arc<ReadError>> {
        self.work_on(&self.workers, job).await
    }

    async fn work_on<R: Send + 'static>(
        self: &Arc<Self>,
        workers: &Arc<Semaphore>,
        job: impl FnOnce(&mut Prover) -> R + Send + 'static,
    ) -> Result<R, Arc<ReadError>> {
        let worker = Arc::clone(workers).acquire_owned().await.map_err(|_| ReadError::Defect)?;
        let reader = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || {
            let idle = reader.provers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut prover = idle.unwrap_or_default();
            let outcome = job(&mut prover);
            reader.provers.lock().unwrap_or_else(PoisonError::into_inner).push(prover);
            drop(worker);
            outcome
        });
        Ok(task.await.map_err(|_| ReadError::Defect)?)
    }

    /// Returns the chunks, each in memory or being read. A chunk that is in flight already is not
    /// read again.
    pub fn want(
        self: &Arc<Self>,
        chunks: impl IntoIterator<Item = ChunkRef>,
        urgency: Urgency,
    ) -> Vec<Pending> {
        let hurry = Arc::new(watch::Sender::new(urgency == Urgency::Now));
        let mut promises = Vec::new();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = chunks.into_iter().map(|chunk| {
            cache.find(chunk, urgency).unwrap_or_else(|| {
                let (promise, pending) = cache.add(chunk, &hurry);
                promises.push(promise);
                pending
            })
        });
        let pending = pending.collect();
        drop(cache);
        if !promises.is_empty() {
            self.runtime.spawn(Arc::clone(self).bring(promises, hurry));
        }
        pending
    }

    /// Reads chunks and keeps the promises.
    async fn bring(self: Arc<Self>, promises: Vec<Promise>, hurry: Arc<watch::Sender<bool>>) {
        let Ok(promises) = self.bring_nearby(promises, &hurry).await else { return };
        let Plan { requests, lost } = self.plan_each(promises).await;
        lost.into_iter().for_each(|(promise, error)| promise.keep(Err(error)));
        for request in requests {
            tokio::spawn(Arc::clone(&self).bring_request(request, Arc::clone(&hurry)));
        }
    }

    /// Keeps the promises of a request. If their pack is gone, they are located once more: without
    /// a lease, a collection may move chunks and remove their pack.
    async fn bring_request(
        self: Arc<Self>,
        request: Request<Promise>,
        hurry: Arc<watch::Sender<bool>>,
    ) {
        let connection = self.connection(&hurry).await;
        let read = self.range(&request, Freshness::Any).await;
        drop(connection);
        let error = match read {
            Err(error) if error.kind() == ErrorKind::NotFound => error,
            read => return self.keep(request, read, hurry).await,
        };
        tracing::info!(%error, "locating chunks once more");
        let wants = request.frames.into_iter().map(|frame| frame.want).collect();
        let Plan { requests, lost } = self.plan_each(wants).await;
        lost.into_iter().for_each(|(promise, error)| promise.keep(Err(error)));
        for request in requests {
            let read = self.range(&request, Freshness::Any).await;
            Arc::clone(&self).keep(request, read, Arc::clone(&hurry)).await;
        }
    }

    /// Keeps the promises of chunks with local copies. Returns the others.
    async fn bring_nearby(
        self: &Arc<Self>,
        promises: Vec<Promise>,
        hurry: &watch::Sender<bool>,
    ) -> Result<Vec<Promise>, Arc<ReadError>> {
        let Some(nearby) = self.nearby.clone() else { return Ok(promises) };
        self.work_on(self.workers_for(hurry), move |prover| {
            let is_missing = |promise: &Promise| {
                let read = |plain: &mut [u8]| nearby.read(promise.chunk(), plain);
                let found = prover.prove_plain(promise.chunk(), read);
                found.inspect(|plain| promise.keep(Ok(Bytes::copy_from_slice(plain)))).is_none()
            };
            promises.into_iter().filter(is_missing).collect()
        })
        .await
    }

    /// Keeps the promises of a request that was read. If a frame is wrong, the request is made once
    /// more.
    async fn keep(
        self: Arc<Self>,
        request: Request<Promise>,
        mut read: Result<Bytes, Arc<ReadError>>,
        hurry: Arc<watch::Sender<bool>>,
    ) {
        let request = Arc::new(request);
        let mut open: Vec<_> = (0..request.frames.len()).collect();
        for freshness in [Freshness::Any, Freshness::AtRest] {
            if freshness == Freshness::AtRest {
                let connection = self.connection(&hurry).await;
                read = self.range(&request, freshness).await;
                drop(connection);
            }
            let bytes = match read.clone() {
                Ok(bytes) => bytes,
                Err(error) => {
                    let frames = open.iter().filter_map(|at| request.frames.get(*at));
                    frames.for_each(|frame| frame.want.keep(Err(Arc::clone(&error))));
                    return;
                }
            };
            let asked = Arc::clone(&request);
            let prove = move |prover: &mut Prover| {
                open.retain(|at| match asked.prove(*at, &bytes, prover) {
                    Ok(proven) => {
                        let plain = Bytes::copy_from_slice(proven.plain);
                        asked.frames[*at].want.keep(Ok(plain));
                        false
                    }
                    Err(_) if freshness == Freshness::Any => true,
                    Err(error) => {
                        asked.frames[*at].want.keep(Err(Arc::new(error)));
                        false
                    }
                });
                open
            };
            // A promise that is dropped unkept tells its waiters.
            match self.work_on(self.workers_for(&hurry), prove).await {
                Ok(left) if !left.is_empty() => open = left,
                _ => return,
            }
        }
    }

    /// Returns the workers of their own for callers that wait, the common ones otherwise.
    fn workers_for(&self, hurry: &watch::Sender<bool>) -> &Arc<Semaphore> {
        if *hurry.borrow() { &self.urgent_workers } else { &self.workers }
    }

    /// Waits for a connection: one of the urgent ones from the moment that a caller waits.
    async fn connection(&self, hurry: &watch::Sender<bool>) -> Option<SemaphorePermit<'_>> {
        let mut hurried = hurry.subscribe();
        let permit = tokio::select! {
            permit = self.connections.acquire() => permit,
            permit = async {
                let _ = hurried.wait_for(|is_urgent| *is_urgent).await;
                self.urgent.acquire().await
            } => permit,
        };
        permit.ok()
    }
}
