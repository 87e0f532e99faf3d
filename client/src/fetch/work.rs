//! The workers' part of a fetch: proves and delivers chunks.

use std::sync::Arc;

use seawall_store::read::{Prover, Request};
use tokio::sync::mpsc;

use super::{Deliver, FetchError, FetchStats, Origin, SeedPlace, Want};
use crate::progress::Progress;

/// The receivers of what a worker proves.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) deliver: Arc<dyn Deliver>,
    pub(super) progress: Arc<dyn Progress>,
    /// Closes its channel with the last worker.
    pub(super) _running: mpsc::Sender<()>,
}

impl Work {
    /// Delivers the chunks of a request, except for the first ones, which are delivered already.
    /// Returns the number of those delivered now and then.
    pub(super) fn frames(
        &self,
        request: &Request<Want>,
        bytes: &[u8],
        delivered: usize,
        prover: &mut Prover,
    ) -> (usize, Result<FetchStats, FetchError>) {
        self.progress.transferred(bytes.len() as u64);
        for (position, frame) in request.frames.iter().enumerate().skip(delivered) {
            let proven = request.prove(position, bytes, prover).map_err(Arc::new);
            let outcome = proven.map_err(FetchError::from).and_then(|proven| {
                Ok(self.deliver.deliver(&frame.want, proven.plain, Origin::Pack(proven))?)
            });
            if let Err(error) = outcome {
                return (position, Err(error));
            }
            self.progress.advance(wanted_bytes(&frame.want));
        }
        (request.frames.len(), Ok(FetchStats::planned(std::slice::from_ref(request))))
    }

    /// Delivers the chunks that their seeds hold. Returns the others.
    pub(super) fn seeds(
        &self,
        seeds: Vec<(Want, SeedPlace)>,
        prover: &mut Prover,
    ) -> Result<(FetchStats, Vec<Want>), FetchError> {
        let (mut stats, mut missed) = (FetchStats::default(), Vec::new());
        for (want, place) in seeds {
            let read = |plain: &mut [u8]| self.deliver.read_seed(place, plain);
            let Some(plain) = prover.prove_plain(want.chunk, read) else {
                missed.push(want);
                continue;
            };
            self.deliver.deliver(&want, plain, Origin::Seed(place))?;
            self.progress.reused(wanted_bytes(&want));
            stats.seeded_chunks += 1;
            stats.seeded_bytes += u64::from(want.chunk.len);
        }
        Ok((stats, missed))
    }
}

/// Returns the bytes that a want fills on the disks: its chunk's length, once per place.
fn wanted_bytes(want: &Want) -> u64 {
    u64::from(want.chunk.len) * want.places.len() as u64
}
