//! Jobs: work of minutes or hours that one process at a time does, with a status that every process
//! can read.
//!
//! A job has a *runner*, whose heartbeat shows that it is alive. After a time without one, another
//! runner may claim the job. A runner learns from each heartbeat if it was told to stop, or if the
//! job was taken from it.

/// The id of a runner, made anew for each claim of a job. A runner that lost its job therefore
/// differs from the next one in the same process.
pub type Runner = [u8; 16];

/// The kinds of jobs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobKind {
    /// A backup of the catalog.
    Backup,
    /// A check (fsck).
    Check,
    /// A collection.
    Collection,
    /// The deliveries of one webhook. The subject is the id of the webhook.
    Deliver,
    /// The runs of one mirror. The subject is the name of the mirror.
    Mirror,
    /// An application of retention policies. The subject is the name of the application.
    Retention,
}

impl JobKind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Backup, Self::Check, Self::Collection, Self::Deliver, Self::Mirror, Self::Retention];

    /// Returns the name in the API and in the catalog.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Check => "check",
            Self::Collection => "collection",
            Self::Deliver => "deliver",
            Self::Mirror => "mirror",
            Self::Retention => "retention",
        }
    }

    /// Returns the job of this kind with a subject.
    #[must_use]
    pub fn of(self, subject: impl Into<String>) -> JobName {
        JobName { kind: self, subject: subject.into() }
    }
}

/// The name of a job. Of each name, one job runs at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobName {
    /// The kind of the job.
    pub kind: JobKind,
    /// The subject of the job, such as a webhook; empty for a kind with a single job.
    pub subject: String,
}

impl From<JobKind> for JobName {
    fn from(kind: JobKind) -> Self {
        kind.of("")
    }
}

/// A job of a runner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JobId {
    /// The kind of the job.
    pub kind: JobKind,
    /// The number of the job among those of its kind, from 1.
    pub run: u64,
    /// The runner of the job.
    pub runner: Runner,
}

/// The end of a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobEnd {
    /// Time of the end, in seconds since 1970-01-01 UTC.
    pub at_secs: u64,
    /// The reason the job failed; `None` if it is complete.
    pub failure: Option<String>,
}

/// A job and its progress.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// The job and its last runner.
    pub id: JobId,
    /// The subject of the job; empty for a kind with a single job.
    pub subject: String,
    /// Time of the last heartbeat, in seconds since 1970-01-01 UTC.
    pub beat_at_secs: u64,
    /// True if the job was told to stop.
    pub is_stopped: bool,
    /// Start of the job, in seconds since 1970-01-01 UTC.
    pub started_at_secs: u64,
    /// The end of the job, if it ended.
    pub end: Option<JobEnd>,
    /// The last item that was done, as text of the job's choice.
    pub cursor: String,
    /// The progress, as text of the job's choice.
    pub progress: String,
    /// The request for the job to go on when it is done, as text of the job's choice; empty if
    /// there is none.
    pub request: String,
}

impl Job {
    /// Returns whether the job is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.failure.is_none())
    }

    /// Returns whether a runner works on the job: its last heartbeat is less than `patience_secs`
    /// ago. With a patience of 0, no runner counts as alive.
    #[must_use]
    pub const fn is_alive(&self, now_secs: u64, patience_secs: u64) -> bool {
        self.end.is_none() && now_secs.saturating_sub(self.beat_at_secs) < patience_secs
    }
}

/// A request to run a job.
#[derive(Clone, Debug)]
pub struct ClaimJob {
    /// The name of the job.
    pub name: JobName,
    /// The requesting runner.
    pub runner: Runner,
    /// Time of the request, in seconds since 1970-01-01 UTC.
    pub now_secs: u64,
    /// The time without a heartbeat after which a runner is taken for dead, in seconds.
    pub patience_secs: u64,
    /// True to start over instead of resuming a job that did not complete.
    pub restart: bool,
}

/// The state of a runner in its job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunnerState {
    /// The runner is to go on.
    Going,
    /// The job was told to stop.
    Stopped,
    /// The job has ended, or belongs to another runner.
    Lost,
}

/// The answer to a runner that is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobEnded {
    /// The job has ended, or belongs to another runner.
    Ended,
    /// The job goes on, because of this request.
    Requested(String),
}
