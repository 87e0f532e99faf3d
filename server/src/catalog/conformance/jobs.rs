//! The conformance of jobs, each test on a new catalog.

use super::super::check::{Class, Finding};
use super::super::jobs::{ClaimJob, Job, JobEnd, JobEnded, JobId, JobKind, Runner, RunnerState};
use super::*;

const KIND: JobKind = JobKind::Collection;
const ONE: Runner = [1; 16];
const OTHER: Runner = [2; 16];
const COMPLETE: JobEnd = JobEnd { at_secs: NOW + 9, failure: None };

fn claim(runner: Runner, now_secs: u64) -> ClaimJob {
    ClaimJob { name: KIND.into(), runner, now_secs, patience_secs: 10, restart: false }
}

async fn claimed(catalog: &Catalog, claim: ClaimJob) -> Option<Job> {
    let begin = |before: Option<&Job>| before.map_or("new", |job| &job.progress).to_owned();
    catalog.claim_job(claim, begin).await.unwrap()
}

async fn newest(catalog: &Catalog) -> Job {
    catalog.newest_job(KIND).await.unwrap().unwrap()
}

async fn requested(catalog: &Catalog, now_secs: u64) -> bool {
    let merge = |earlier: &str| format!("{earlier}+");
    catalog.request_job(KIND, now_secs, 10, merge).await.unwrap()
}

fn failed(at_secs: u64) -> JobEnd {
    JobEnd { at_secs, failure: Some("no disk".to_owned()) }
}

