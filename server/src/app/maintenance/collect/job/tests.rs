//! Tests of collections as jobs: in one process, in two over one directory, and after a crash.

use seawall_api::problem::Code;

use super::*;
use crate::app::maintenance::collect::{CollectTotals, Collected};
use crate::app::tests::Site;
use crate::catalog::collect::OlderLeases;

const DEFAULT: CollectOptions =
    CollectOptions { live_percent_min: 60, rate_max: None, is_forced: false };
const FORCED: CollectOptions =
    CollectOptions { live_percent_min: 100, rate_max: Some(7), is_forced: true };

fn two_processes() -> (Site, Arc<Collector>, Arc<Collector>) {
    let site = Site::new();
    let [one, other] = [&site, &site].map(|site| site.sound().collector);
    (site, one, other)
}

async fn begun(collector: &Arc<Collector>, options: CollectOptions) -> Option<Task<Collection>> {
    collector.begin_collecting(options).await.unwrap()
}

async fn status(collector: &Collector) -> CollectStatus {
    collector.collect_status().await.unwrap()
}

#[tokio::test]
async fn the_status_is_the_same_from_every_process_and_after_a_restart() {
    let (site, one, other) = two_processes();
    assert_eq!(status(&other).await, CollectStatus::default());
    let job = begun(&one, FORCED).await.unwrap();
    assert_eq!(status(&other).await.phase, Phase::Marking);
    assert!(begun(&other, DEFAULT).await.is_none(), "one runs");
    job.run().await;
    let ended = status(&other).await;
    assert_eq!(ended.phase, Phase::Idle);
    assert!(ended.last.clone().unwrap().1.unwrap().has_looked);
    assert_eq!(status(&one).await, ended);
    drop((one, other));
    assert_eq!(status(&site.sound().collector).await, ended);
}

#[tokio::test]
async fn a_collection_of_a_dead_process_is_shown_as_interrupted_and_replaced_at_once() {
    let (site, one, other) = two_processes();
    drop(begun(&one, FORCED).await.unwrap());
    assert_eq!(status(&other).await.phase, Phase::Marking);
    site.pass(PATIENCE_SECS);
    let shown = status(&other).await;
    assert_eq!(shown.phase, Phase::Idle);
    let (_, outcome) = shown.last.unwrap();
    let failure = outcome.unwrap_err();
    assert_eq!(failure.code, Code::Unavailable);
    assert!(failure.detail.contains("interrupted"), "{failure:?}");

    drop(begun(&one, FORCED).await.unwrap());
    let job = begun(&other, FORCED).await.expect("nobody waits for the dead");
    job.run().await;
    assert!(status(&one).await.last.unwrap().1.is_ok());
}

#[tokio::test]
async fn a_stop_reaches_the_collection_in_another_process() {
    let (_site, one, other) = two_processes();
    other.stop_collecting().await.unwrap();
    let job = begun(&one, FORCED).await.unwrap();
    assert!(begun(&other, FORCED).await.is_none());
    other.stop_collecting().await.unwrap();
    assert!(!job.running.is_stopped());
    job.running.beat().await.unwrap();
    assert!(job.running.is_stopped());
    assert!(matches!(one.collecting.check_stop(), Err(AppError::Stopped { .. })));
    assert!(begun(&other, DEFAULT).await.is_none(), "requested after the stop");
    assert!(job.running.end(None).await.unwrap().is_some());
    assert!(one.collecting.check_stop().is_ok(), "the round goes on");
    assert_eq!(job.running.end(None).await.unwrap(), None);
}

#[tokio::test]
async fn requests_beside_a_collection_are_merged_into_the_next_round() {
    let (_site, one, other) = two_processes();
    let job = begun(&one, DEFAULT).await.unwrap();
    assert!(begun(&one, FORCED).await.is_none());
    assert!(begun(&other, CollectOptions { rate_max: Some(9), ..DEFAULT }).await.is_none());
    let request = job.running.end(None).await.unwrap().unwrap();
    let options: CollectOptions = serde_json::from_str(&request).unwrap();
    assert_eq!(options, CollectOptions { rate_max: Some(9), ..FORCED });
    assert!(begun(&other, FORCED).await.is_none());
    job.run().await;
    assert!(status(&other).await.last.unwrap().1.unwrap().has_looked);
}

