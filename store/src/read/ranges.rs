//! Coalesces the frames of wanted chunks into few long ranges of packs.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use seawall_api::digest::PackDigest;
use seawall_api::index::ChunkRef;
use seawall_api::units::CHUNK_LEN_MAX;

use super::{Place, Proven, Prover, ReadError};
use crate::codec::Encoding;
use crate::pack::Frame;

/// The longest range in bytes, unless a single frame is longer.
pub(super) const RANGE_LEN_MAX: u64 = 4 << 20;
/// The longest gap in bytes that is read and discarded, because a second request costs more.
pub(super) const GAP_LEN_MAX: u64 = 128 << 10;

/// A wanted chunk, with whatever its reader attaches to it.
pub trait Wanted: Send + 'static {
    /// Returns the chunk.
    fn chunk(&self) -> ChunkRef;
}

impl Wanted for ChunkRef {
    fn chunk(&self) -> ChunkRef {
        *self
    }
}

/// One frame of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestedFrame<T> {
    /// The wanted chunk.
    pub want: T,
    encoding: Encoding,
    /// The position of the frame in the bytes of the request.
    range: Range<usize>,
}

/// A range of a pack and the wanted frames in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request<T> {
    /// The pack.
    pub pack: PackDigest,
    /// The range in bytes.
    pub range: Range<u64>,
    /// The frames, in the pack's order.
    pub frames: Vec<RequestedFrame<T>>,
}

impl<T: Wanted> Request<T> {
    /// Decodes and hashes the frame at a position, given the bytes of the request.
    ///
    /// # Errors
    /// Fails if the bytes are too short for the frame, or do not hold its chunk.
    pub fn prove<'a>(
        &self,
        position: usize,
        bytes: &'a [u8],
        prover: &'a mut Prover,
    ) -> Result<Proven<'a>, ReadError> {
        let frame = &self.frames[position];
        let (pack, chunk) = (self.pack, frame.want.chunk());
        let stored = bytes.get(frame.range.clone()).ok_or(ReadError::Short { chunk, pack })?;
        prover.prove(chunk, frame.encoding, stored).map_err(|error| error.within(pack, chunk))
    }

    /// Returns the frame at a position and its stored bytes, given the bytes of the request.
    /// Nothing is decoded: whoever uses the chunk proves it.
    ///
    /// # Errors
    /// Fails if the bytes are too short for the frame.
    pub fn stored<'a>(
        &self,
        position: usize,
        bytes: &'a [u8],
    ) -> Result<(Frame, &'a [u8]), ReadError> {
        let RequestedFrame { want, encoding, range } = &self.frames[position];
        let (pack, chunk) = (self.pack, want.chunk());
        let stored = bytes.get(range.clone()).ok_or(ReadError::Short { chunk, pack })?;
        let stored_len =
            u32::try_from(range.len()).map_err(|_| ReadError::Short { chunk, pack })?;
        let offset = self.range.start + range.start as u64;
        let (digest, plain_len) = (chunk.digest, chunk.len);
        Ok((Frame { digest, encoding: *encoding, plain_len, offset, stored_len }, stored))
    }

    /// Returns the stored length of the wanted frames, in bytes.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.frames.iter().map(|frame| frame.range.len() as u64).sum()
    }
}

/// The requests for a set of chunks.
#[derive(Debug)]
pub struct Plan<T> {
    /// The requests, in the order of their first chunk.
    pub requests: Vec<Request<T>>,
    /// The chunks that cannot be requested, each with the reason.
    pub lost: Vec<(T, Arc<ReadError>)>,
}

/// Coalesces wanted chunks into requests, pack by pack, in the order of their offsets.
pub(super) fn coalesce<T: Wanted>(wants: Vec<T>, places: &[Place]) -> Plan<T> {
    let (asked, given) = (wants.len(), places.len());
    if asked != given {
        let error = Arc::new(ReadError::Places { asked, given });
        let lost = wants.into_iter().map(|want| (want, Arc::clone(&error))).collect();
        return Plan { requests: Vec::new(), lost };
    }
    let mut plan = Plan { requests: Vec::new(), lost: Vec::new() };
    let mut order = HashMap::new();
    let mut frames = Vec::with_capacity(wants.len());
    for (want, place) in wants.into_iter().zip(places) {
        match encoding(want.chunk(), place) {
            Ok(encoding) => {
                let next = order.len();
                let pack = *order.entry(place.pack).or_insert(next);
                frames.push((pack, place, encoding, want));
            }
            Err(error) => plan.lost.push((want, Arc::new(error))),
        }
    }
    frames.sort_by_key(|(pack, place, ..)| (*pack, place.offset));
    for (_, place, encoding, want) in frames {
        let end = place.offset.saturating_add(u64::from(place.stored_len));
        let joins = |open: &&mut Request<T>| {
            open.pack == place.pack
                && place.offset >= open.range.end
                && place.offset - open.range.end <= GAP_LEN_MAX
                && end - open.range.start <= RANGE_LEN_MAX
        };
        match plan.requests.last_mut().filter(joins) {
            Some(open) => {
                open.range.end = end;
                // The frame before it ends here; both are within a range of `RANGE_LEN_MAX`.
                let end = usize::try_from(end - open.range.start).unwrap_or(usize::MAX);
                let range = end - place.stored_len as usize..end;
                open.frames.push(RequestedFrame { want, encoding, range });
            }
            None => {
                let (pack, range) = (place.pack, 0..place.stored_len as usize);
                let frames = vec![RequestedFrame { want, encoding, range }];
                plan.requests.push(Request { pack, range: place.offset..end, frames });
            }
        }
    }
    plan
}

fn encoding(chunk: ChunkRef, place: &Place) -> Result<Encoding, ReadError> {
    let pack = place.pack;
    if place.plain_len != chunk.len.get() {
        return Err(ReadError::Length { chunk, pack, actual: place.plain_len });
    }
    // A lie about this length would have a range of any size read.
    if place.stored_len > CHUNK_LEN_MAX {
        return Err(ReadError::Length { chunk, pack, actual: place.stored_len });
    }
    Encoding::from_number(place.encoding).map_err(|source| ReadError::Codec { chunk, pack, source })
}
