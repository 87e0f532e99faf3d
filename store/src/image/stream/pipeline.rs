//! A pipeline in which many threads compress clusters, and one consumes them in guest order.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::{Disk, StreamError};
use crate::image::layout::Clusters;

/// Maximum number of clusters in a span, which is read at once.
const SPAN_CLUSTERS: u64 = 16;
/// Maximum number of spans by which a thread may be ahead of the writer.
const SPANS_AHEAD: usize = 4;

/// A compressor, which appends one compressed cluster to the buffer. Takes the cluster's number and
/// its bytes.
pub(super) type Compress<'a> = dyn FnMut(u64, &[u8], &mut Vec<u8>) -> Result<(), StreamError> + 'a;

/// Adjoining clusters, compressed.
pub(super) struct Span {
    /// The number of the first cluster on the disk.
    pub(super) first: u64,
    /// The compressed clusters, end to end.
    pub(super) bytes: Vec<u8>,
    /// The end of each cluster in `bytes`.
    pub(super) ends: Vec<usize>,
}

impl Span {
    /// Returns the number and the compressed bytes of each cluster.
    pub(super) fn clusters(&self) -> impl Iterator<Item = (u64, &[u8])> + '_ {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let parts = starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end]);
        (self.first..).zip(parts)
    }
}

/// Compresses every cluster with data, and passes them in spans to `consume`, in order.
///
/// `compressor` is called once on each thread.
pub(super) fn run(
    disk: &Disk<'_>,
    clusters: &Clusters,
    cluster_len: u64,
    compressor: &(dyn Fn() -> Result<Box<Compress<'static>>, StreamError> + Sync),
    consume: &mut dyn FnMut(Span) -> Result<(), StreamError>,
) -> Result<(), StreamError> {
    let threads = disk.threads.clamp(1, 64);
    thread::scope(|scope| {
        let mut channels = Vec::with_capacity(threads);
        for turn in 0..threads {
            let (sender, receiver) = sync_channel(SPANS_AHEAD);
            channels.push(receiver);
            scope.spawn(move || {
                let spans = spans(clusters).skip(turn).step_by(threads);
                let worker = Worker { disk, cluster_len };
                if let Err(error) = worker.run(spans, compressor, &sender) {
                    // Without a receiver, the writer has failed and its error is reported.
                    let _ = sender.send(Err(error));
                }
            });
        }
        // An early return drops the channels, and the threads end at their next send.
        collect(&channels, disk, cluster_len, consume)
    })
}

type Made = Result<Span, StreamError>;

fn collect(
    channels: &[Receiver<Made>],
    disk: &Disk<'_>,
    cluster_len: u64,
    consume: &mut dyn FnMut(Span) -> Result<(), StreamError>,
) -> Result<(), StreamError> {
    for channel in channels.iter().cycle() {
        // A thread without further spans hangs up; the other threads have none either then.
        let Ok(span) = channel.recv() else { return Ok(()) };
        let span = span?;
        let count = span.ends.len() as u64;
        consume(span)?;
        (disk.advance)(count * cluster_len);
    }
    Ok(())
}

/// Returns the first cluster and the number of clusters of each span, in order.
fn spans(clusters: &Clusters) -> impl Iterator<Item = (u64, u64)> + '_ {
    clusters.runs().iter().flat_map(|run| {
        let end = run.end();
        (run.guest..end)
            .step_by(usize::try_from(SPAN_CLUSTERS).unwrap_or(1))
            .map(move |first| (first, SPAN_CLUSTERS.min(end - first)))
    })
}

struct Worker<'a> {
    disk: &'a Disk<'a>,
    cluster_len: u64,
}

impl Worker<'_> {
    fn run(
        &self,
        spans: impl Iterator<Item = (u64, u64)>,
        compressor: &(dyn Fn() -> Result<Box<Compress<'static>>, StreamError> + Sync),
        sender: &SyncSender<Made>,
    ) -> Result<(), StreamError> {
        let mut compress = compressor()?;
        let cluster_len = usize::try_from(self.cluster_len).unwrap_or(usize::MAX);
        let mut plain = Vec::new();
        for (first, count) in spans {
            let start = first * self.cluster_len;
            let end = (start + count * self.cluster_len).min(self.disk.image.disk_len());
            plain.resize(usize::try_from(count).unwrap_or(0) * cluster_len, 0);
            let len = usize::try_from(end - start).unwrap_or(usize::MAX);
            self.disk.image.read_at(start, &mut plain[..len])?;
            plain[len..].fill(0);
            let mut span = Span { first, bytes: Vec::new(), ends: Vec::new() };
            for (cluster, bytes) in (first..).zip(plain.chunks(cluster_len)) {
                compress(cluster, bytes, &mut span.bytes)?;
                span.ends.push(span.bytes.len());
            }
            if sender.send(Ok(span)).is_err() {
                break;
            }
        }
        Ok(())
    }
}
