//! The bytes of a part.

use std::collections::HashMap;

use bytes::Bytes;
use seawall_api::digest::PackDigest;
use seawall_api::index::FORMAT_EPOCH;

use super::{HEADER_LEN, LEFT_OUT, MAGIC, MapPart, NO_FRAME, NO_PACK, PLACE_LEN};

impl MapPart {
    /// Encodes the part.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut packs: Vec<PackDigest> = Vec::new();
        let mut numbers = HashMap::new();
        let mut places = Vec::new();
        for place in self.leaves.iter().flat_map(|leaf| &leaf.places) {
            if place.encoding == LEFT_OUT {
                let place = [NO_PACK, 0, NO_FRAME].map(u32::to_le_bytes);
                places.extend_from_slice(place.as_flattened());
                continue;
            }
            let number = *numbers.entry(place.pack).or_insert_with(|| {
                packs.push(place.pack);
                packs.len() - 1
            });
            places.extend_from_slice(&word(number));
            // A pack is shorter than 2^32 bytes, and a frame shorter than 2^24.
            places.extend_from_slice(&word(usize::try_from(place.offset).unwrap_or(usize::MAX)));
            let frame = place.stored_len | u32::from(place.encoding) << 24;
            places.extend_from_slice(&frame.to_le_bytes());
        }
        let list = self.list.as_deref().unwrap_or_default();
        let leaves: usize = self.leaves.iter().map(|leaf| 4 + leaf.bytes.len()).sum();
        let len = HEADER_LEN + list.len() + packs.len() * 32 + leaves + places.len() + 32;
        debug_assert_eq!(places.len() % PLACE_LEN, 0);
        let mut out = Vec::with_capacity(len);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT_EPOCH.to_le_bytes());
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&u32::from(self.is_last).to_le_bytes());
        for count in [list.len(), packs.len(), self.leaves.len()] {
            out.extend_from_slice(&word(count));
        }
        out.extend_from_slice(self.index.as_bytes());
        out.extend_from_slice(list);
        for pack in &packs {
            out.extend_from_slice(pack.as_bytes());
        }
        for leaf in &self.leaves {
            out.extend_from_slice(&word(leaf.bytes.len()));
            out.extend_from_slice(&leaf.bytes);
        }
        out.extend_from_slice(&places);
        let digest = blake3::hash(&out);
        out.extend_from_slice(digest.as_bytes());
        out.into()
    }
}

/// Encodes a count or a length, all of which are bounded by the length of a part.
fn word(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}
