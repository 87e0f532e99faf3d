//! The conductor: the owner of a transfer's state.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use seawall_api::digest::LeafDigest;
use seawall_api::index::{ChunkRef, DiskIndex, Extent, LEAF_SPAN};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;

use super::ask::{About, Answer, Asking, Fate, Question};
use super::ledger::Ledger;
use super::name::Names;
use super::upload::{Requests, Uploads};
use super::{
    Batch, Event, Inputs, KEPT_MAX, Order, Piece, PieceFate, Place, Plain, PushError, Reply, Reuse,
    Scanned,
};

/// The plain bytes of a batch: several packs in disk order, but little to wait for at the end.
const BATCH_LEN: u64 = 16 << 20;

/// The state of a transfer.
pub(super) struct Conductor {
    inputs: Arc<Inputs>,
    /// The number of workers that have not ended.
    workers: usize,
    idle: Vec<Reply<Order>>,
    /// The leaves to scan.
    places: VecDeque<Place>,
    /// The number of leaves that are scanned or asked about.
    scanning: usize,
    /// For each disk, whether the last scanned leaf was mostly missing. Initially true without a
    /// parent.
    is_new: Vec<bool>,
    /// The leaves of the parent release.
    known: HashSet<LeafDigest>,
    /// The other leaves of this push, each of which is handled once.
    seen: HashSet<LeafDigest>,
    asking: HashMap<Place, Asking>,
    ledger: Ledger,
    batches: VecDeque<Batch>,
    uploads: Uploads,
    requests: Requests,
    names: Names,
    reuse: Reuse,
}

impl Conductor {
    pub(super) fn new(inputs: Arc<Inputs>, parent: &[DiskIndex], workers: usize) -> Self {
        let names = Names::new(&inputs);
        Self {
            workers,
            idle: Vec::new(),
            places: names.places().collect(),
            scanning: 0,
            is_new: vec![parent.is_empty(); inputs.disks.len()],
            known: parent.iter().flat_map(DiskIndex::leaves).map(|leaf| leaf.digest).collect(),
            seen: HashSet::new(),
            asking: HashMap::new(),
            ledger: Ledger::default(),
            batches: VecDeque::new(),
            uploads: Uploads::default(),
            requests: Requests { inputs: Arc::clone(&inputs), tasks: JoinSet::new() },
            names,
            reuse: Reuse::default(),
            inputs,
        }
    }

    /// Conducts the transfer to its end. Returns the scanned leaves and the amounts.
    ///
    /// # Errors
    /// The first failure of any worker or request.
    pub(super) async fn conduct(
        mut self,
        mut events: Receiver<Event>,
        threads: &mut JoinSet<()>,
    ) -> Result<(Names, Reuse), PushError> {
        while self.workers > 0 || !self.requests.tasks.is_empty() {
            let event = tokio::select! {
                Some(event) = events.recv() => event,
                Some(done) = self.requests.tasks.join_next() => {
                    done.map_err(|_| PushError::Defect)??
                }
                Some(Err(_)) = threads.join_next() => return Err(PushError::Defect),
                else => return Err(PushError::Defect),
            };
            self.take(event)?;
            self.uploads.grant(&mut self.requests);
            self.give_orders();
        }
        if self.ledger.is_empty() { Ok((self.names, self.reuse)) } else { Err(PushError::Defect) }
    }

    fn take(&mut self, event: Event) -> Result<(), PushError> {
        match event {
            Event::Idle(reply) => self.idle.push(reply),
            Event::Piece(at, piece, reply) => self.cut(at, piece, reply),
            Event::Scanned(at, scanned) => self.scanned(at, scanned),
            Event::Answered(question, answer) => self.answered(question, answer),
            Event::Full(reply) => self.uploads.full(reply),
            Event::Sealed(sealed) => {
                self.reuse.sent_bytes += sealed.pack.plain_bytes;
                self.reuse.sent_stored_bytes += sealed.pack.bytes.len() as u64;
                self.reuse.sent_chunks += sealed.pack.chunk_count as u64;
                self.reuse.sent_packs += 1;
                self.uploads.send(sealed, &mut self.requests);
            }
            Event::Uploaded(sealed) => {
                self.uploads.arrived(Some(sealed.pack.bytes));
                for chunk in sealed.chunks {
                    self.asking.values_mut().for_each(|asking| asking.arrived(chunk));
                    self.uploads.queue_leaves(self.ledger.arrived(chunk));
                }
            }
            Event::Stored => self.uploads.arrived(None),
            Event::Ended(outcome) => {
                outcome?;
                self.workers -= 1;
            }
        }
        Ok(())
    }

    fn give_orders(&mut self) {
        while let Some(reply) = self.idle.pop() {
            let Some(order) = self.next_order() else {
                self.idle.push(reply);
                return;
            };
            // A worker that is gone has panicked, which its thread reports.
            let _ = reply.send(order);
        }
    }

    /// Returns the next order, or `None` until another worker or a request makes progress.
    fn next_order(&mut self) -> Option<Order> {
        if let Some(batch) = self.batches.pop_front() {
            return Some(Order::Pack(batch));
        }
        if self.places.is_empty() {
            return (self.scanning == 0).then_some(Order::End);
        }
        if self.scanning >= self.workers || self.uploads.is_behind() {
            return None;
        }
        let at = self.places.pop_front()?;
        self.scanning += 1;
        Some(Order::Scan { at, is_new: self.is_new[at.disk] })
    }

