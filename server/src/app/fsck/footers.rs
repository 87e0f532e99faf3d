//! What packs hold by their own word, a few of them kept: neighbours of a leaf lie together.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use seawall_api::digest::PackDigest;

use crate::catalog::Frame;

/// Packs whose frames are remembered: those of some leaves.
const KEPT: usize = 64;

/// A pack's frames by their offset; `None` where its footer cannot be read.
pub(super) type Frames = Option<Arc<HashMap<u64, Frame>>>;

/// The frames of the packs that were asked about last.
#[derive(Default)]
pub(super) struct Footers {
    kept: VecDeque<(PackDigest, Frames)>,
}

impl Footers {
    pub(super) fn find(&self, pack: PackDigest) -> Option<Frames> {
        self.kept.iter().find(|(kept, _)| *kept == pack).map(|(_, frames)| frames.clone())
    }

    pub(super) fn keep(&mut self, pack: PackDigest, frames: Frames) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((pack, frames));
    }
}