async fn abandoned(collector: &Arc<Collector>) -> Option<Task<Collection>> {
    collector.abandoned_collection().await.unwrap()
}

#[tokio::test]
async fn a_request_to_a_process_that_died_is_taken_over() {
    let (site, one, other) = two_processes();
    assert!(abandoned(&other).await.is_none(), "there is no collection");
    let dead = begun(&one, DEFAULT).await.unwrap();
    assert!(begun(&other, FORCED).await.is_none(), "requested of the one");
    drop(dead);
    assert!(abandoned(&other).await.is_none(), "it may be alive");
    site.pass(PATIENCE_SECS);
    let taken = abandoned(&other).await.unwrap();
    assert_eq!(taken.work.options, FORCED);
    assert!(abandoned(&one).await.is_none(), "taken once");
    // Whoever took it dies, too.
    drop(taken);
    site.pass(PATIENCE_SECS);
    let taken = abandoned(&one).await.unwrap();
    assert_eq!(taken.work.options, FORCED);
    taken.run().await;
    assert!(status(&other).await.last.unwrap().1.unwrap().has_looked);
    site.pass(PATIENCE_SECS);
    assert!(abandoned(&other).await.is_none(), "it was served");
}

#[tokio::test]
async fn a_request_in_its_own_round_is_taken_over() {
    let (site, one, other) = two_processes();
    let mut job = begun(&one, DEFAULT).await.unwrap();
    assert!(begun(&other, FORCED).await.is_none());
    let request = job.running.end(None).await.unwrap().unwrap();
    job.work.go_on(&request);
    job.running.beat().await.unwrap();
    drop(job);
    site.pass(PATIENCE_SECS);
    assert_eq!(abandoned(&other).await.unwrap().work.options, FORCED);
}

#[tokio::test]
async fn nobody_takes_over_what_was_not_requested_or_was_stopped() {
    let (site, one, other) = two_processes();
    drop(begun(&one, FORCED).await.unwrap());
    site.pass(PATIENCE_SECS);
    assert!(abandoned(&other).await.is_none(), "its client sees that it was interrupted");
    let dead = begun(&one, FORCED).await.unwrap();
    assert!(begun(&other, FORCED).await.is_none());
    other.stop_collecting().await.unwrap();
    drop(dead);
    site.pass(PATIENCE_SECS);
    assert!(abandoned(&other).await.is_none(), "the stop ended the request");
}

#[tokio::test]
async fn the_next_collection_serves_what_the_dead_left() {
    let (_site, one, other) = two_processes();
    let dead = begun(&one, DEFAULT).await.unwrap();
    assert!(begun(&other, FORCED).await.is_none());
    drop(dead);
    let job = begun(&other, CollectOptions { rate_max: Some(9), ..DEFAULT }).await.unwrap();
    assert_eq!(job.work.options, CollectOptions { rate_max: Some(9), ..FORCED });
}

#[test]
fn the_outcomes_of_one_collection_add_up() {
    let freed = |bytes, waits_for| {
        let swept = CollectTotals { pack_count: 1, pack_bytes: bytes, ..CollectTotals::default() };
        Ok(Collected { has_looked: true, swept, waits_for })
    };
    let freed_bytes = |status: &CollectStatus| {
        status.last.clone().unwrap().1.map(|done| done.swept.freed_bytes())
    };
    let mut status = CollectStatus { phase: Phase::Sweeping, ..CollectStatus::default() };
    status.record(1, &freed(5, Some(OlderLeases { count: 1, deadline_secs: 9 })), false);
    assert_eq!(status.phase, Phase::Waiting);
    status.record(2, &freed(7, None), false);
    assert_eq!(freed_bytes(&status), Ok(12), "it waited");
    status.record(3, &freed(1, None), true);
    assert_eq!(freed_bytes(&status), Ok(13), "it was requested again");
    status.record(4, &freed(2, None), false);
    assert_eq!(freed_bytes(&status), Ok(2), "another collection");
    let read: CollectStatus =
        serde_json::from_str(&serde_json::to_string(&status).unwrap()).unwrap();
    assert_eq!(read, status);
}
