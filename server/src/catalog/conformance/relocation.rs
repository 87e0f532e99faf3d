//! The conformance of the gate that a relocation closes, and of rows that are moved.

use std::error::Error as _;

use super::super::jobs::{ClaimJob, JobKind};
use super::super::relocation::{Closing, Places, RelocationState};
use super::collecting::published;
use super::*;

fn to(store: &str) -> Places {
    Places { store: store.to_owned(), catalog: "postgres://me@db/images".to_owned() }
}

async fn write(catalog: &Catalog) -> Result<(), Option<Barrier>> {
    let done = catalog.log(Entry::new(Action::Recover, "", NOW)).await;
    done.map(|_| ()).map_err(|error| error.barrier())
}

pub(super) async fn a_closed_catalog_is_read_and_takes_no_writes(catalog: &Catalog) {
    let (id, other) = (RegistryId::from_bytes([1; 16]), RegistryId::from_bytes([2; 16]));
    assert_eq!(catalog.relocation().await.unwrap(), None);
    assert!(!catalog.reopen(NOW).await.unwrap(), "there is none to give up");
    write(catalog).await.unwrap();
    assert_eq!(catalog.close(to("s3://a"), id, NOW).await.unwrap(), Closing::Closed(id));
    assert_eq!(catalog.close(to("s3://a"), other, NOW).await.unwrap(), Closing::Closed(id));
    let Closing::Other(found) = catalog.close(to("s3://b"), id, NOW).await.unwrap() else {
        panic!("another relocation closed it");
    };
    assert_eq!((found.state, found.to), (RelocationState::Moving, to("s3://a")));
    assert_eq!(write(catalog).await, Err(Some(Barrier::Moving)));
    assert_eq!(catalog.barrier(), Some(Barrier::Moving));
    assert!(catalog.applications(None, 10).await.unwrap().is_empty(), "it is read");
    let found = catalog.relocation().await.unwrap().unwrap();
    assert_eq!((found.state, found.epoch, found.at_secs), (RelocationState::Moving, 0, NOW));

    assert!(catalog.reopen(NOW).await.unwrap());
    assert_eq!(catalog.barrier(), None);
    write(catalog).await.unwrap();
}

pub(super) async fn jobs_end_with_the_catalog_that_is_closed(catalog: &Catalog) {
    let claim = ClaimJob {
        name: JobKind::Check.into(),
        runner: [7; 16],
        now_secs: NOW,
        patience_secs: 6,
        restart: false,
    };
    catalog.claim_job(claim, |_| String::new()).await.unwrap().unwrap();
    catalog.close(to("s3://a"), RegistryId::from_bytes([1; 16]), NOW + 1).await.unwrap();
    let job = catalog.newest_job(JobKind::Check).await.unwrap().unwrap();
    assert_eq!(job.end.unwrap().at_secs, NOW + 1);
}

pub(super) async fn a_catalog_that_was_left_stays_closed(catalog: &Catalog) {
    let id = RegistryId::from_bytes([1; 16]);
    let error = catalog.leave(NOW).await.unwrap_err();
    assert!(error.source().unwrap().to_string().contains("abandoned"), "nobody moves it");
    catalog.close(to("s3://a"), id, NOW).await.unwrap();
    catalog.leave(NOW).await.unwrap();
    assert_eq!(write(catalog).await, Err(Some(Barrier::Moved)));
    assert!(!catalog.reopen(NOW).await.unwrap());
    assert_eq!(write(catalog).await, Err(Some(Barrier::Moved)));
    let found = catalog.relocation().await.unwrap().unwrap();
    assert_eq!(found.state, RelocationState::Moved);
}

/// A process that opened the catalog before still writes to the former store.
pub(super) async fn a_process_of_an_earlier_epoch_writes_no_more(catalog: &Catalog) {
    let id = RegistryId::from_bytes([1; 16]);
    catalog.close(to("s3://a"), id, NOW).await.unwrap();
    catalog.rebind(Some("s3://a".to_owned()), NOW).await.unwrap();
    assert_eq!(write(catalog).await, Err(Some(Barrier::Moved)));
    let identity = catalog.identity().await.unwrap().unwrap();
    assert_eq!(identity, Identity { registry: id, store: Some("s3://a".to_owned()) });
    assert!(catalog.rebind(None, NOW).await.is_err(), "nothing is being moved");
    let found = catalog.relocation().await.unwrap().unwrap();
    assert_eq!((found.state, found.epoch), (RelocationState::Open, 1));
}

pub(super) async fn moved_rows_are_the_same_rows(catalog: &Catalog) {
    published(catalog, "1.0").await;
    catalog.close(to("s3://a"), RegistryId::from_bytes([1; 16]), NOW).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.sqlite");
    let export = catalog.export().unwrap();
    // An engine waits for its server on a thread without a runtime.
    let work = || {
        let scratch = sqlite::begin_anew(&path).unwrap();
        let intake = scratch.intake().unwrap();
        let bytes = std::cell::Cell::new(0);
        let watch = |more| bytes.set(bytes.get() + more);
        let moved = transfer::send(export, &*intake, Some("s3://a"), &watch).unwrap();
        intake.commit().unwrap();
        assert_eq!(moved.differs(scratch.catalog().export().unwrap()).unwrap(), None);
        assert!(moved.counts().any(|(table, rows)| table == "releases" && rows == 1));
        assert!(bytes.get() > 100);
        (moved, scratch.finish().unwrap())
    };
    let (moved, there) = std::thread::scope(|scope| scope.spawn(work).join().unwrap());
    assert_eq!(there.releases("webshop".parse().unwrap(), None, 9).await.unwrap().len(), 1);
    assert_eq!(there.relocation().await.unwrap(), None, "the gate stays behind");
    write(&there).await.unwrap();
    assert_eq!(moved.differs(there.export().unwrap()).unwrap(), Some("audit"));
}
