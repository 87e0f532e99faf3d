//! Ask: questions to the registry about a leaf's chunks, and the fate of each chunk.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use seawall_api::digest::ChunkDigest;
use seawall_api::index::ChunkRef;

use super::{Event, Inputs, Piece, PieceFate, Place, PushError, Reply, Scanned};

/// A question about a leaf or about a piece of one.
pub(super) struct Question {
    pub(super) at: Place,
    /// The chunks that were not asked about before.
    pub(super) chunks: Vec<ChunkDigest>,
    pub(super) about: About,
}

/// The subject of a question.
pub(super) enum About {
    Piece(Piece, Reply<PieceFate>),
    Leaf(Scanned),
}

/// The registry's answer.
pub(super) enum Answer {
    /// The registry has the leaf, and with it every chunk of the leaf.
    Held,
    /// For each chunk of the question, whether the registry lacks it.
    Missing(Vec<bool>),
}

impl Question {
    /// Asks the registry. A leaf is asked about by its own digest first.
    pub(super) async fn ask(self, inputs: &Inputs) -> Result<Event, PushError> {
        let (registry, lease) = (&inputs.push.registry, &inputs.lease);
        if let About::Leaf(scanned) = &self.about
            && registry.missing_leaves(lease, &[scanned.entry.digest]).await? == [false]
        {
            return Ok(Event::Answered(self, Answer::Held));
        }
        let missing = match &self.chunks[..] {
            [] => Vec::new(),
            chunks => registry.missing_chunks(lease, chunks).await?,
        };
        Ok(Event::Answered(self, Answer::Missing(missing)))
    }
}

/// The fate of a chunk at one of its places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// The registry was asked and has not answered.
    Asked,
    /// The registry has the chunk.
    Held,
    /// The chunk is to be sent for this leaf.
    Send,
    /// The chunk is sent for an earlier place of this leaf, or for another leaf.
    Repeated,
}

/// The chunks of one leaf, whose fates are decided by one answer or by several.
#[derive(Default)]
pub(super) struct Asking {
    fates: HashMap<ChunkDigest, Fate>,
    has_missing: bool,
    sent_bytes: u64,
}

impl Asking {
    /// Returns the chunks that were not asked about before, each once.
    pub(super) fn question(&mut self, chunks: impl Iterator<Item = ChunkRef>) -> Vec<ChunkDigest> {
        let mut question = Vec::new();
        for chunk in chunks {
            if let Entry::Vacant(fate) = self.fates.entry(chunk.digest) {
                fate.insert(Fate::Asked);
                question.push(chunk.digest);
            }
        }
        question
    }

    /// Takes the answer about a chunk. `claim` claims a missing chunk, and returns whether this
    /// leaf sends it.
    pub(super) fn answered(
        &mut self,
        chunk: ChunkDigest,
        is_missing: bool,
        claim: impl FnOnce() -> bool,
    ) {
        let Some(fate @ Fate::Asked) = self.fates.get_mut(&chunk) else { return };
        *fate = match is_missing {
            false => Fate::Held,
            true if claim() => Fate::Send,
            true => Fate::Repeated,
        };
        self.has_missing |= is_missing;
    }

    /// Notes that a chunk arrived for another leaf. An answer on its way may predate the arrival.
    pub(super) fn arrived(&mut self, chunk: ChunkDigest) {
        if let Some(fate @ Fate::Asked) = self.fates.get_mut(&chunk) {
            *fate = Fate::Repeated;
            self.has_missing = true;
        }
    }

    /// Returns the fate of the next place of a chunk. A chunk is sent at its first place.
    pub(super) fn fate(&mut self, chunk: ChunkRef) -> Fate {
        let Some(fate) = self.fates.get_mut(&chunk.digest) else { return Fate::Held };
        if *fate == Fate::Send {
            self.sent_bytes += u64::from(chunk.len);
            return std::mem::replace(fate, Fate::Repeated);
        }
        *fate
    }

    /// Returns whether the registry lacked a chunk of the leaf.
    pub(super) fn has_missing(&self) -> bool {
        self.has_missing
    }

    /// Returns whether most of the leaf's `data_bytes` are sent.
    pub(super) fn is_new(&self, data_bytes: u64) -> bool {
        self.sent_bytes * 2 > data_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_that_arrives_before_a_late_answer_is_not_sent_again() {
        let len = seawall_api::units::ChunkLen::new(4096).unwrap();
        let [late, lost] =
            [b"late", b"lost"].map(|bytes| ChunkRef { digest: ChunkDigest::of(bytes), len });
        let mut asking = Asking::default();
        let question = asking.question([late, lost, late].into_iter());
        assert_eq!(question, [late.digest, lost.digest]);
        asking.arrived(late.digest);
        for chunk in question {
            asking.answered(chunk, true, || true);
        }
        assert_eq!([late, lost].map(|chunk| asking.fate(chunk)), [Fate::Repeated, Fate::Send]);
        // The next piece of the leaf.
        assert_eq!(asking.question([lost].into_iter()), []);
        assert_eq!(asking.fate(lost), Fate::Repeated);
        assert!(asking.has_missing());
    }
}