    fn cut(&mut self, at: Place, piece: Piece, reply: Reply<PieceFate>) {
        let asking = self.asking.entry(at).or_default();
        let chunks = asking.question(piece.chunks.iter().copied());
        self.ask(Question { at, chunks, about: About::Piece(piece, reply) });
    }

    fn scanned(&mut self, at: Place, scanned: Scanned) {
        let Scanned { ref leaf, entry, data_bytes, in_pieces } = scanned;
        self.names.set(at, entry);
        let asking = self.asking.entry(at).or_default();
        if in_pieces {
            self.is_new[at.disk] = asking.is_new(data_bytes);
        }
        let is_known = self.known.contains(&entry.digest);
        if is_known || !self.seen.insert(entry.digest) {
            if !in_pieces {
                let reuse = &mut self.reuse;
                let sum =
                    if is_known { &mut reuse.parent_bytes } else { &mut reuse.repeated_bytes };
                *sum += data_bytes;
                self.inputs.push.progress.reused(data_bytes);
            }
            self.ledger.abandon(at);
            self.settle(at);
            return;
        }
        let has_missing = asking.has_missing();
        let chunks = asking.question(leaf.chunks());
        let question = Question { at, chunks, about: About::Leaf(scanned) };
        if has_missing {
            // The registry cannot have a leaf without all of its chunks.
            self.answered(question, Answer::Missing(Vec::new()));
        } else {
            self.ask(question);
        }
    }

    fn ask(&mut self, question: Question) {
        self.requests.start(|inputs| async move { question.ask(&inputs).await });
    }

    fn answered(&mut self, question: Question, answer: Answer) {
        let Question { at, chunks, about } = question;
        if let Answer::Missing(missing) = &answer {
            let asking = self.asking.entry(at).or_default();
            for (chunk, is_missing) in chunks.into_iter().zip(missing) {
                asking.answered(chunk, *is_missing, || self.ledger.claim(chunk, at));
            }
        }
        match (about, answer) {
            (About::Piece(piece, reply), _) => {
                // A worker that is gone has panicked, which its thread reports.
                let _ = reply.send(self.piece_fate(at, piece));
            }
            (About::Leaf(scanned), Answer::Held) => {
                if !scanned.in_pieces {
                    self.reuse.registry_bytes += scanned.data_bytes;
                    self.inputs.push.progress.reused(scanned.data_bytes);
                }
                self.settle(at);
            }
            (About::Leaf(Scanned { leaf, data_bytes, in_pieces, .. }), Answer::Missing(_)) => {
                if !in_pieces {
                    let start = at.leaf as u64 * LEAF_SPAN;
                    let wanted = self.wanted(at, start, leaf.extents().iter().copied());
                    self.batches.extend(into_batches(at.disk, wanted));
                    self.is_new[at.disk] = self.asking.entry(at).or_default().is_new(data_bytes);
                }
                self.uploads.queue_leaves(self.ledger.complete(at, leaf));
                self.settle(at);
            }
        }
    }

    /// Ends the scan of a leaf, whose fate is decided.
    fn settle(&mut self, at: Place) {
        self.asking.remove(&at);
        self.scanning -= 1;
    }

    fn piece_fate(&mut self, at: Place, piece: Piece) -> PieceFate {
        let wanted = self.wanted(at, 0, piece.chunks.into_iter().map(Extent::Data));
        if wanted.is_empty() {
            return PieceFate::Present(piece.plain);
        }
        let batch = Batch { plain: Plain::Kept(piece.plain), chunks: wanted };
        let is_kept = |batch: &&Batch| matches!(batch.plain, Plain::Kept(_));
        if self.batches.iter().filter(is_kept).count() >= KEPT_MAX {
            return PieceFate::Pack(batch);
        }
        self.batches.push_back(batch);
        PieceFate::Queued
    }

    /// Returns the chunks to send, of extents that begin at `offset`. The others are counted as
    /// reused.
    fn wanted(
        &mut self,
        at: Place,
        mut offset: u64,
        extents: impl Iterator<Item = Extent>,
    ) -> Vec<(u64, ChunkRef)> {
        let asking = self.asking.entry(at).or_default();
        let mut wanted = Vec::new();
        for extent in extents {
            if let Extent::Data(chunk) = extent {
                let len = u64::from(chunk.len);
                let sum = match asking.fate(chunk) {
                    Fate::Send => {
                        wanted.push((offset, chunk));
                        None
                    }
                    Fate::Repeated => Some(&mut self.reuse.repeated_bytes),
                    Fate::Held | Fate::Asked => Some(&mut self.reuse.registry_bytes),
                };
                if let Some(sum) = sum {
                    *sum += len;
                    self.inputs.push.progress.reused(len);
                }
            }
            offset += extent.disk_len();
        }
        wanted
    }
}

fn into_batches(disk: usize, chunks: Vec<(u64, ChunkRef)>) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut room = 0;
    for (offset, chunk) in chunks {
        if room == 0 {
            batches.push(Batch { plain: Plain::Disk(disk), chunks: Vec::new() });
            room = BATCH_LEN;
        }
        room = room.saturating_sub(chunk.len.into());
        if let Some(batch) = batches.last_mut() {
            batch.chunks.push((offset, chunk));
        }
    }
    batches
}
