//! Block-aligned content-defined chunking of disks, format epoch 1.
//!
//! Cuts are a storage format: changing any constant here changes the chunks of every disk, and
//! needs a new epoch. docs/FORMAT.md, section 3, has the rule and its rationale; the golden test
//! below pins it.
//!
//! The caller walks the blocks of the grid in order, asks [`Cutter::begins_chunk`] about each
//! block of data, and calls [`Cutter::end`] at each hole and at the end of a leaf.

use xxhash_rust::xxh3::xxh3_64;

/// Minimum length of a chunk cut by content, in bytes.
pub const CHUNK_LEN_MIN: u32 = 16 << 10;
/// Approximate mean length of chunks, in bytes.
pub const CHUNK_LEN_MEAN: u32 = 64 << 10;
/// Maximum length of a chunk, in bytes.
pub const CHUNK_LEN_MAX: u32 = seawall_api::units::CHUNK_LEN_MAX;

/// The mask below the mean length: one block in 16 begins a chunk.
const MASK_BEFORE_MEAN: u64 = 0b1111;
/// The mask from the mean length on: one block in 8 begins a chunk, so that lengths gather around
/// the mean (normalised chunking).
const MASK_AFTER_MEAN: u64 = 0b111;

/// The chunker's state: decides, block by block, where chunks begin.
#[derive(Default, Debug)]
pub struct Cutter {
    /// Length of the chunk so far, in bytes; 0 if the next block begins a chunk in any case.
    chunk_len: u32,
}

impl Cutter {
    /// Takes the next block of the grid, and returns whether a new chunk begins with it.
    ///
    /// A block has 4096 bytes; only those at the ends of a leaf or of the disk may be shorter.
    pub fn begins_chunk(&mut self, block: &[u8]) -> bool {
        let mask = match self.chunk_len {
            ..CHUNK_LEN_MIN => u64::MAX,
            CHUNK_LEN_MIN..CHUNK_LEN_MEAN => MASK_BEFORE_MEAN,
            _ => MASK_AFTER_MEAN,
        };
        let block_len = u32::try_from(block.len()).unwrap_or(u32::MAX);
        let is_cut = self.chunk_len == 0
            || self.chunk_len.saturating_add(block_len) > CHUNK_LEN_MAX
            || (self.chunk_len >= CHUNK_LEN_MIN && xxh3_64(block) & mask == 0);
        self.chunk_len = if is_cut { block_len } else { self.chunk_len + block_len };
        is_cut
    }

    /// Ends the chunk, before a hole or the end of a leaf.
    pub fn end(&mut self) {
        self.chunk_len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().update(b"seawall").finalize_xof().fill(&mut bytes);
        bytes
    }

    fn lens(disk: &[u8]) -> Vec<usize> {
        let mut cutter = Cutter::default();
        let mut lens: Vec<usize> = Vec::new();
        for block in disk.chunks(4096) {
            if cutter.begins_chunk(block) {
                lens.push(0);
            }
            *lens.last_mut().unwrap() += block.len();
        }
        lens
    }

    /// Golden cuts of format epoch 1.
    #[test]
    fn epoch_1_cuts_here() {
        let lens: Vec<_> = lens(&noise(1 << 20)).iter().map(|len| len / 4096).collect();
        assert_eq!(lens, GOLDEN_CUTS);
    }
    const GOLDEN_CUTS: &[usize] = &[5, 44, 7, 17, 17, 7, 19, 24, 45, 17, 4, 9, 41];

    #[test]
    fn lengths_stay_within_their_limits_and_near_the_mean() {
        let lens = lens(&noise(64 << 20));
        let (last, whole) = lens.split_last().unwrap();
        assert!(whole.iter().all(|len| (16 << 10..=256 << 10).contains(len)));
        assert!(*last <= 256 << 10);
        let mean = (64 << 20) / lens.len();
        assert!((48 << 10..80 << 10).contains(&mean), "mean {mean}");
    }

    #[test]
    fn bytes_that_never_satisfy_a_mask_are_cut_at_the_longest_length() {
        let block = (0u8..=255).map(|b| [b; 4096]).find(|b| xxh3_64(b) & 0b111 != 0).unwrap();
        let lens = lens(&block.repeat(200));
        assert_eq!(lens, [64, 64, 64, 8].map(|blocks| blocks * 4096));
    }

    #[test]
    fn an_insertion_moves_only_the_cuts_near_it() {
        let disk = noise(8 << 20);
        let mut edited = disk.clone();
        edited.splice(1 << 20..1 << 20, [7; 4096]);
        let ends = |disk: &[u8]| -> std::collections::BTreeSet<usize> {
            let mut end = 0;
            lens(disk)
                .iter()
                .map(|len| {
                    end += len;
                    disk.len() - end
                })
                .collect()
        };
        let (before, after) = (ends(&disk), ends(&edited));
        assert!(after.difference(&before).count() <= before.len() / 5);
    }

    #[test]
    fn a_hole_begins_a_new_chunk() {
        let mut cutter = Cutter::default();
        assert!(cutter.begins_chunk(&[1; 4096]));
        assert!(!cutter.begins_chunk(&[1; 4096]));
        cutter.end();
        assert!(cutter.begins_chunk(&[1; 4096]));
    }
}
