use futures::stream;

use super::*;
use crate::fetch::FetchError;
use crate::testing::{Bench, MemoryDisk, noise};

const LEN: usize = 8 << 20;

#[tokio::test]
async fn a_pull_fetches_every_chunk_once_and_neighbours_together() {
    let mut bench = Bench::new();
    let half = noise(1, LEN / 2);
    let bytes = [half.clone(), half].concat();
    let layouts = [bench.disk(&bytes)];
    let groups: Vec<_> = groups(&layouts, &Seeds::default(), false).collect();
    let disk = MemoryDisk::new(vec![0; LEN]);
    let (stats, missed) = bench.fetch().run(stream::iter(groups), disk.clone()).await.unwrap();
    assert!(missed.is_empty() && disk.bytes() == bytes);
    let calls = bench.packs.calls();
    assert_eq!(calls.questions, [usize::try_from(stats.fetched_chunks).unwrap()]);
    assert_eq!(stats.requests, calls.ranges.len() as u64);
    let read: u64 = calls.ranges.iter().map(|(_, range)| range.end - range.start).sum();
    assert!(read < LEN as u64, "{read}: repeated chunks are fetched once");
    assert!(calls.ranges.len() <= 3, "{:?}", calls.ranges);
}

#[tokio::test]
async fn a_pull_that_meets_damage_stops_with_an_error_that_names_it() {
    let mut bench = Bench::new();
    let layouts = [bench.disk(&noise(2, LEN))];
    let chunk = layouts[0].leaf(0).unwrap().chunks().nth(9).unwrap();
    bench.packs.damage(chunk.digest, |pack, frame| pack[frame.start] ^= 1);
    let groups: Vec<_> = groups(&layouts, &Seeds::default(), false).collect();
    let disk = MemoryDisk::new(vec![0; LEN]);
    let error = bench.fetch().run(stream::iter(groups), disk).await.unwrap_err();
    assert!(matches!(error, FetchError::Read(_)), "{error:?}");
    assert!(error.to_string().contains(&chunk.digest.to_string()), "{error}");
}
