//! Reads of packs in segments.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use futures::future::join_all;
use seawall_api::digest::PackDigest;

use super::ReadCache;
use super::entries::Key;
use super::flights::{Flight, Joined, Promise};
use crate::error::StoreError;
use crate::pack::PACK_LEN_MAX;
use crate::port::OpenObject;

/// The length of a segment, in bytes. A patch reads about 60 kB here and there: shorter segments
/// are more files, longer ones more bytes that nobody asked for.
pub(super) const SEGMENT_LEN: u64 = 512 << 10;

/// Returns the names of all segments that a pack may have.
pub(super) fn keys_of(pack: PackDigest) -> impl Iterator<Item = Key> {
    let count = u32::try_from((PACK_LEN_MAX as u64).div_ceil(SEGMENT_LEN)).unwrap_or(u32::MAX);
    (0..count).map(move |number| Key::segment(pack, number))
}

/// Returns the place of a segment in an object of `len` bytes.
fn place(number: u64, len: u64) -> Range<u64> {
    number * SEGMENT_LEN..len.min((number + 1) * SEGMENT_LEN)
}

/// Reads a range that lies inside a pack: segments from the disk, the others in as few requests as
/// possible. Returns `None` if another reader, who fetches one of the segments, failed.
pub(super) async fn gather(
    cache: &Arc<ReadCache>,
    object: &dyn OpenObject,
    pack: PackDigest,
    range: Range<u64>,
) -> Option<Result<Bytes, StoreError>> {
    let numbers = range.start / SEGMENT_LEN..range.end.div_ceil(SEGMENT_LEN);
    let first = numbers.start;
    let (mut own, mut joined) = (Vec::new(), Vec::new());
    let mut segments: Vec<Option<Bytes>> = Vec::new();
    for number in numbers {
        let key = Key::segment(pack, u32::try_from(number).unwrap_or(u32::MAX));
        match cache.flights.board(key) {
            Flight::Own(promise) => own.push((number, promise)),
            Flight::Joined(flight) => joined.push((number, flight)),
        }
        segments.push(None);
    }
    // Own segments come first: two readers that wait for each other's would wait for ever.
    let mut put = |number: u64, bytes: Bytes| {
        if let Some(segment) =
            usize::try_from(number - first).ok().and_then(|n| segments.get_mut(n))
        {
            *segment = Some(bytes);
        }
    };
    match bring(cache, object, own).await {
        Ok(brought) => brought.into_iter().for_each(|(number, bytes)| put(number, bytes)),
        Err(error) => return Some(Err(error)),
    }
    for (number, bytes) in land(cache, joined).await? {
        put(number, bytes);
    }
    Some(Ok(cut(&segments.into_iter().collect::<Option<Vec<_>>>()?, first, range)))
}

/// Waits for the segments that other readers fetch.
async fn land(cache: &ReadCache, joined: Vec<(u64, Joined)>) -> Option<Vec<(u64, Bytes)>> {
    let mut landed = Vec::with_capacity(joined.len());
    for (number, flight) in joined {
        let bytes = flight.bytes().await?;
        cache.counts.looked_up(Some(bytes.len() as u64));
        landed.push((number, bytes));
    }
    Some(landed)
}

/// Brings segments from the disk or from the object, and keeps the promises.
async fn bring(
    cache: &Arc<ReadCache>,
    object: &dyn OpenObject,
    own: Vec<(u64, Promise)>,
) -> Result<Vec<(u64, Bytes)>, StoreError> {
    let forgotten = cache.forgotten.load(Ordering::SeqCst);
    let found = cache.from_disk(own.iter().map(|(_, promise)| promise.key()).collect()).await;
    let mut brought = Vec::with_capacity(own.len());
    let mut runs: Vec<Vec<(u64, Promise)>> = Vec::new();
    for ((number, promise), found) in own.into_iter().zip(found) {
        let len = place(number, object.len()).end - number * SEGMENT_LEN;
        cache.counts.looked_up(found.is_some().then_some(len));
        match found.filter(|bytes| bytes.len() as u64 == len) {
            Some(bytes) => {
                promise.keep(bytes.clone());
                brought.push((number, bytes));
            }
            None => match runs.last_mut().filter(|run| follows(run, number)) {
                Some(run) => run.push((number, promise)),
                None => runs.push(vec![(number, promise)]),
            },
        }
    }
    for fetched in join_all(runs.into_iter().map(|run| fetch(cache, object, run, forgotten))).await
    {
        brought.extend(fetched?);
    }
    Ok(brought)
}

fn follows(run: &[(u64, Promise)], number: u64) -> bool {
    run.last().is_some_and(|(last, _)| last + 1 == number)
}

/// Fetches adjacent segments with one read, and writes them to the disk in the background.
async fn fetch(
    cache: &Arc<ReadCache>,
    object: &dyn OpenObject,
    run: Vec<(u64, Promise)>,
    forgotten: u64,
) -> Result<Vec<(u64, Bytes)>, StoreError> {
    let (Some((first, _)), Some((last, _))) = (run.first(), run.last()) else {
        return Ok(Vec::new());
    };
    let start = first * SEGMENT_LEN;
    let bytes = object.read(start..place(*last, object.len()).end).await?;
    cache.counts.fetched(bytes.len() as u64);
    let mut fetched = Vec::with_capacity(run.len());
    for (number, promise) in &run {
        let at = place(*number, object.len());
        let within = |offset: u64| usize::try_from(offset - start).unwrap_or(usize::MAX);
        let segment = bytes.slice(within(at.start)..within(at.end));
        promise.keep(segment.clone());
        fetched.push((*number, segment));
    }
    if let Ok(permit) = Arc::clone(&cache.writes).try_acquire_owned() {
        let (cache, segments) = (Arc::clone(cache), fetched.clone());
        let write = move || {
            for ((_, segment), (_, promise)) in segments.iter().zip(run) {
                cache.write(promise.key(), segment, forgotten);
            }
            drop(cache);
            drop(permit);
        };
        // Until the write ended, other readers join the flight.
        drop(tokio::task::spawn_blocking(write));
    }
    Ok(fetched)
}

/// Cuts a range out of adjacent segments.
fn cut(segments: &[Bytes], first: u64, range: Range<u64>) -> Bytes {
    let start = first * SEGMENT_LEN;
    let within = |offset: u64| usize::try_from(offset - start).unwrap_or(usize::MAX);
    let range = within(range.start)..within(range.end);
    if let [segment] = segments {
        return segment.slice(range);
    }
    let mut bytes = BytesMut::with_capacity(range.len());
    let mut at = 0;
    for segment in segments {
        let part =
            range.start.clamp(at, at + segment.len())..range.end.clamp(at, at + segment.len());
        bytes.extend_from_slice(&segment[part.start - at..part.end - at]);
        at += segment.len();
    }
    bytes.freeze()
}
