//! Tests that one job collects at a time, and that later requests are merged into the next run.

use seawall_store::backend::Bucket;

use super::*;
use crate::app::upkeep::collect::Phase;
use crate::catalog::sqlite;
use crate::host::Host;

const FORCED: CollectOptions =
    CollectOptions { live_percent_min: 100, rate_max: Some(7), is_forced: true };

/// A host whose clock stands still.
struct Still;

impl Host for Still {
    fn now_secs(&self) -> u64 {
        1_800_000_000
    }

    fn random(&self) -> Option<[u8; 16]> {
        Some([7; 16])
    }
}

fn registry() -> (tempfile::TempDir, Arc<Registry>) {
    let dir = tempfile::tempdir().unwrap();
    let catalog = sqlite::open(&dir.path().join("catalog.sqlite")).unwrap();
    let store = Arc::new(Bucket::in_memory());
    let registry = Registry::new(store, catalog, Arc::new(Still), 1);
    (dir, Arc::new(registry))
}

fn begin(registry: &Arc<Registry>, options: CollectOptions) -> Option<Job> {
    Job::begin(Arc::clone(registry), options)
}

#[test]
fn a_job_that_has_ended_leaves_the_next_one_alone() {
    let (_dir, registry) = registry();
    let mut first = begin(&registry, CollectOptions::default()).unwrap();
    first.end();
    let next = begin(&registry, CollectOptions::default()).unwrap();
    drop(first);
    assert_eq!(registry.collect_status().phase, Phase::Marking);
    assert!(begin(&registry, CollectOptions::default()).is_none(), "one runs");
    drop(next);
}

#[test]
fn a_job_whose_thread_is_gone_lets_another_begin() {
    let (_dir, registry) = registry();
    drop(begin(&registry, CollectOptions::default()).unwrap());
    assert_eq!(registry.collect_status().phase, Phase::Idle);
    assert!(begin(&registry, CollectOptions::default()).is_some());
}

#[test]
fn whoever_asks_beside_a_job_gets_it_as_they_want_it() {
    let (_dir, registry) = registry();
    let mut job = begin(&registry, CollectOptions::default()).unwrap();
    assert!(begin(&registry, FORCED).is_none());
    let default = CollectOptions::default();
    assert!(begin(&registry, CollectOptions { rate_max: Some(9), ..default }).is_none());
    job.end();
    assert_eq!(job.next, Some(CollectOptions { rate_max: Some(9), ..FORCED }));
    assert!(begin(&registry, default).is_none());
    job.end();
    assert_eq!(job.next, Some(default), "that was done");
    job.end();
    assert_eq!(job.next, None);
}

#[tokio::test]
async fn what_is_asked_for_beside_a_job_that_did_not_look_is_looked_for() {
    let (_dir, registry) = registry();
    let job = begin(&registry, CollectOptions::default()).unwrap();
    start(Arc::clone(&registry), FORCED).unwrap();
    run(&registry, job.next.unwrap()).await;
    let mut job = job;
    job.end();
    run(&registry, job.next.unwrap()).await;
    let (_, outcome) = registry.collect_status().last.unwrap();
    assert!(outcome.unwrap().has_looked);
}
