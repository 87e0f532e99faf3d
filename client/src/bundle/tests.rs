//! Tests of the format of parts. tests/tests/bundle.rs moves releases.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::depot::medium::{Medium, Writable};
use crate::error::{ErrorKind, Failure};

const BUNDLE: [u8; 16] = *b"0123456789abcdef";

/// Writes a bundle with two files, one of them twice, and returns its only part.
async fn small(dir: &TempDir) -> PathBuf {
    let path = dir.path().join("small.bundle");
    let writer = BundleWriter::new(path.clone(), BUNDLE, None);
    for (name, text) in [("depot.json", "old"), ("listings/@x", "list"), ("depot.json", "new")] {
        writer.write(name, Bytes::from_static(text.as_bytes())).await.unwrap();
    }
    writer.write("mirror/running", Bytes::from_static(b"me")).await.unwrap();
    assert_eq!(writer.finish().unwrap(), [(path.clone(), 253)]);
    path
}

fn refused(bytes: &[u8]) -> BundleError {
    Part::read(bytes, bytes.len() as u64, Path::new("x.bundle")).unwrap_err()
}

#[tokio::test]
async fn the_bytes_of_a_part_are_those_of_the_vector() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(small(&dir).await).unwrap();
    assert_eq!(bytes[..32], *b"SWBUNDLE\x01\0\0\0\0\0\0\x000123456789abcdef");
    let digest: String = bytes[bytes.len() - 32..].iter().map(|it| format!("{it:02x}")).collect();
    assert_eq!(
        digest, "e559a3fd3624912e8f82bb7fe4fa079543c745f72522d48f19939105a22c0e12",
        "the vector in docs/FORMAT.md"
    );
}

#[tokio::test]
async fn the_last_record_of_a_path_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = Bundle::open(&[small(&dir).await]).unwrap();
    assert_eq!(bundle.read("depot.json", 9).await.unwrap().unwrap(), "new");
    assert_eq!(bundle.range("listings/@x", 1..3).await.unwrap(), "is");
    assert_eq!(bundle.read("mirror/running", 9).await.unwrap(), None);
    assert_eq!(bundle.read("listings/@x", 3).await.unwrap_err().kind(), ErrorKind::Damaged);
    for range in [3..5, 9..10] {
        assert_eq!(bundle.range("depot.json", range).await.unwrap_err().kind(), ErrorKind::Damaged);
    }
}

#[tokio::test]
async fn a_part_that_is_cut_or_changed_is_refused_wherever_that_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = small(&dir).await;
    let good = std::fs::read(&path).unwrap();
    for len in 0..good.len() {
        let error = refused(&good[..len]);
        assert!(
            matches!(error, BundleError::Cut { .. } | BundleError::Magic { .. }),
            "{len}: {error}"
        );
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        std::fs::write(&path, &bad).unwrap();
        let error = check(&path).unwrap_err();
        assert!(error.remedy().is_some(), "{at}: {error}");
    }
    let longer = [&good[..], b"x"].concat();
    assert!(refused(&longer).to_string().contains("bytes follow its end"));
    let mut later = good.clone();
    later[8] = 2;
    assert!(matches!(refused(&later), BundleError::Epoch { epoch: 2, .. }));
    assert!(matches!(
        refused(b"PK\x03\x04 something else, which is longer"),
        BundleError::Magic { .. }
    ));
}

#[tokio::test]
async fn parts_are_taken_in_any_order_and_only_all_of_one_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let write = async |name: &str, bundle| {
        let writer = BundleWriter::new(dir.path().join(name), bundle, Some(1));
        for number in 0..5u8 {
            let bytes = vec![number; 20 << 20];
            writer.write(&format!("packs/{number}"), bytes.into()).await.unwrap();
        }
        let parts = writer.finish().unwrap();
        parts
            .into_iter()
            .map(|(path, len)| {
                assert!(len <= BundleWriter::SPLIT_MIN, "{len}");
                path
            })
            .collect::<Vec<_>>()
    };
    let (one, other) = (write("one", BUNDLE).await, write("other", [0; 16]).await);
    assert_eq!(one.len(), 2, "three records of 20 MiB fit 64 MiB");
    let bundle = Bundle::open(&[one[1].clone(), one[0].clone()]).unwrap();
    assert_eq!(bundle.range("packs/4", 0..1).await.unwrap(), [4u8][..]);
    assert_eq!(check(&one[1]).unwrap().number, 2);

    let error = |paths: &[&PathBuf]| {
        let paths: Vec<_> = paths.iter().map(|path| (*path).clone()).collect();
        Bundle::open(&paths).err().unwrap().to_string()
    };
    assert_eq!(error(&[&one[0]]), "part 2 of the bundle is missing");
    assert_eq!(error(&[&one[1]]), "part 1 of the bundle is missing");
    assert!(error(&[&one[0], &one[0], &one[1]]).ends_with("are the same part of a bundle"));
    assert!(error(&[&one[0], &other[1]]).ends_with("are parts of two bundles"));
}

#[tokio::test]
async fn an_unfinished_bundle_leaves_no_file_and_a_finished_one_replaces_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.bundle");
    let writer = BundleWriter::new(path.clone(), BUNDLE, None);
    writer.write("a", Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    drop(writer);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

    std::fs::write(&path, "mine").unwrap();
    let writer = BundleWriter::new(path.clone(), BUNDLE, None);
    assert_eq!(writer.finish().unwrap_err().kind(), ErrorKind::Conflict);
    drop(writer);
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

proptest! {
    /// Nothing panics or asks for much memory, whatever the bytes after the header are.
    #[test]
    fn random_parts_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let part = [&super::format::header(BUNDLE, 0)[..], &bytes].concat();
        let read = Part::read(&part[..], part.len() as u64, Path::new("x"));
        prop_assert!(read.is_err());
    }
}
