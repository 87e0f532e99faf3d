//! Tests of documents in two slots.

use seawall_store::backend::Bucket;

use super::*;
use crate::depot::medium::{Medium, StoredFiles, Writable};
use crate::error::ErrorKind;

const DEPOT: &str = "0123";

fn medium() -> StoredFiles {
    StoredFiles::new(Bucket::in_memory(), "memory")
}

fn slots() -> Slots<'static, Applications> {
    Slots::new(DEPOT, Applications::STEM)
}

async fn write(medium: &StoredFiles, previous: u64) {
    slots().write(medium, previous, Applications::default(), 1_800_000_000).await.unwrap();
}

async fn sequence(medium: &StoredFiles) -> Option<u64> {
    slots().read(medium).await.unwrap().map(|found| found.sequence)
}

#[tokio::test]
async fn the_bytes_of_a_document_are_those_of_the_vector() {
    let medium = medium();
    write(&medium, 0).await;
    let bytes = medium.read("listings/@applications.b", 1 << 10).await.unwrap().unwrap();
    let text = "{\"schema\":\"seawall.depot-applications/1\",\"depot\":\"0123\",\"sequence\":1,\
                \"writtenAtSecs\":1800000000,\"applications\":[]}\n";
    let digest = blake3::hash(text.as_bytes()).to_hex();
    assert_eq!(bytes, format!("{text}blake3:{digest}\n"));
}

#[tokio::test]
async fn the_highest_complete_document_is_read() {
    let medium = medium();
    assert_eq!(sequence(&medium).await, None);
    for previous in 0..4 {
        write(&medium, previous).await;
        assert_eq!(sequence(&medium).await, Some(previous + 1));
    }
    let (old, new) = (slots().path(3), slots().path(4));
    let older = medium.read(&old, 1 << 10).await.unwrap().unwrap();
    let newer = medium.read(&new, 1 << 10).await.unwrap().unwrap();

    for torn in [&newer[..newer.len() - 1], &newer[..40], b"", b"\n\n"] {
        medium.write(&new, torn.to_vec().into()).await.unwrap();
        assert_eq!(sequence(&medium).await, Some(3), "a torn slot hides nothing");
    }
    medium.write(&new, older.clone()).await.unwrap();
    assert_eq!(sequence(&medium).await, Some(3), "a copy in the wrong slot is not believed");
    medium.write(&new, newer).await.unwrap();
    medium.remove(&old).await.unwrap();
    assert_eq!(sequence(&medium).await, Some(4));
}

/// A rollback of one slot: the other has the higher number.
#[tokio::test]
async fn an_older_document_in_one_slot_changes_nothing() {
    let medium = medium();
    write(&medium, 0).await;
    let first = medium.read(&slots().path(1), 1 << 10).await.unwrap().unwrap();
    for previous in 1..4 {
        write(&medium, previous).await;
    }
    medium.write(&slots().path(1), first).await.unwrap();
    assert_eq!(sequence(&medium).await, Some(4));
}

#[tokio::test]
async fn two_torn_slots_are_damage_and_a_later_schema_is_named() {
    let medium = medium();
    for number in [0, 1] {
        medium.write(&slots().path(number), "x".into()).await.unwrap();
    }
    let error = slots().read(&medium).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    write(&medium, 0).await;
    let other: Slots<'_, Applications> = Slots::new("4567", Applications::STEM);
    let error = other.read(&medium).await.unwrap_err();
    assert!(error.to_string().contains("another depot") || error.to_string().contains("torn"));

    let text = "{\"schema\":\"seawall.depot-applications/2\"}\n";
    let digest = blake3::hash(text.as_bytes()).to_hex();
    medium.write(&slots().path(0), format!("{text}blake3:{digest}\n").into()).await.unwrap();
    let error = slots().read(&medium).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(error.to_string().contains("seawall.depot-applications/2"), "{error}");
}
