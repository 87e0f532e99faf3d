//! Calls of a push, counted at the registry.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use seawall_api::index::LEAF_SPAN;

use super::*;
use crate::error::{ErrorKind, Failure};
use crate::progress::Silent;
use crate::spec::flags;
use fake::FakeRegistry;

mod fake;

/// The length of a test's data in bytes: several chunks.
const DATA_LEN: usize = 1 << 20;

/// Returns incompressible bytes that differ by seed.
fn noise(seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; DATA_LEN];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

/// Writes a sparse raw disk of `len` bytes, with `data` at offsets.
fn disk(path: PathBuf, len: u64, data: &[(u64, &[u8])]) -> PathBuf {
    let file = File::create(&path).unwrap();
    file.set_len(len).unwrap();
    for (offset, bytes) in data {
        file.write_all_at(bytes, *offset).unwrap();
    }
    path
}

/// Pushes machines with one raw disk each. Nothing is remembered of earlier scans.
async fn push_disks(
    registry: &Arc<FakeRegistry>,
    version: &str,
    disks: &[&Path],
) -> Result<PushReport, PushError> {
    let state = tempfile::tempdir().unwrap();
    let machine =
        |(at, path): (usize, &&Path)| format!("m{at}={}", path.display()).parse().unwrap();
    push(Push {
        registry: Arc::clone(registry) as Arc<dyn Writing>,
        spec: flags::describe(disks.iter().enumerate().map(machine).collect()).unwrap(),
        package: None,
        application: "web".parse().unwrap(),
        version: version.parse().unwrap(),
        parent: None,
        full_scan: true,
        access: DiskAccess::default(),
        state: HostState::new(state.path().to_owned(), || SystemTime::UNIX_EPOCH),
        progress: Arc::new(Silent),
        threads: 2,
    })
    .await
}

#[tokio::test]
async fn a_second_push_of_the_same_disk_uploads_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = disk(dir.path().join("a.raw"), 4 << 20, &[(0, &noise(1))]);
    let registry = Arc::new(FakeRegistry::default());
    let first = push_disks(&registry, "1", &[&path]).await.unwrap();
    assert_eq!(first.reuse.sent_bytes, DATA_LEN as u64);
    assert_eq!((registry.calls("put_pack"), registry.calls("put_leaf")), (1, 1));

    let second = push_disks(&registry, "2", &[&path]).await.unwrap();
    assert_eq!((second.reuse.sent_bytes, second.reuse.parent_bytes), (0, DATA_LEN as u64));
    assert_eq!((registry.calls("put_pack"), registry.calls("put_leaf")), (1, 1));
    assert_eq!(registry.calls("missing_leaves"), 1, "the parent's leaves are not asked about");
}

/// Both leaves are found to lack the chunks at the same time, before either is sent.
#[tokio::test]
async fn a_chunk_of_two_disks_is_uploaded_once() {
    let dir = tempfile::tempdir().unwrap();
    let (shared, own) = (noise(1), noise(2));
    let a = disk(dir.path().join("a.raw"), 8 << 20, &[(0, &shared)]);
    let b = disk(dir.path().join("b.raw"), 8 << 20, &[(0, &shared), (4 << 20, &own)]);
    let registry = Arc::new(FakeRegistry::answering_together(2));
    // The registry panics when a chunk arrives twice, or a leaf before its chunks.
    let report = push_disks(&registry, "1", &[&a, &b]).await.unwrap();
    assert_eq!(report.reuse.sent_bytes, 2 * DATA_LEN as u64);
    assert_eq!(report.reuse.repeated_bytes, DATA_LEN as u64);
    assert_eq!(report.reuse.sent_chunks, registry.chunks() as u64);
    assert_eq!(registry.calls("put_leaf"), 2);
}

#[tokio::test]
async fn a_push_asks_once_per_leaf() {
    let dir = tempfile::tempdir().unwrap();
    let data: Vec<_> = (0..3).map(noise).collect();
    let data: Vec<_> = data.iter().zip(0..).map(|(it, leaf)| (leaf * LEAF_SPAN, &it[..])).collect();
    let path = disk(dir.path().join("a.raw"), 3 * LEAF_SPAN, &data);
    let registry = Arc::new(FakeRegistry::default());
    push_disks(&registry, "1", &[&path]).await.unwrap();
    assert_eq!((registry.calls("missing_leaves"), registry.calls("missing_chunks")), (3, 3));
    assert_eq!((registry.calls("put_leaf"), registry.calls("put_index")), (3, 1));
}

#[tokio::test]
async fn a_failed_upload_ends_the_push_and_reports_that_failure() {
    let dir = tempfile::tempdir().unwrap();
    let data = noise(1);
    let data: Vec<_> = (0..4).map(|leaf| (leaf * LEAF_SPAN + (leaf << 16), &data[..])).collect();
    let path = disk(dir.path().join("a.raw"), 4 * LEAF_SPAN, &data);
    let registry = Arc::new(FakeRegistry::refusing_packs());
    let error = push_disks(&registry, "1", &[&path]).await.unwrap_err();
    assert_eq!(error.to_string(), "no space for packs");
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    let names = ["put_leaf", "put_index", "publish"].map(|name| registry.calls(name));
    assert_eq!(names, [0, 0, 0], "nothing is named after a failure");
    assert_eq!(registry.calls("end_lease"), 1);
}
