//! Repacking: moves the reachable chunks of sparse packs to new packs.

use seawall_api::digest::PackDigest;

use crate::pack::{self, FRAMES_MAX, Frame, PACK_LEN_TARGET, PackError, PackWriter};

/// The reachable part of a pack.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Liveness {
    /// The number of reachable chunks.
    pub chunk_count: u64,
    /// The length of their frames, in bytes.
    pub stored_bytes: u64,
}

impl Liveness {
    /// Counts a reachable chunk, with a frame of `stored_len` bytes.
    pub fn add(&mut self, stored_len: u32) {
        self.chunk_count += 1;
        self.stored_bytes += u64::from(stored_len);
    }

    /// Returns the length of a pack of these chunks alone, in bytes.
    #[must_use]
    pub fn pack_len(&self) -> u64 {
        pack::len_of(self.chunk_count, self.stored_bytes)
    }

    /// Returns whether less than `percent` of a pack of `len` bytes is reachable.
    #[must_use]
    pub fn is_sparse(&self, len: u64, percent: u8) -> bool {
        self.pack_len().saturating_mul(100) < len.saturating_mul(u64::from(percent))
    }
}

/// The reachable frames of a sparse pack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repack {
    /// The sparse pack.
    pub source: PackDigest,
    /// The reachable frames, in the pack's order.
    pub frames: Vec<Frame>,
}

/// Sparse packs to be merged into one new pack.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RepackGroup {
    /// The sparse packs with their reachable frames.
    pub sources: Vec<Repack>,
    /// The content of the new pack.
    pub live: Liveness,
}

impl Repack {
    /// Appends the frames to the pack that `writer` fills. `bytes` are the whole sparse pack.
    ///
    /// # Errors
    /// Fails if a frame lies outside `bytes`.
    pub fn copy_into(&self, writer: &mut PackWriter, bytes: &[u8]) -> Result<(), PackError> {
        self.frames.iter().try_for_each(|frame| {
            let stored = usize::try_from(frame.range().start)
                .ok()
                .zip(usize::try_from(frame.range().end).ok())
                .and_then(|(start, end)| bytes.get(start..end))
                .ok_or(PackError::Footer("a frame lies outside the pack"))?;
            writer.push_stored(frame, stored);
            Ok(())
        })
    }
}

/// Groups sparse packs, in order, so that each group fills one new pack.
#[must_use]
pub fn group(sparse: Vec<Repack>) -> Vec<RepackGroup> {
    let mut groups: Vec<RepackGroup> = Vec::new();
    for repack in sparse {
        let mut live = Liveness::default();
        repack.frames.iter().for_each(|frame| live.add(frame.stored_len));
        let joined = groups.last_mut().filter(|group| {
            group.live.chunk_count + live.chunk_count <= FRAMES_MAX as u64
                && group.live.stored_bytes + live.stored_bytes <= PACK_LEN_TARGET as u64
        });
        match joined {
            Some(group) => {
                group.live.chunk_count += live.chunk_count;
                group.live.stored_bytes += live.stored_bytes;
                group.sources.push(repack);
            }
            None => groups.push(RepackGroup { sources: vec![repack], live }),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use seawall_api::digest::ChunkDigest;
    use seawall_api::units::ChunkLen;

    use super::*;
    use crate::pack::VerifiedPack;

    fn pack_of(seeds: std::ops::Range<u32>) -> VerifiedPack {
        let mut writer = PackWriter::default();
        for seed in seeds {
            let mut plain = vec![0; 8192];
            blake3::Hasher::new()
                .update(&seed.to_le_bytes())
                .finalize_xof()
                .fill(&mut plain[..5000]);
            writer.push(ChunkDigest::of(&plain), ChunkLen::new(8192).unwrap(), &plain);
        }
        let finished = writer.finish(None);
        VerifiedPack::verify(finished.digest, finished.bytes).unwrap()
    }

    #[test]
    fn a_repacked_pack_has_the_predicted_length() {
        let packs = [pack_of(0..10), pack_of(10..30)];
        let every_third = |pack: &VerifiedPack| Repack {
            source: pack.digest(),
            frames: pack.frames().iter().step_by(3).copied().collect(),
        };
        let groups = group(packs.iter().map(every_third).collect());
        assert_eq!(groups.len(), 1);
        let mut writer = PackWriter::default();
        for (source, pack) in groups[0].sources.iter().zip(&packs) {
            source.copy_into(&mut writer, pack.bytes()).unwrap();
        }
        let made = writer.finish(None);
        assert_eq!(made.bytes.len() as u64, groups[0].live.pack_len());
        let made = VerifiedPack::verify(made.digest, made.bytes).unwrap();
        let want = packs.iter().flat_map(|pack| pack.frames().iter().step_by(3));
        let want: Vec<_> = want.map(|frame| (frame.digest, frame.stored_len)).collect();
        let have = made.frames().iter().map(|frame| (frame.digest, frame.stored_len));
        assert_eq!(have.collect::<Vec<_>>(), want);
    }

    #[test]
    fn a_whole_pack_is_as_long_as_what_lives_in_it() {
        let pack = pack_of(0..7);
        let mut live = Liveness::default();
        pack.frames().iter().for_each(|frame| live.add(frame.stored_len));
        let len = pack.bytes().len() as u64;
        assert_eq!(live.pack_len(), len);
        assert!(!live.is_sparse(len, 100));
        assert!(live.is_sparse(2 * len, 60));
    }

    #[test]
    fn groups_are_no_longer_than_a_pack_may_be() {
        let frame = Frame { stored_len: 200_000, ..pack_of(0..1).frames()[0] };
        let repack =
            |n: u32| Repack { source: PackDigest::of(&n.to_le_bytes()), frames: vec![frame; 30] };
        let groups = group((0..10).map(repack).collect());
        assert!(groups.len() > 3);
        assert!(groups.iter().all(|group| group.live.stored_bytes <= PACK_LEN_TARGET as u64));
        assert_eq!(groups.iter().map(|group| group.sources.len()).sum::<usize>(), 10);
    }
}
