//! A leaf: the extents of one span.

use super::{
    ChunkRef, DIGEST_LEN, Extent, FORMAT_EPOCH, InvalidIndex, LEAF_SPAN, LeafDigest, digest_at,
    u32_at,
};
use crate::digest::ChunkDigest;
use crate::units::{CHUNK_LEN_MAX, ChunkLen};

const MAGIC: &[u8; 4] = b"SWLF";
const HEADER_LEN: usize = 8;
/// The bit that marks the length word of a hole. The other bits are the hole's length.
const HOLE_BIT: u32 = 1 << 31;
/// The maximum length of a leaf, in bytes: one chunk per block, and as many holes as fit between
/// them.
pub const LEAF_LEN_MAX: usize = 4 << 20;

/// The extents of one span of disk, in canonical form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaf {
    extents: Vec<Extent>,
}

impl Leaf {
    /// Proves that `extents` are in canonical form and cover `span_len` bytes.
    ///
    /// # Errors
    /// If the extents do not, or if `span_len` is not 1 to [`LEAF_SPAN`].
    pub fn new(extents: Vec<Extent>, span_len: u64) -> Result<Self, InvalidIndex> {
        let mut actual = 0;
        let mut after_hole = false;
        for (position, extent) in extents.iter().enumerate() {
            let is_hole = matches!(extent, Extent::Hole(_));
            if extent.disk_len() == 0 {
                return Err(InvalidIndex::Extent { position, why: "it is empty" });
            }
            if is_hole && after_hole {
                return Err(InvalidIndex::Extent { position, why: "two holes touch" });
            }
            after_hole = is_hole;
            actual += extent.disk_len();
        }
        if actual != span_len || !(1..=LEAF_SPAN).contains(&span_len) {
            return Err(InvalidIndex::Coverage { expected: span_len, actual });
        }
        Ok(Self { extents })
    }

    /// Returns the leaf of a span that is one hole.
    ///
    /// # Panics
    /// If `span_len` is not 1 to [`LEAF_SPAN`].
    #[must_use]
    pub fn hole(span_len: u64) -> Self {
        match u32::try_from(span_len) {
            Ok(len @ 1..) if span_len <= LEAF_SPAN => Self { extents: vec![Extent::Hole(len)] },
            _ => panic!("a leaf spans 1 to {LEAF_SPAN} bytes, not {span_len}"),
        }
    }

    /// Returns the extents in disk order.
    #[must_use]
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// Returns the chunks in disk order. A repeated chunk is listed each time.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkRef> + '_ {
        self.extents.iter().filter_map(|extent| match extent {
            Extent::Data(chunk) => Some(*chunk),
            Extent::Hole(_) => None,
        })
    }

    /// Returns the length of disk covered, in bytes.
    #[must_use]
    pub fn span_len(&self) -> u64 {
        self.extents.iter().map(Extent::disk_len).sum()
    }

    /// Returns the leaf's name.
    #[must_use]
    pub fn digest(&self) -> LeafDigest {
        LeafDigest::of(&self.encode())
    }

    /// Returns the leaf's bytes at rest.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN + self.extents.len() * (4 + DIGEST_LEN));
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT_EPOCH.to_le_bytes());
        for extent in &self.extents {
            match extent {
                Extent::Data(chunk) => {
                    out.extend_from_slice(&chunk.len.get().to_le_bytes());
                    out.extend_from_slice(chunk.digest.as_bytes());
                }
                Extent::Hole(len) => out.extend_from_slice(&(len | HOLE_BIT).to_le_bytes()),
            }
        }
        out
    }

    /// Decodes a leaf whose span has `span_len` bytes.
    ///
    /// # Errors
    /// If the bytes are not exactly the output of [`Self::encode`] for such a span.
    pub fn decode(bytes: &[u8], span_len: u64) -> Result<Self, InvalidIndex> {
        let leaf = Self::decode_any(bytes)?;
        let actual = leaf.span_len();
        if actual != span_len {
            return Err(InvalidIndex::Coverage { expected: span_len, actual });
        }
        Ok(leaf)
    }

    /// Decodes a leaf with a span of unknown length, as a registry does on receipt.
    ///
    /// # Errors
    /// If the bytes are not exactly the output of [`Self::encode`] for some span.
    pub fn decode_any(bytes: &[u8]) -> Result<Self, InvalidIndex> {
        const WHAT: &str = "a leaf";
        let length = || InvalidIndex::Length(WHAT, bytes.len());
        if !(HEADER_LEN..=LEAF_LEN_MAX).contains(&bytes.len()) {
            return Err(length());
        }
        if !bytes.starts_with(MAGIC) {
            return Err(InvalidIndex::Magic(WHAT));
        }
        match u32_at(bytes, 4) {
            Some(FORMAT_EPOCH) => {}
            other => return Err(InvalidIndex::Epoch(other.unwrap_or_default())),
        }
        let mut extents = Vec::with_capacity(bytes.len() / (4 + DIGEST_LEN) + 1);
        let mut offset = HEADER_LEN;
        let mut span_len = 0;
        while offset < bytes.len() {
            let word = u32_at(bytes, offset).ok_or_else(length)?;
            offset += 4;
            let extent = if word & HOLE_BIT != 0 {
                Extent::Hole(word & !HOLE_BIT)
            } else if word > CHUNK_LEN_MAX {
                let why = "the chunk is longer than a chunk can be";
                return Err(InvalidIndex::Extent { position: extents.len(), why });
            } else {
                let digest = digest_at(bytes, offset).ok_or_else(length)?;
                offset += DIGEST_LEN;
                let digest = ChunkDigest::from_bytes(digest);
                Extent::Data(ChunkRef { digest, len: ChunkLen::new(u64::from(word))? })
            };
            span_len += extent.disk_len();
            extents.push(extent);
        }
        Self::new(extents, span_len)
    }
}