pub(super) async fn a_job_has_one_runner_at_a_time(catalog: &Catalog) {
    assert_eq!(catalog.newest_job(KIND).await.unwrap(), None);
    let job = claimed(catalog, claim(ONE, NOW)).await.unwrap();
    let expected = Job {
        id: JobId { kind: KIND, run: 1, runner: ONE },
        subject: String::new(),
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
    assert!(requested(catalog, NOW + 16).await);
    assert_eq!(catalog.end_job(job, COMPLETE).await.unwrap(), JobEnded::Ended);
    assert_eq!(newest(catalog).await, Job { request: "+".to_owned(), ..taken });
}

pub(super) async fn a_job_resumes_until_it_is_complete(catalog: &Catalog) {
    assert_eq!(catalog.last_complete_job(KIND).await.unwrap(), None);
    let job = claimed(catalog, claim(ONE, NOW)).await.unwrap();
    let job = Job { cursor: "c".to_owned(), progress: "p".to_owned(), ..job };
    assert_eq!(catalog.save_job(job.clone(), NOW + 3).await.unwrap(), RunnerState::Going);
    assert_eq!(newest(catalog).await, Job { beat_at_secs: NOW + 3, ..job.clone() });
    assert_eq!(catalog.end_job(job.clone(), failed(NOW + 4)).await.unwrap(), JobEnded::Ended);
    let ended = newest(catalog).await;
    assert_eq!(ended, Job { beat_at_secs: NOW + 4, end: Some(failed(NOW + 4)), ..job.clone() });
    assert_eq!(catalog.beat_job(job.id, NOW + 5).await.unwrap(), RunnerState::Lost);
    assert_eq!(catalog.last_complete_job(KIND).await.unwrap(), None, "it failed");

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
    assert_eq!(catalog.last_complete_job(KIND).await.unwrap(), Some(NOW + 9));
    catalog.stop_job(KIND).await.unwrap();
    let restart = ClaimJob { restart: true, ..claim(OTHER, NOW + 21) };
    let anew = claimed(catalog, restart).await.unwrap();
    assert_eq!((anew.id.run, anew.started_at_secs), (3, NOW + 21), "no number comes twice");
}

pub(super) async fn a_stopped_job_is_free(catalog: &Catalog) {
    catalog.stop_job(KIND).await.unwrap();
    let job = claimed(catalog, claim(ONE, NOW)).await.unwrap();
    assert!(requested(catalog, NOW).await);
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
    assert!(!requested(catalog, NOW).await, "there is no job");
    let job = claimed(catalog, claim(ONE, NOW)).await.unwrap();
    assert!(requested(catalog, NOW + 1).await);
    assert!(requested(catalog, NOW + 2).await);
    assert!(!requested(catalog, NOW + 10).await, "its runner is dead");
    catalog.beat_job(job.id, NOW + 10).await.unwrap();
    let ended = catalog.end_job(job.clone(), COMPLETE).await.unwrap();
    assert_eq!(ended, JobEnded::Requested("++".to_owned()));
    catalog.stop_job(KIND).await.unwrap();
    assert!(requested(catalog, NOW + 11).await, "after the stop");
    let ended = catalog.end_job(job.clone(), failed(NOW + 12)).await.unwrap();
    assert_eq!(ended, JobEnded::Requested("+".to_owned()));
    assert_eq!(catalog.beat_job(job.id, NOW + 12).await.unwrap(), RunnerState::Going);
    assert_eq!(catalog.end_job(job, COMPLETE).await.unwrap(), JobEnded::Ended);
    assert!(!requested(catalog, NOW + 13).await);
}

pub(super) async fn a_request_outlives_its_runner(catalog: &Catalog) {
    claimed(catalog, claim(ONE, NOW)).await.unwrap();
    assert!(requested(catalog, NOW + 1).await);
    let resumed = claimed(catalog, claim(OTHER, NOW + 10)).await.unwrap();
    assert_eq!(resumed.request, "+");
    let ended = catalog.end_job(resumed, COMPLETE).await.unwrap();
    assert_eq!(ended, JobEnded::Requested("+".to_owned()), "the next runner serves it");
    assert!(requested(catalog, NOW + 11).await);
    let restart = ClaimJob { restart: true, ..claim(ONE, NOW + 21) };
    let begin = |before: Option<&Job>| before.map_or("new", |job| &job.request).to_owned();
    let begun = catalog.claim_job(restart, begin).await.unwrap().unwrap();
    assert_eq!((&*begun.progress, &*begun.request), ("+", ""), "a new job takes it");
}

/// Jobs of one kind with different subjects do not wait for each other. Their numbers are unique
/// within the kind.
pub(super) async fn each_subject_has_a_job_of_its_own(catalog: &Catalog) {
    let of = |subject: &str, runner, now_secs| ClaimJob {
        name: JobKind::Deliver.of(subject),
        ..claim(runner, now_secs)
    };
    let a = claimed(catalog, of("a", ONE, NOW)).await.unwrap();
    let b = claimed(catalog, of("b", OTHER, NOW)).await.unwrap();
    assert_eq!((a.id.run, b.id.run), (1, 2));
    assert_eq!((&*a.subject, &*b.subject), ("a", "b"));
    assert_eq!(claimed(catalog, of("a", OTHER, NOW + 1)).await, None);
    catalog.stop_job(JobKind::Deliver.of("a")).await.unwrap();
    assert_eq!(catalog.beat_job(a.id, NOW + 1).await.unwrap(), RunnerState::Stopped);
    assert_eq!(catalog.beat_job(b.id, NOW + 1).await.unwrap(), RunnerState::Going);
    assert_eq!(catalog.end_job(a.clone(), failed(NOW + 2)).await.unwrap(), JobEnded::Ended);
    let unfinished = catalog.unfinished_jobs(JobKind::Deliver).await.unwrap();
    assert_eq!(unfinished.iter().map(|job| job.id).collect::<Vec<_>>(), [b.id]);
    assert_eq!(catalog.end_job(b, COMPLETE).await.unwrap(), JobEnded::Ended);
    assert_eq!(catalog.unfinished_jobs(JobKind::Deliver).await.unwrap(), []);

    let next = claimed(catalog, of("b", ONE, NOW + 20)).await.unwrap();
    assert_eq!(next.id.run, 3);
    claimed(catalog, claim(ONE, NOW)).await.unwrap();
    let list = catalog.jobs(10).await.unwrap();
    let list: Vec<_> =
        list.iter().map(|(job, last)| (job.id.kind, &*job.subject, job.id.run, *last)).collect();
    let deliver = JobKind::Deliver;
    let expected = [(KIND, "", 1, None), (deliver, "a", 1, None), (deliver, "b", 3, Some(NOW + 9))];
    assert_eq!(list, expected);
    assert_eq!(catalog.last_complete_job(deliver.of("b")).await.unwrap(), Some(NOW + 9));
    assert_eq!(catalog.last_complete_job(deliver.of("a")).await.unwrap(), None);
}

fn finding(object: &str, class: Class) -> Finding {
    Finding { kind: "pack".to_owned(), object: object.to_owned(), what: "gone".to_owned(), class }
}

/// Progress and findings are saved together, and only by the runner that is to go on.
pub(super) async fn a_check_saves_its_findings_with_its_progress(catalog: &Catalog) {
    let check =
        |runner, now_secs| ClaimJob { name: JobKind::Check.into(), ..claim(runner, now_secs) };
    let save = async |job: &Job, found: Vec<Finding>, now_secs| {
        catalog.save_check(job.clone(), found, now_secs).await.unwrap()
    };
    let list = async |run| catalog.findings(run, 10).await.unwrap().list;
    let job = claimed(catalog, check(ONE, NOW)).await.unwrap();
    let job = Job { cursor: "c".to_owned(), progress: "p".to_owned(), ..job };
    let found = vec![finding("b", Class::Reclaimable), finding("a", Class::Damage)];
    assert_eq!(save(&job, found, NOW + 1).await, RunnerState::Going);
    let saved = catalog.newest_job(JobKind::Check).await.unwrap().unwrap();
    assert_eq!(saved, Job { beat_at_secs: NOW + 1, ..job.clone() });
    let taken = claimed(catalog, check(OTHER, NOW + 11)).await.unwrap();
    assert_eq!((&*taken.cursor, &*taken.progress), ("c", "p"), "it goes on");
    let late = vec![finding("late", Class::Damage)];
    assert_eq!(save(&job, late.clone(), NOW + 12).await, RunnerState::Lost);
    // The check finds the same damage again.
    let again = vec![finding("a", Class::Damage)];
    assert_eq!(save(&taken, again, NOW + 12).await, RunnerState::Going);
    let all = [finding("a", Class::Damage), finding("b", Class::Reclaimable)];
    assert_eq!(list(1).await, all);
    catalog.stop_job(JobKind::Check).await.unwrap();
    assert_eq!(save(&taken, late, NOW + 13).await, RunnerState::Stopped);
    assert_eq!(list(1).await, all);

    let anew = ClaimJob { restart: true, ..check(ONE, NOW + 14) };
    let anew = claimed(catalog, anew).await.unwrap();
    assert_eq!((anew.id.run, &*anew.cursor), (2, ""));
    assert_eq!(list(2).await, []);
    assert_eq!(save(&anew, vec![], NOW + 15).await, RunnerState::Going);
    assert_eq!(list(1).await, [], "they were reported");
    assert_eq!(catalog.newest_job(KIND).await.unwrap(), None, "a collection is another job");
}

/// A check keeps the gravest finding of each object, and counts those that are not listed, too.
pub(super) async fn the_gravest_finding_of_an_object_stays(catalog: &Catalog) {
    let job = claimed(catalog, ClaimJob { name: JobKind::Check.into(), ..claim(ONE, NOW) })
        .await
        .unwrap();
    let finding = |kind: &str, object: &str, what: &str, class| Finding {
        kind: kind.to_owned(),
        object: object.to_owned(),
        what: what.to_owned(),
        class,
    };
    let first = vec![
        finding("leaf", "d", "idle", Class::Reclaimable),
        finding("leaf", "c", "mended", Class::Mended),
        finding("leaf", "b", "idle", Class::Reclaimable),
        finding("pack", "a", "gone", Class::Damage),
    ];
    catalog.save_check(job.clone(), first, NOW).await.unwrap();
    let again = vec![
        finding("leaf", "b", "cut", Class::Damage),
        finding("leaf", "c", "idle", Class::Reclaimable),
        finding("pack", "a", "mended", Class::Mended),
    ];
    catalog.save_check(job.clone(), again, NOW).await.unwrap();
    let findings = catalog.findings(job.id.run, 3).await.unwrap();
    let gravest = [
        finding("pack", "a", "gone", Class::Damage),
        finding("leaf", "b", "cut", Class::Damage),
        finding("leaf", "c", "mended", Class::Mended),
    ];
    assert_eq!(findings.list, gravest, "the gravest first");
    let mut damage = findings.damage;
    damage.sort();
    assert_eq!(damage, [("leaf".to_owned(), 2), ("pack".to_owned(), 1)]);
    assert_eq!(catalog.findings(job.id.run + 1, 3).await.unwrap().list, []);
}
