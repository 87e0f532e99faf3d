//! The conformance of jobs, each test on a new catalog.

use super::super::jobs::{ClaimJob, Job, JobEnd, JobEnded, JobId, JobKind, Runner, RunnerState};
use super::*;

const KIND: JobKind = JobKind::Collection;
const ONE: Runner = [1; 16];
const OTHER: Runner = [2; 16];
const COMPLETE: JobEnd = JobEnd { at_secs: NOW + 9, failure: None };

fn claim(runner: Runner, now_secs: u64) -> ClaimJob {
    ClaimJob { kind: KIND, runner, now_secs, patience_secs: 10, restart: false }
}

async fn claimed(catalog: &Catalog, claim: ClaimJob) -> Option<Job> {
    let begin = |before: Option<&Job>| before.map_or("new", |job| &job.progress).to_owned();
    catalog.claim_job(claim, begin).await.unwrap()
}

async fn newest(catalog: &Catalog) -> Job {
    catalog.newest_job(KIND).await.unwrap().unwrap()
}

fn failed(at_secs: u64) -> JobEnd {
    JobEnd { at_secs, failure: Some("no disk".to_owned()) }
}

pub(super) async fn a_job_has_one_runner_at_a_time(catalog: &Catalog) {
    assert_eq!(catalog.newest_job(KIND).await.unwrap(), None);
    let job = claimed(catalog, claim(ONE, NOW)).await.unwrap();
    let expected = Job {
        id: JobId { kind: KIND, run: 1, runner: ONE },
        beat_at_secs: NOW,
        is_stopped: false,
        started_at_secs: NOW,
        end: None,
        cursor: String::new(),
        progress: "new".to_owned(),
        request: String::new(),
    };
    assert_eq!((&job, &newest(catalog).await), (&expected, &expected));
    assert_eq!(claimed(catalog, claim(OTHER, NOW + 9)).await, None);
    assert_eq!(catalog.beat_job(job.id, NOW + 5).await.unwrap(), RunnerState::Going);
    assert_eq!(catalog.beat_job(job.id, NOW + 4).await.unwrap(), RunnerState::Going);
    assert_eq!(newest(catalog).await.beat_at_secs, NOW + 5, "a late one does no harm");
    assert_eq!(claimed(catalog, claim(OTHER, NOW + 14)).await, None);
    assert!(!job.is_alive(NOW + 10, 10) && job.is_alive(NOW + 9, 10));

    let taken = claimed(catalog, claim(OTHER, NOW + 15)).await.unwrap();
    let id = JobId { runner: OTHER, ..job.id };
    assert_eq!(taken, Job { id, beat_at_secs: NOW + 15, ..job.clone() });
    assert_eq!(catalog.beat_job(job.id, NOW + 16).await.unwrap(), RunnerState::Lost);
    assert_eq!(catalog.save_job(job.clone(), NOW + 16).await.unwrap(), RunnerState::Lost);
    let request = |_: &str| "again".to_owned();
    catalog.request_job(claim(ONE, NOW + 16), request).await.unwrap();
    assert_eq!(catalog.end_job(job, COMPLETE).await.unwrap(), JobEnded::Ended);
    assert_eq!(newest(catalog).await, Job { request: "again".to_owned(), ..taken });
}

