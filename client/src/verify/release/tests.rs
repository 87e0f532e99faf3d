use super::*;
use crate::directory::DiskLayout;
use crate::progress::Silent;
use crate::testing::{Bench, noise};

const LEN: usize = 16 << 20;

async fn check(bench: &Bench, layout: &DiskLayout) -> (u64, Vec<Damage>) {
    let (reader, layout) = (bench.reader(), layout.clone());
    let progress: Arc<dyn Progress> = Arc::new(Silent);
    let check = move || {
        let check = LeafCheck::new(&reader, &progress, layout.index(), 0);
        check.check(&layout.leaf(0).unwrap())
    };
    tokio::task::spawn_blocking(check).await.unwrap().unwrap()
}

#[tokio::test]
async fn verify_of_a_leaf_asks_once_and_reads_every_range_once() {
    let mut bench = Bench::new();
    let layout = bench.disk(&noise(1, LEN));
    assert_eq!(check(&bench, &layout).await, (LEN as u64, vec![]));
    let calls = bench.packs.calls();
    assert_eq!(calls.questions, [layout.leaf(0).unwrap().chunks().count()]);
    assert!(calls.ranges.len() <= 5, "{:?}", calls.ranges);
    let read: u64 = calls.ranges.iter().map(|(_, range)| range.end - range.start).sum();
    assert_eq!(read, LEN as u64, "every frame once");
}

#[tokio::test]
async fn verify_of_a_damaged_leaf_lists_each_defect_once() {
    let mut bench = Bench::new();
    let half = noise(1, LEN / 2);
    let layout = bench.disk(&[half.clone(), half].concat());
    let chunks: Vec<_> = layout.leaf(0).unwrap().chunks().collect();
    let (lost, bad) = (chunks[3].digest, chunks[70].digest);
    bench.packs.lose(lost);
    bench.packs.damage(bad, |pack, frame| pack[frame.start] ^= 1);
    let (hashed, damage) = check(&bench, &layout).await;
    let objects: Vec<_> = damage.iter().map(|damage| &*damage.object).collect();
    assert_eq!(objects[0], format!("chunk {lost}"));
    assert!(objects[1].starts_with(&format!("chunk {bad} in pack ")), "{objects:?}");
    assert!(damage[1].what.starts_with("its bytes hash to "), "{damage:?}");
    assert_eq!(objects.len(), 2);
    assert!(hashed < LEN as u64);
}
