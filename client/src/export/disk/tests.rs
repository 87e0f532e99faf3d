use super::*;
use crate::progress::Silent;
use crate::testing::{Bench, noise};

#[tokio::test]
async fn an_export_fetches_every_chunk_once_in_long_ranges() {
    let mut bench = Bench::new();
    let data = noise(1, 14 << 20);
    let bytes =
        [data.clone(), vec![0; 20 << 20], data[100..1 << 20].to_vec(), vec![0; 100]].concat();
    let layout = bench.disk(&bytes);
    let chunks = layout.leaf(0).unwrap().chunks().collect::<std::collections::HashSet<_>>().len();
    let (len, runs) = (layout.index().disk_len().get(), layout.data_runs().unwrap());
    let leaves = Box::new({
        let layout = layout.clone();
        move |position| layout.leaf(position)
    });
    let image = StoredDisk::new("web/root".into(), len, runs, leaves, bench.reader());
    let content = layout.index().content();
    let (format, round, progress) = (ExportFormat::Raw, Round::Exact, Arc::new(Silent));
    let writer = Writer { content, format, round, threads: 2, progress };
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = file.reopen().unwrap();
    let convert = move || writer.convert(&image, convert::Output::File(&output)).unwrap();
    tokio::task::spawn_blocking(convert).await.unwrap();
    assert!(std::fs::read(file.path()).unwrap() == bytes);
    let calls = bench.packs.calls();
    assert_eq!(calls.questions.iter().sum::<usize>(), chunks, "{:?}", calls.questions);
    assert!(calls.ranges.len() <= 16, "{:?}", calls.ranges);
}
