//! Counters of a fetch, done or planned.

use std::ops::AddAssign;

use seawall_store::read::Request;
use serde::Serialize;

use super::Want;

/// The bytes and requests of a fetch.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FetchStats {
    /// The number of distinct chunks from the registry.
    pub fetched_chunks: u64,
    /// The plain bytes of the chunks from the registry.
    pub fetched_plain_bytes: u64,
    /// The bytes read from packs, including short gaps.
    pub fetched_stored_bytes: u64,
    /// The number of requests for ranges of packs.
    pub requests: u64,
    /// The number of distinct chunks from local seeds.
    pub seeded_chunks: u64,
    /// The plain bytes of the chunks from seeds.
    pub seeded_bytes: u64,
}

impl FetchStats {
    pub(super) fn planned(requests: &[Request<Want>]) -> Self {
        let mut stats = Self { requests: requests.len() as u64, ..Self::default() };
        for request in requests {
            stats.fetched_stored_bytes += request.range.end - request.range.start;
            stats.fetched_chunks += request.frames.len() as u64;
            let lens = request.frames.iter().map(|frame| u64::from(frame.want.chunk.len));
            stats.fetched_plain_bytes += lens.sum::<u64>();
        }
        stats
    }
}

impl AddAssign for FetchStats {
    fn add_assign(&mut self, other: Self) {
        self.fetched_chunks += other.fetched_chunks;
        self.fetched_plain_bytes += other.fetched_plain_bytes;
        self.fetched_stored_bytes += other.fetched_stored_bytes;
        self.requests += other.requests;
        self.seeded_chunks += other.seeded_chunks;
        self.seeded_bytes += other.seeded_bytes;
    }
}
