//! Tests of retention as a job: stopped, taken over by another process, and replaced.

use super::*;
use crate::app::Registry;
use crate::app::jobs::JobState;
use crate::app::retention::policies::Policy;
use crate::app::tests::fixture::TinyRelease;
use crate::app::tests::{Site, push};
use crate::catalog::AuditQuery;

/// The number of polls after which a job counts as stuck.
const LOOKS_MAX: u32 = 20_000;

/// Publishes the releases 1.0 to 1.4, of which the policy keeps the last.
async fn furnished() -> (Site, Vec<TinyRelease>) {
    let site = Site::new();
    let registry = site.sound();
    let releases: Vec<_> =
        (0..5).map(|n| TinyRelease::new("webshop", &format!("1.{n}"), "ab", "cd")).collect();
    for release in &releases {
        push(&registry, release).await.unwrap();
        site.pass(10);
    }
    let policy = Policy { keep_last: Some(1), ..Policy::default() };
    registry.retention.set_policy(&name(), None, policy, "ops".to_owned()).await.unwrap();
    (site, releases)
}

fn name() -> ApplicationName {
    "webshop".parse().unwrap()
}

/// Begins to apply the policies as `ci`, and deletes one release.
async fn begun(registry: &Registry, only: Option<HashSet<ReleaseDigest>>) -> Task<Applying> {
    let claimed = registry.retention.claim(&name(), true).await.unwrap().unwrap();
    let request = Request { only, token: "ci".to_owned() };
    let mut task = registry.retention.task(claimed, name(), Some(request));
    for _ in 0..2 {
        task.work.step().await.unwrap();
    }
    assert_eq!(deleted(registry).await, ["1.3"], "the newest first");
    task
}

/// Returns the versions that are deleted, in this order, by whom.
async fn deleted(registry: &Registry) -> Vec<String> {
    let query = AuditQuery { limit: 100, ..AuditQuery::default() };
    let entries = registry.audit.entries(query).await.unwrap().items.into_iter().rev();
    let deleted =
        entries.filter(|logged| logged.entry.action == seawall_api::audit::Action::Delete);
    let deleted = deleted.inspect(|logged| assert_eq!(logged.entry.actor, "ci"));
    deleted.map(|logged| logged.entry.version.unwrap().to_string()).collect()
}

async fn state(registry: &Registry) -> JobState {
    let jobs = registry.jobs.list(10).await.unwrap();
    jobs.into_iter().find(|status| status.job.id.kind == JobKind::Retention).unwrap().state
}

async fn ended(registry: &Registry) {
    for _ in 0..LOOKS_MAX {
        if state(registry).await == JobState::Complete {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the job does not end");
}

async fn has_collected(registry: &Registry) -> bool {
    registry.catalog.newest_job(JobKind::Collection).await.unwrap().is_some()
}

#[tokio::test]
async fn a_stop_ends_it_before_the_next_release_and_the_answer_says_what_is_deleted() {
    let (site, _) = furnished().await;
    let [one, other] = [site.sound(), site.sound()];
    let mut task = begun(&one, None).await;
    let (answer, answered) = oneshot::channel();
    task.work.answer = Some(answer);
    assert_eq!(state(&other).await, JobState::Running);
    other.jobs.stop("retention", "webshop").await.unwrap();
    task.running.beat().await.unwrap();
    task.run().await;
    let outcome = answered.await.unwrap().unwrap();
    assert_eq!(outcome.deleted.len(), 2, "the step that ran meanwhile, too");
    assert!(matches!(outcome.failure, Some(AppError::Stopped { .. })), "{:?}", outcome.failure);
    assert_eq!(state(&other).await, JobState::Stopped);
    assert!(has_collected(&other).await);
    site.pass(PATIENCE_SECS);
    other.retention.take_over().await.unwrap();
    assert_eq!(state(&other).await, JobState::Stopped, "nobody resumes it");
}

#[tokio::test]
async fn another_process_resumes_within_the_request() {
    let (site, releases) = furnished().await;
    let [one, other] = [site.sound(), site.sound()];
    let only = [0, 2, 3].map(|n| releases[n].release.digest()).into();
    drop(begun(&one, Some(only)).await);
    other.retention.take_over().await.unwrap();
    assert_eq!(state(&other).await, JobState::Running, "it may be alive");
    site.pass(PATIENCE_SECS);
    assert_eq!(state(&other).await, JobState::Interrupted);
    other.retention.take_over().await.unwrap();
    ended(&other).await;
    assert_eq!(deleted(&other).await, ["1.3", "1.2", "1.0"], "1.1 was not asked for");
    assert!(has_collected(&other).await);
}

/// The runner died after the last deletion, and before it started the collection.
#[tokio::test]
async fn whoever_replaces_it_starts_the_collection_that_it_owed() {
    let (site, releases) = furnished().await;
    let [one, other] = [site.sound(), site.sound()];
    let only: HashSet<_> = [releases[3].release.digest()].into();
    drop(begun(&one, Some(only.clone())).await);
    site.pass(PATIENCE_SECS);
    assert!(!has_collected(&other).await);
    let outcome = other.retention.apply(&name(), Some(only), "ci").await.unwrap();
    assert_eq!(outcome.deleted.len(), 0);
    assert!(has_collected(&other).await);
}

#[tokio::test]
async fn a_runner_that_died_before_its_plan_deletes_nothing_later() {
    let (site, _) = furnished().await;
    let registry = site.sound();
    drop(registry.retention.claim(&name(), true).await.unwrap().unwrap());
    site.pass(PATIENCE_SECS);
    registry.retention.take_over().await.unwrap();
    ended(&registry).await;
    assert_eq!(deleted(&registry).await, [""; 0]);
    assert!(!has_collected(&registry).await);
}

#[tokio::test]
async fn a_request_waits_for_another_one_of_the_application_only() {
    let (site, _) = furnished().await;
    let [one, other] = [site.sound(), site.sound()];
    push(&one, &TinyRelease::new("other", "1.0", "ab", "cd")).await.unwrap();
    let task = begun(&one, None).await;
    let outcome = one.retention.apply(&"other".parse().unwrap(), None, "ci").await.unwrap();
    assert_eq!(outcome.deleted.len(), 0);
    let name = name();
    let (outcome, ()) = tokio::join!(other.retention.apply(&name, None, "ci"), task.run());
    assert_eq!(outcome.unwrap().deleted.len(), 0, "the other one deleted all");
    assert_eq!(deleted(&one).await.len(), 4);
}
