//! What a fetch did, or would do.

use std::ops::AddAssign;

use serde::Serialize;

use super::ranges::Request;

/// Bytes and requests of a fetch.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FetchStats {
    /// Distinct chunks from the registry.
    pub fetched_chunks: u64,
    /// Their plain bytes.
    pub fetched_plain_bytes: u64,
    /// Bytes of packs that were read for them, short gaps included.
    pub fetched_stored_bytes: u64,
    /// Requests for ranges of packs.
    pub requests: u64,
    /// Distinct chunks from local seeds.
    pub seeded_chunks: u64,
    /// Their plain bytes.
    pub seeded_bytes: u64,
}

impl FetchStats {
    pub(super) fn planned(requests: &[Request]) -> Self {
        let mut stats = Self::default();
        for request in requests {
            stats.add_request(request);
        }
        stats
    }

    pub(super) fn add_request(&mut self, request: &Request) {
        self.requests += 1;
        self.fetched_stored_bytes += request.range.end - request.range.start;
        for frame in &request.frames {
            self.fetched_chunks += 1;
            self.fetched_plain_bytes += u64::from(frame.want.chunk.len);
        }
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
