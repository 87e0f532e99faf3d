//! Coalesces the frames of a group into few long ranges of packs.

use std::ops::Range;

use seawall_api::digest::PackDigest;
use seawall_store::codec::Encoding;

use super::{FetchError, Want};
use crate::registry::Located;

/// The longest range in bytes, unless a single frame is longer.
const RANGE_LEN_MAX: u64 = 4 << 20;
/// The longest gap in bytes that is read and discarded, because a second request costs more.
const GAP_LEN_MAX: u64 = 128 << 10;

/// One frame of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    pub(crate) want: Want,
    pub(crate) encoding: Encoding,
    /// The position of the frame in the bytes of the request.
    pub(crate) range: Range<usize>,
}

/// A range of a pack and the frames in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Request {
    pub(crate) pack: PackDigest,
    pub(crate) range: Range<u64>,
    pub(crate) frames: Vec<Frame>,
}

/// Coalesces wanted chunks into requests, pack by pack, in the order of their offsets.
pub(crate) fn coalesce(wants: Vec<Want>, located: &Located) -> Result<Vec<Request>, FetchError> {
    if wants.len() != located.locations.len() {
        return Err(FetchError::Defect);
    }
    let mut frames: Vec<_> = wants.into_iter().zip(&located.locations).collect();
    frames.sort_by_key(|(_, at)| (at.pack, at.offset));
    let mut requests: Vec<Request> = Vec::new();
    let mut open_pack = None;
    for (want, at) in frames {
        let chunk = want.chunk;
        if at.plain_len != chunk.len.get() {
            return Err(FetchError::Length { chunk, actual: at.plain_len });
        }
        let pack = located.packs.get(at.pack as usize).copied().ok_or(FetchError::Defect)?;
        let encoding = Encoding::from_number(at.encoding).map_err(|source| FetchError::Codec {
            chunk,
            pack,
            source,
        })?;
        let end = at.offset.saturating_add(u64::from(at.stored_len));
        let joins = open_pack == Some(at.pack)
            && requests.last().is_some_and(|open| {
                at.offset >= open.range.end
                    && at.offset - open.range.end <= GAP_LEN_MAX
                    && end - open.range.start <= RANGE_LEN_MAX
            });
        if !joins {
            open_pack = Some(at.pack);
            requests.push(Request { pack, range: at.offset..at.offset, frames: Vec::new() });
        }
        let Some(open) = requests.last_mut() else { return Err(FetchError::Defect) };
        open.range.end = end;
        let start = usize::try_from(at.offset - open.range.start).unwrap_or(usize::MAX);
        let range = start..start + at.stored_len as usize;
        open.frames.push(Frame { want, encoding, range });
    }
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::Place;
    use seawall_api::digest::ChunkDigest;
    use seawall_api::index::ChunkRef;
    use seawall_api::units::ChunkLen;
    use seawall_api::v1::ChunkLocation;

    /// Coalesces frames given as (pack, offset, length), and returns (pack, range, frame count).
    fn ranges(frames: &[(u32, u64, u32)]) -> Vec<(usize, Range<u64>, usize)> {
        let packs = vec![PackDigest::of(b"0"), PackDigest::of(b"1")];
        let wants = (0..frames.len()).map(|i| Want {
            chunk: ChunkRef {
                digest: ChunkDigest::of(&i.to_le_bytes()),
                len: ChunkLen::new(4096).unwrap(),
            },
            places: vec![Place { disk: 0, offset: 0 }],
        });
        let locations = frames
            .iter()
            .map(|&(pack, offset, stored_len)| ChunkLocation {
                pack,
                offset,
                stored_len,
                plain_len: 4096,
                encoding: 1,
            })
            .collect();
        let located = Located { packs: packs.clone(), locations };
        coalesce(wants.collect(), &located)
            .unwrap()
            .into_iter()
            .map(|r| (packs.iter().position(|p| *p == r.pack).unwrap(), r.range, r.frames.len()))
            .collect()
    }

    #[test]
    fn neighbours_are_joined_whatever_order_they_are_wanted_in() {
        assert_eq!(ranges(&[(0, 116, 100), (0, 16, 100)]), [(0, 16..216, 2)]);
    }

    #[test]
    fn a_short_gap_is_read_over_and_a_long_one_is_not() {
        let near = GAP_LEN_MAX + 10;
        assert_eq!(ranges(&[(0, 0, 10), (0, near, 10)]), [(0, 0..near + 10, 2)]);
        let far = near + 1;
        assert_eq!(ranges(&[(0, 0, 10), (0, far, 10)]), [(0, 0..10, 1), (0, far..far + 10, 1)]);
    }

    #[test]
    fn packs_are_never_joined_and_ranges_stay_short() {
        assert_eq!(ranges(&[(0, 16, 10), (1, 26, 10)]), [(0, 16..26, 1), (1, 26..36, 1)]);
        let frames: Vec<_> = (0..100).map(|i| (0, i * 100_000, 100_000)).collect();
        let ranges = ranges(&frames);
        assert!(ranges.iter().all(|(_, range, _)| range.end - range.start <= RANGE_LEN_MAX));
        assert_eq!(ranges.iter().map(|(_, _, count)| count).sum::<usize>(), 100);
    }
}
