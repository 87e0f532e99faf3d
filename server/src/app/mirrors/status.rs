//! The status of a mirror, as its newest job tells it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Amount;
use crate::app::jobs::PATIENCE_SECS;
use crate::catalog::jobs::Job;
use crate::catalog::mirrors::{Mirror, MirrorRow};

/// The first pause after a failed run, in seconds. Each further one is twice as long, and none is
/// longer than the interval of the mirror.
const RETRY_SECS_FIRST: u64 = 5;

/// The progress of a mirror's runs. A run begins with the totals of the one before.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Progress {
    /// The number of releases that the run copied.
    pub(super) objects: u64,
    /// The data that the run sent, in stored bytes.
    pub(super) bytes: u64,
    /// The data that the target lacked when the run began, in stored bytes.
    pub(super) total_bytes: u64,
    /// The releases and the data that earlier runs copied.
    pub(super) earlier: Amount,
    /// The number of releases that all runs deleted.
    pub(super) deleted: u64,
    /// The releases and the data that the target lacks.
    pub(super) behind: Amount,
    /// The start of the last complete run, in seconds since 1970-01-01 UTC.
    pub(super) synced_at_secs: Option<u64>,
    /// The end of the last complete run, in seconds since 1970-01-01 UTC.
    pub(super) succeeded_at_secs: Option<u64>,
    /// The number of consecutive failures.
    pub(super) failure_count: u32,
    /// The error of the last run.
    pub(super) error: Option<String>,
    /// The channels and releases that the last run left alone.
    pub(super) left_alone: Vec<String>,
    /// The number of the last request that a run served.
    pub(super) served: u64,
    /// The moves of the target's channels that runs made, or found to agree with the source: the
    /// sequence numbers by `APPLICATION:CHANNEL`.
    pub(super) channels: BTreeMap<String, u64>,
}

