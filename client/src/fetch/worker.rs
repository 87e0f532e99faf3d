//! Decodes, hashes and delivers chunks, on threads of its own.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use seawall_api::digest::ChunkDigest;
use seawall_api::units::CHUNK_LEN_MAX;
use seawall_store::codec::Decoder;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::ranges::Request;
use super::{Deliver, Fetch, FetchError, FetchStats, Origin, SeedPlace, StoredFrame, Want};
use crate::progress::Progress;

/// A unit of work in the workers' channel.
pub(super) enum Work {
    Frames(Request, Bytes),
    Seeds(Vec<(Want, SeedPlace)>),
}

type Outcome = Result<(FetchStats, Vec<Want>), FetchError>;
type Works = Arc<std::sync::Mutex<mpsc::Receiver<Work>>>;

/// Starts the workers. They end with the channel, or at the first failure of one of them.
pub(super) fn spawn(
    fetch: &Fetch,
    works: mpsc::Receiver<Work>,
    deliver: &Arc<dyn Deliver>,
) -> Vec<JoinHandle<Outcome>> {
    let works: Works = Arc::new(std::sync::Mutex::new(works));
    (0..fetch.threads.max(1))
        .map(|_| {
            let works = Arc::clone(&works);
            let (deliver, progress) = (Arc::clone(deliver), Arc::clone(&fetch.progress));
            tokio::task::spawn_blocking(move || {
                let mut worker = Worker::new(deliver, progress);
                let outcome = worker.run(&works);
                if outcome.is_err() {
                    works.lock().unwrap_or_else(PoisonError::into_inner).close();
                }
                outcome.map(|()| (worker.stats, worker.missed))
            })
        })
        .collect()
}

pub(super) async fn join(workers: Vec<JoinHandle<Outcome>>) -> Outcome {
    let mut stats = FetchStats::default();
    let mut missed = Vec::new();
    let mut failure = None;
    for worker in workers {
        match worker.await.unwrap_or(Err(FetchError::Defect)) {
            Ok((more, more_missed)) => {
                stats += more;
                missed.extend(more_missed);
            }
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(Ok((stats, missed)), Err)
}

struct Worker {
    deliver: Arc<dyn Deliver>,
    progress: Arc<dyn Progress>,
    decoder: Decoder,
    plain: Vec<u8>,
    stats: FetchStats,
    missed: Vec<Want>,
}

impl Worker {
    fn new(deliver: Arc<dyn Deliver>, progress: Arc<dyn Progress>) -> Self {
        Self {
            deliver,
            progress,
            decoder: Decoder::default(),
            plain: vec![0; CHUNK_LEN_MAX as usize],
            stats: FetchStats::default(),
            missed: Vec::new(),
        }
    }

    fn run(&mut self, works: &Works) -> Result<(), FetchError> {
        loop {
            // Waiting under the lock is harmless: the other workers would wait for the same work.
            let work = works.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
            match work {
                None => return Ok(()),
                Some(Work::Seeds(seeds)) => self.seeds(seeds)?,
                Some(Work::Frames(request, bytes)) => self.frames(&request, &bytes)?,
            }
        }
    }

    fn frames(&mut self, request: &Request, bytes: &[u8]) -> Result<(), FetchError> {
        let pack = request.pack;
        for frame in &request.frames {
            let chunk = frame.want.chunk;
            let stored = bytes.get(frame.range.clone()).ok_or(FetchError::Defect)?;
            let plain = self
                .decoder
                .decode(frame.encoding, stored, chunk.len, &mut self.plain)
                .map_err(|source| FetchError::Codec { chunk, pack, source })?;
            let actual = ChunkDigest::of(plain);
            if actual != chunk.digest {
                return Err(FetchError::Digest { chunk, pack, actual });
            }
            let stored = StoredFrame { encoding: frame.encoding, bytes: stored };
            self.deliver.deliver(&frame.want, plain, Origin::Pack(stored))?;
            self.progress.advance(wanted_bytes(&frame.want));
        }
        self.progress.transferred(bytes.len() as u64);
        self.stats.add_request(request);
        Ok(())
    }

    fn seeds(&mut self, seeds: Vec<(Want, SeedPlace)>) -> Result<(), FetchError> {
        for (want, place) in seeds {
            let plain = &mut self.plain[..usize::from(want.chunk.len)];
            let holds =
                self.deliver.read_seed(place, plain) && ChunkDigest::of(plain) == want.chunk.digest;
            if !holds {
                self.missed.push(want);
                continue;
            }
            self.deliver.deliver(&want, plain, Origin::Seed(place))?;
            self.progress.reused(wanted_bytes(&want));
            self.stats.seeded_chunks += 1;
            self.stats.seeded_bytes += u64::from(want.chunk.len);
        }
        Ok(())
    }
}

/// Returns the bytes that a want fills on the disks: its chunk's length, once per place.
fn wanted_bytes(want: &Want) -> u64 {
    u64::from(want.chunk.len) * want.places.len() as u64
}
