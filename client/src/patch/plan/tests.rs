use futures::stream;

use super::*;
use crate::testing::{Bench, MemoryDisk, noise};

const LEN: usize = 8 << 20;

/// Patches a disk from `old` to `new`. Returns the chunks that only `new` has, and the number of
/// chunks in each question.
async fn patch(bench: &mut Bench, old: Vec<u8>, new: &[u8]) -> (usize, Vec<usize>) {
    let (before, after) = (bench.disk(&old), bench.disk(new));
    let chunks = |layout: &DiskLayout| layout.leaf(0).unwrap().chunks().collect::<HashSet<_>>();
    let changed = chunks(&after).difference(&chunks(&before)).count();
    let file = FolderPath::composed("web/root.raw");
    let old_disk = OldDisk { layout: before, file: file.clone() };
    let steps = Steps::between(&[old_disk], &[after], &[Some(file)]).unwrap();
    let (groups, _) = steps.groups(|_| false);
    let disk = MemoryDisk::new(old);
    bench.packs.calls();
    let (stats, missed) = bench.fetch().run(stream::iter(groups), disk.clone()).await.unwrap();
    assert!(missed.is_empty() && disk.bytes() == new);
    assert_eq!(stats.fetched_chunks, changed as u64);
    let calls = bench.packs.calls();
    assert_eq!(stats.requests, calls.ranges.len() as u64);
    (changed, calls.questions)
}

#[tokio::test]
async fn a_patch_fetches_only_what_changed() {
    let old = noise(1, LEN);
    let mut new = old.clone();
    new[3 << 20..][..200_000].copy_from_slice(&noise(2, 200_000));
    let (changed, questions) = patch(&mut Bench::new(), old, &new).await;
    assert!((2..12).contains(&changed), "{changed}");
    assert_eq!(questions, [changed], "one question, about the changed chunks");
}

#[tokio::test]
async fn a_patch_to_the_same_content_asks_nothing() {
    let old = noise(1, LEN);
    assert_eq!(patch(&mut Bench::new(), old.clone(), &old).await, (0, vec![]));
}