pub(super) async fn a_job_resumes_until_it_is_complete(catalog: &Catalog) {
    let job = claimed(catalog, claim(ONE, NOW)).await.unwrap();
    let job = Job { cursor: "c".to_owned(), progress: "p".to_owned(), ..job };
    assert_eq!(catalog.save_job(job.clone(), NOW + 3).await.unwrap(), RunnerState::Going);
    assert_eq!(newest(catalog).await, Job { beat_at_secs: NOW + 3, ..job.clone() });
    assert_eq!(catalog.end_job(job.clone(), failed(NOW + 4)).await.unwrap(), JobEnded::Ended);
    let ended = newest(catalog).await;
    assert_eq!(ended, Job { beat_at_secs: NOW + 4, end: Some(failed(NOW + 4)), ..job.clone() });
    assert_eq!(catalog.beat_job(job.id, NOW + 5).await.unwrap(), RunnerState::Lost);

    let again = claimed(catalog, claim(OTHER, NOW + 5)).await.unwrap();
    let id = JobId { runner: OTHER, ..job.id };
    assert_eq!(again, Job { id, beat_at_secs: NOW + 5, ..job.clone() }, "it goes on");
    assert_eq!(catalog.end_job(again.clone(), COMPLETE).await.unwrap(), JobEnded::Ended);
    catalog.stop_job(KIND).await.unwrap();
    let complete = newest(catalog).await;
    assert_eq!((&complete.end, complete.is_stopped), (&Some(COMPLETE), false), "too late");

    let next = claimed(catalog, claim(ONE, NOW + 20)).await.unwrap();
    assert_eq!((next.id.run, next.started_at_secs, &*next.cursor), (2, NOW + 20, ""));
    assert_eq!(next.progress, "p", "made of the progress before");
    let restart = ClaimJob { restart: true, ..claim(ONE, NOW + 21) };
    let anew = claimed(catalog, restart).await.unwrap();
    assert_eq!((anew.id.run, anew.started_at_secs), (2, NOW + 21), "it takes its own from itself");
}

pub(super) async fn a_stopped_job_is_free(catalog: &Catalog) {
    catalog.stop_job(KIND).await.unwrap();
    let job = claimed(catalog, claim(ONE, NOW)).await.unwrap();
    catalog.request_job(claim(OTHER, NOW), |_| "more".to_owned()).await.unwrap();
    catalog.stop_job(KIND).await.unwrap();
    let stopped = Job { is_stopped: true, ..job.clone() };
    assert_eq!(newest(catalog).await, stopped, "the request is dropped");
    assert_eq!(catalog.beat_job(job.id, NOW + 1).await.unwrap(), RunnerState::Stopped);
    let saved = Job { progress: "late".to_owned(), ..job.clone() };
    assert_eq!(catalog.save_job(saved.clone(), NOW + 1).await.unwrap(), RunnerState::Stopped);
    assert_eq!(newest(catalog).await.progress, "new");
    assert_eq!(catalog.end_job(saved, failed(NOW + 2)).await.unwrap(), JobEnded::Ended);
    assert_eq!(newest(catalog).await.progress, "late", "its runner has the last word");

    claimed(catalog, claim(ONE, NOW + 3)).await.unwrap();
    catalog.stop_job(KIND).await.unwrap();
    let taken = claimed(catalog, claim(OTHER, NOW + 4)).await.unwrap();
    assert!(!taken.is_stopped && taken.end.is_none());
}

pub(super) async fn a_request_makes_a_job_go_on(catalog: &Catalog) {
    let request = async |now_secs| {
        let merge = |earlier: &str| format!("{earlier}+");
        catalog.request_job(claim(OTHER, now_secs), merge).await.unwrap()
    };
    assert_eq!(request(NOW).await, None, "there is no job");
    let job = claimed(catalog, claim(ONE, NOW)).await.unwrap();
    assert_eq!(request(NOW + 1).await, Some(job.id));
    assert_eq!(request(NOW + 2).await, Some(job.id));
    assert_eq!(request(NOW + 10).await, None, "its runner is dead");
    catalog.beat_job(job.id, NOW + 10).await.unwrap();
    let ended = catalog.end_job(job.clone(), COMPLETE).await.unwrap();
    assert_eq!(ended, JobEnded::Requested("++".to_owned()));
    catalog.stop_job(KIND).await.unwrap();
    assert_eq!(request(NOW + 11).await, Some(job.id), "after the stop");
    let ended = catalog.end_job(job.clone(), failed(NOW + 12)).await.unwrap();
    assert_eq!(ended, JobEnded::Requested("+".to_owned()));
    assert_eq!(catalog.beat_job(job.id, NOW + 12).await.unwrap(), RunnerState::Going);
    assert_eq!(catalog.end_job(job, COMPLETE).await.unwrap(), JobEnded::Ended);
    assert_eq!(request(NOW + 13).await, None);
}
