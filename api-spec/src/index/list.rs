//! The list: the leaves of a disk, in order.

use super::{
    ContentDigest, DIGEST_LEN, DiskLen, FORMAT_EPOCH, IndexDigest, InvalidIndex, LeafDigest,
    SubtreeValue, content_digest, digest_at, leaf_count, u32_at, u64_at,
};
use crate::units::{BLOCK_LEN, DISK_LEN_MAX, SECTOR_LEN};

const MAGIC: &[u8; 8] = b"SWINDEX\0";
const HEADER_LEN: usize = 8 + 4 + 4 + 8 + DIGEST_LEN;
const ENTRY_LEN: usize = 2 * DIGEST_LEN;
/// The maximum length of a list, in bytes, for a disk of [`DISK_LEN_MAX`].
#[allow(clippy::cast_possible_truncation)] // 2^18 leaves: fits every usize
pub const INDEX_LEN_MAX: usize =
    HEADER_LEN + (DISK_LEN_MAX / super::LEAF_SPAN) as usize * ENTRY_LEN;

/// An entry of the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeafRef {
    /// The leaf's name.
    pub digest: LeafDigest,
    /// The leaf's subtree value, which contributes to the content digest.
    pub value: SubtreeValue,
}

/// The index of one disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskIndex {
    disk_len: DiskLen,
    grid_offset: u32,
    content: ContentDigest,
    leaves: Vec<LeafRef>,
}

impl DiskIndex {
    /// Joins the leaves of a disk. The content digest follows from the leaves.
    ///
    /// `grid_offset` is the offset of the first whole block of the chunking grid, in bytes.
    ///
    /// # Errors
    /// If the number of leaves does not match the disk's length, or if the offset is not a multiple
    /// of the sector length below the block length.
    pub fn new(
        disk_len: DiskLen,
        grid_offset: u32,
        leaves: Vec<LeafRef>,
    ) -> Result<Self, InvalidIndex> {
        if leaves.len() != leaf_count(disk_len) {
            return Err(InvalidIndex::Length("a list of leaves", leaves.len()));
        }
        let offset = u64::from(grid_offset);
        if offset >= BLOCK_LEN || offset % SECTOR_LEN != 0 {
            return Err(InvalidIndex::GridOffset(grid_offset));
        }
        let values: Vec<_> = leaves.iter().map(|leaf| leaf.value).collect();
        Ok(Self { disk_len, grid_offset, content: content_digest(&values), leaves })
    }

    /// Returns the disk's length.
    #[must_use]
    pub fn disk_len(&self) -> DiskLen {
        self.disk_len
    }

    /// Returns the offset of the first whole block of the chunking grid, in bytes.
    #[must_use]
    pub fn grid_offset(&self) -> u32 {
        self.grid_offset
    }

    /// Returns the disk's identity.
    #[must_use]
    pub fn content(&self) -> ContentDigest {
        self.content
    }

    /// Returns the leaves in disk order.
    #[must_use]
    pub fn leaves(&self) -> &[LeafRef] {
        &self.leaves
    }

    /// Returns the name of the index.
    #[must_use]
    pub fn digest(&self) -> IndexDigest {
        IndexDigest::of(&self.encode())
    }

    /// Returns the list's bytes at rest.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN + self.leaves.len() * ENTRY_LEN);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT_EPOCH.to_le_bytes());
        out.extend_from_slice(&self.grid_offset.to_le_bytes());
        out.extend_from_slice(&self.disk_len.get().to_le_bytes());
        out.extend_from_slice(self.content.as_bytes());
        for leaf in &self.leaves {
            out.extend_from_slice(leaf.digest.as_bytes());
            out.extend_from_slice(&leaf.value.0);
        }
        out
    }

    /// Decodes a list.
    ///
    /// # Errors
    /// If the bytes are not exactly the output of [`Self::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidIndex> {
        const WHAT: &str = "a list";
        let length = || InvalidIndex::Length(WHAT, bytes.len());
        if !(HEADER_LEN..=INDEX_LEN_MAX).contains(&bytes.len()) {
            return Err(length());
        }
        if !bytes.starts_with(MAGIC) {
            return Err(InvalidIndex::Magic(WHAT));
        }
        let epoch = u32_at(bytes, 8).ok_or_else(length)?;
        if epoch != FORMAT_EPOCH {
            return Err(InvalidIndex::Epoch(epoch));
        }
        let grid_offset = u32_at(bytes, 12).ok_or_else(length)?;
        let disk_len = DiskLen::new(u64_at(bytes, 16).ok_or_else(length)?)?;
        let expected = ContentDigest::from_bytes(digest_at(bytes, 24).ok_or_else(length)?);
        let (entries, rest) = bytes[HEADER_LEN..].as_chunks::<ENTRY_LEN>();
        if !rest.is_empty() || entries.len() != leaf_count(disk_len) {
            return Err(length());
        }
        let leaves = entries
            .iter()
            .map(|entry| {
                let digest = digest_at(entry, 0).ok_or_else(length)?;
                let value = digest_at(entry, DIGEST_LEN).ok_or_else(length)?;
                Ok(LeafRef { digest: LeafDigest::from_bytes(digest), value: SubtreeValue(value) })
            })
            .collect::<Result<_, InvalidIndex>>()?;
        let index = Self::new(disk_len, grid_offset, leaves)?;
        if index.content != expected {
            return Err(InvalidIndex::Content { expected, actual: index.content });
        }
        Ok(index)
    }
}
