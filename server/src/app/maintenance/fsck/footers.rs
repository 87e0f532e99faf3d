//! A small cache of pack footers. Neighbouring leaves share packs.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use seawall_api::digest::PackDigest;

use crate::catalog::Frame;

/// The maximum number of cached packs: those of a few leaves.
const KEPT: usize = 64;

/// The frames of a pack by offset; `None` if the footer is unreadable.
pub(super) type Frames = Option<Arc<HashMap<u64, Frame>>>;

/// A cache of pack footers, oldest first.
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
