//! The parser of a part. Its input is hostile: every length is checked against the bytes at hand,
//! and memory is bounded by the length of the input.

use bytes::{Buf, Bytes};
use seawall_api::digest::{IndexDigest, LeafDigest, PackDigest};
use seawall_api::index::{ChunkRef, FORMAT_EPOCH, InvalidIndex, Leaf};
use seawall_store::pack::PACK_LEN_MAX;
use seawall_store::read::Place;

use super::{
    HEADER_LEN, LEAVES_PER_PART_MAX, MAGIC, MAP_PART_LEN_MAX, MapPart, MappedLeaf, NO_FRAME,
    NO_PACK, PLACE_LEN, left_out,
};

/// The reason bytes are not a part of a map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMap {
    /// The magic number belongs to another format.
    #[error("this is not a map: its magic number differs")]
    Magic,
    /// The bytes were written by a later version of Seawall.
    #[error("format epoch {0} is unknown to this version (it reads epoch {FORMAT_EPOCH})")]
    Epoch(u32),
    /// The bytes are cut or changed.
    #[error("it is torn: the digest at its end does not match")]
    Torn,
    /// A number contradicts the bytes around it.
    #[error("it is malformed: {0}")]
    Malformed(&'static str),
    /// A leaf is malformed.
    #[error("leaf {position} is malformed")]
    Leaf {
        /// The position of the leaf in the part.
        position: usize,
        /// The cause.
        source: InvalidIndex,
    },
}

const SHORT: InvalidMap = InvalidMap::Malformed("it ends too early");

impl MapPart {
    /// Decodes a part.
    ///
    /// # Errors
    /// Fails if the bytes are not a complete part of a map in a known epoch.
    pub fn decode(bytes: &Bytes) -> Result<Self, InvalidMap> {
        if bytes.len() as u64 > MAP_PART_LEN_MAX || bytes.len() < HEADER_LEN + 32 {
            return Err(InvalidMap::Malformed("no part has this length"));
        }
        if !bytes.starts_with(MAGIC) {
            return Err(InvalidMap::Magic);
        }
        let mut rest = bytes.slice(MAGIC.len()..bytes.len() - 32);
        match rest.get_u32_le() {
            FORMAT_EPOCH => {}
            other => return Err(InvalidMap::Epoch(other)),
        }
        if blake3::hash(&bytes[..bytes.len() - 32]) != bytes[bytes.len() - 32..] {
            return Err(InvalidMap::Torn);
        }
        let position = rest.get_u32_le();
        let is_last = match rest.get_u32_le() {
            0 => false,
            1 => true,
            _ => return Err(InvalidMap::Malformed("the mark of its last part is neither 0 nor 1")),
        };
        let [list_len, pack_count, leaf_count] = [(); 3].map(|()| rest.get_u32_le() as usize);
        let index = IndexDigest::from_bytes(digest(&mut rest)?);
        let list = take(&mut rest, list_len)?;
        if (position == 0) == list.is_empty() {
            return Err(InvalidMap::Malformed("only the first part has the list"));
        }
        let packs = packs(&mut rest, pack_count)?;
        let leaves = leaves(&mut rest, leaf_count, &packs)?;
        if !rest.is_empty() {
            return Err(InvalidMap::Malformed("bytes follow the places"));
        }
        let list = (position == 0).then_some(list);
        Ok(Self { index, position, is_last, list, leaves })
    }
}

fn take(rest: &mut Bytes, len: usize) -> Result<Bytes, InvalidMap> {
    if len > rest.len() { Err(SHORT) } else { Ok(rest.split_to(len)) }
}

fn digest(rest: &mut Bytes) -> Result<[u8; 32], InvalidMap> {
    take(rest, 32)?.as_ref().try_into().map_err(|_| SHORT)
}

fn packs(rest: &mut Bytes, count: usize) -> Result<Vec<PackDigest>, InvalidMap> {
    let table = take(rest, count.checked_mul(32).ok_or(SHORT)?)?;
    Ok(table.as_chunks().0.iter().map(|digest| PackDigest::from_bytes(*digest)).collect())
}

fn leaves(
    rest: &mut Bytes,
    count: usize,
    packs: &[PackDigest],
) -> Result<Vec<MappedLeaf>, InvalidMap> {
    if count > LEAVES_PER_PART_MAX {
        return Err(InvalidMap::Malformed("it has too many leaves"));
    }
    let mut found = Vec::with_capacity(count);
    for position in 0..count {
        let len = take(rest, 4)?.get_u32_le() as usize;
        let bytes = take(rest, len)?;
        let leaf =
            Leaf::decode_any(&bytes).map_err(|source| InvalidMap::Leaf { position, source })?;
        found.push((bytes, leaf));
    }
    let mut leaves = Vec::with_capacity(count);
    for (bytes, leaf) in found {
        let places = leaf.chunks().map(|chunk| place(rest, chunk, packs));
        let places = places.collect::<Result<_, _>>()?;
        leaves.push(MappedLeaf { digest: LeafDigest::of(&bytes), bytes, places });
    }
    Ok(leaves)
}

fn place(rest: &mut Bytes, chunk: ChunkRef, packs: &[PackDigest]) -> Result<Place, InvalidMap> {
    let mut place = take(rest, PLACE_LEN)?;
    let (pack, offset, frame) = (place.get_u32_le(), place.get_u32_le(), place.get_u32_le());
    if (pack, offset, frame) == (NO_PACK, 0, NO_FRAME) {
        return Ok(left_out(chunk.len.get()));
    }
    let pack = packs.get(pack as usize).ok_or(InvalidMap::Malformed("a place is in no pack"))?;
    let [.., encoding] = frame.to_le_bytes();
    let stored_len = frame & 0x00ff_ffff;
    let end = u64::from(offset) + u64::from(stored_len);
    if !chunk.len.may_be_stored_in(stored_len) || end > PACK_LEN_MAX as u64 {
        return Err(InvalidMap::Malformed("a place is impossible"));
    }
    let (offset, plain_len) = (u64::from(offset), chunk.len.get());
    Ok(Place { pack: *pack, offset, stored_len, plain_len, encoding })
}