impl Progress {
    pub(super) fn of(job: &Job) -> Self {
        serde_json::from_str(&job.progress).unwrap_or_default()
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns the progress of the next run, which serves the requests made so far.
    pub(super) fn next(before: Option<&Job>, request_count: u64) -> Self {
        let before = before.map(Self::of).unwrap_or_default();
        let earlier = before.in_all();
        let (objects, bytes, total_bytes) = (0, 0, 0);
        Self { objects, bytes, total_bytes, earlier, served: request_count, ..before }
    }

    fn in_all(&self) -> Amount {
        Amount {
            releases: self.earlier.releases + self.objects,
            bytes: self.earlier.bytes + self.bytes,
        }
    }
}

/// A mirror with its status.
#[derive(Clone, Debug)]
pub struct MirrorStatus {
    /// The mirror.
    pub mirror: Mirror,
    /// True while a run is in progress.
    pub is_running: bool,
    /// The start of the current or last run, in seconds since 1970-01-01 UTC.
    pub started_at_secs: Option<u64>,
    /// The end of the last complete run, in seconds since 1970-01-01 UTC.
    pub succeeded_at_secs: Option<u64>,
    /// The error of the last run that ended.
    pub error: Option<String>,
    /// The releases and the data that the current or last run copied.
    pub copied: Amount,
    /// The releases and the data that all runs copied.
    pub copied_in_all: Amount,
    /// The number of releases that all runs deleted.
    pub deleted_in_all: u64,
    /// The releases and the data that the target lacks.
    pub behind: Amount,
    /// The time since the start of the last complete run, or since the mirror was added, in
    /// seconds.
    pub behind_secs: u64,
    /// The channels and releases that the last run left alone, each with the reason.
    pub left_alone: Vec<String>,
    /// The number of the last request that a run serves or served.
    pub served: u64,
}

impl MirrorStatus {
    pub(super) fn of(row: MirrorRow, now_secs: u64) -> Self {
        let MirrorRow { mirror, job } = row;
        let progress = job.as_ref().map(Progress::of).unwrap_or_default();
        let is_running = job.as_ref().is_some_and(|job| job.is_alive(now_secs, PATIENCE_SECS));
        let synced_at_secs = progress.synced_at_secs.unwrap_or(mirror.created_at_secs);
        Self {
            is_running,
            started_at_secs: job.as_ref().map(|job| job.started_at_secs),
            succeeded_at_secs: progress.succeeded_at_secs,
            copied: Amount { releases: progress.objects, bytes: progress.bytes },
            copied_in_all: progress.in_all(),
            deleted_in_all: progress.deleted,
            behind: progress.behind,
            behind_secs: now_secs.saturating_sub(synced_at_secs),
            error: progress.error,
            left_alone: progress.left_alone,
            served: progress.served,
            mirror,
        }
    }
}

/// Returns true if a run of a mirror is due, and no process is at it.
pub(super) fn is_due(row: &MirrorRow, now_secs: u64) -> bool {
    let MirrorRow { mirror, job } = row;
    let Some(job) = job else { return true };
    if job.is_alive(now_secs, PATIENCE_SECS) {
        return false;
    }
    let progress = Progress::of(job);
    if mirror.request_count > progress.served {
        return true;
    }
    let at_secs = match &job.end {
        // The process that ran it died.
        None if !job.is_stopped => return true,
        Some(end) if end.failure.is_some() && !job.is_stopped => {
            let doubled = RETRY_SECS_FIRST << progress.failure_count.saturating_sub(1).min(10);
            end.at_secs.saturating_add(doubled.min(mirror.every_secs))
        }
        _ => job.started_at_secs.saturating_add(mirror.every_secs),
    };
    // A clock that was set back does not hold a mirror up for longer than its interval.
    now_secs >= at_secs || job.started_at_secs > now_secs.saturating_add(mirror.every_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::jobs::{JobEnd, JobId, JobKind};
    use crate::catalog::mirrors::Direction;

    fn row(end: Option<(u64, bool)>, progress: &Progress) -> MirrorRow {
        let mirror = Mirror {
            name: "site".parse().unwrap(),
            direction: Direction::To,
            url: "https://site.example".to_owned(),
            token: None,
            applications: vec!["*".parse().unwrap()],
            channels: vec![],
            every_secs: 900,
            bytes_per_sec_max: None,
            deletes: false,
            overrides_channels: false,
            request_count: 2,
            created_at_secs: 0,
            created_by: String::new(),
        };
        let job = Job {
            id: JobId { kind: JobKind::Mirror, run: 1, runner: [0; 16] },
            subject: "site".to_owned(),
            beat_at_secs: 1000,
            is_stopped: false,
            started_at_secs: 1000,
            end: end.map(|(at_secs, fails)| JobEnd {
                at_secs,
                failure: fails.then(|| "no route".to_owned()),
            }),
            cursor: String::new(),
            progress: progress.text(),
            request: String::new(),
        };
        MirrorRow { mirror, job: Some(job) }
    }

    #[test]
    fn a_run_is_due_by_its_interval_a_request_a_failure_or_a_death() {
        let served = |served, failure_count| Progress { served, failure_count, ..<_>::default() };
        let complete = row(Some((1100, false)), &served(2, 0));
        assert!(!is_due(&complete, 1899));
        assert!(is_due(&complete, 1900));
        assert!(is_due(&row(Some((1100, false)), &served(1, 0)), 1101), "it was requested");
        let failed = |count| row(Some((1100, true)), &served(2, count));
        assert!(!is_due(&failed(1), 1104));
        assert!(is_due(&failed(1), 1105));
        assert!(!is_due(&failed(3), 1119));
        assert!(is_due(&failed(u32::MAX), 2000), "no pause is longer than the interval");
        let died = row(None, &served(2, 0));
        assert!(!is_due(&died, 1005));
        assert!(is_due(&died, 1006));
    }

    #[test]
    fn totals_go_on_from_run_to_run() {
        let first = Progress { objects: 2, bytes: 10, error: Some("x".into()), ..<_>::default() };
        let MirrorRow { job, .. } = row(None, &first);
        let next = Progress::next(job.as_ref(), 7);
        assert_eq!((next.objects, next.served), (0, 7));
        assert_eq!(next.in_all(), Amount { releases: 2, bytes: 10 });
        assert_eq!(next.error.as_deref(), Some("x"), "until the run ends");
    }
}
