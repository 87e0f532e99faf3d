//! The status of collections.

use std::sync::{Mutex, PoisonError};

use seawall_api::problem::Code;

use super::{CollectOptions, CollectPlan, CollectTotals, Collected};
use crate::app::{AppError, Registry};

/// The phase of a collection.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Phase {
    /// No collection is running.
    #[default]
    Idle,
    /// The collection is reading everything reachable from releases.
    Marking,
    /// The collection is moving the reachable chunks of sparse packs.
    Repacking,
    /// The collection is listing dead content in the catalog.
    Condemning,
    /// The collection is waiting for older leases.
    Waiting,
    /// The collection is removing unreachable content.
    Sweeping,
}

/// The progress of the current collection, and the result of the last one.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct CollectStatus {
    /// The current phase.
    pub phase: Phase,
    /// The quantities of the current plan.
    pub planned: CollectTotals,
    /// The end of the last collection, in seconds since 1970-01-01 UTC, and its outcome; `None` if
    /// there was none since the registry started.
    pub last: Option<(u64, Result<Collected, CollectFailure>)>,
}

/// The failure of a collection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CollectFailure {
    /// The problem code.
    pub code: Code,
    /// The error and its causes.
    pub detail: String,
    /// The next step, if there is one.
    pub remedy: Option<String>,
}

impl CollectFailure {
    fn of(error: &AppError) -> Self {
        Self { code: error.code(), detail: in_full(error), remedy: error.remedy() }
    }
}

/// The state of the job that collects until no older leases remain.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Job {
    #[default]
    None,
    Runs,
    /// The job is running and was requested again, because its plan lacks later deletions.
    RunsAgain,
}

/// The state of collections. Held under one lock, so that readers see consistent values.
#[derive(Debug, Default)]
struct State {
    status: CollectStatus,
    job: Job,
    /// The options of the repeated requests.
    wanted: CollectOptions,
    is_stopped: bool,
    /// True if the next outcome is added to the last, because the same job collects again.
    is_continued: bool,
}

/// The shared state of collections in this process.
#[derive(Debug, Default)]
pub(in crate::app) struct Collecting {
    state: Mutex<State>,
}

impl Collecting {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.with(|state| state.status.phase = phase);
    }

    pub(super) fn planned(&self, plan: &CollectPlan) {
        self.with(|state| state.status.planned = plan.totals());
    }

    /// Fails if the collection was asked to stop.
    pub(super) fn check_stop(&self) -> Result<(), AppError> {
        match self.with(|state| state.is_stopped) {
            true => Err(AppError::Stopped { what: "the collection" }),
            false => Ok(()),
        }
    }

    pub(super) fn note(&self, now_secs: u64, outcome: &Result<Collected, AppError>) {
        self.with(|state| state.note(now_secs, outcome));
    }
}

impl State {
    fn begin(&mut self, options: CollectOptions) -> bool {
        if self.status.phase == Phase::Idle {
            self.status.phase = Phase::Marking;
        }
        let is_first = self.job == Job::None;
        self.wanted = if self.job == Job::RunsAgain { self.wanted.with(options) } else { options };
        self.job = if is_first { Job::Runs } else { Job::RunsAgain };
        is_first
    }

    fn end(&mut self) -> Option<CollectOptions> {
        self.is_stopped = false;
        self.is_continued = self.job == Job::RunsAgain;
        if self.is_continued {
            self.job = Job::Runs;
            return Some(self.wanted);
        }
        self.job = Job::None;
        self.status.phase = Phase::Idle;
        None
    }

    fn stop(&mut self) {
        if self.job != Job::None {
            (self.job, self.is_stopped) = (Job::Runs, true);
        }
    }

    fn note(&mut self, now_secs: u64, outcome: &Result<Collected, AppError>) {
        let waits = matches!(outcome, Ok(Collected { waits_for: Some(_), .. }));
        self.status.phase = match self.job {
            _ if waits => Phase::Waiting,
            Job::RunsAgain => Phase::Marking,
            Job::Runs | Job::None => Phase::Idle,
        };
        let mut outcome = outcome.as_ref().map(|done| *done).map_err(CollectFailure::of);
        if let (Ok(done), Some((_, Ok(before)))) = (&mut outcome, &self.status.last)
            && (before.waits_for.is_some() || self.is_continued)
        {
            done.swept += before.swept;
            done.has_looked |= before.has_looked;
        }
        self.is_continued = false;
        self.status.last = Some((now_secs, outcome));
    }
}

/// Formats an error with its causes.
fn in_full(error: &AppError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl Registry {
    /// Returns the progress of the current collection, or the result of the last one.
    #[must_use]
    pub fn collect_status(&self) -> CollectStatus {
        self.collecting.with(|state| state.status.clone())
    }

    /// Starts the job that collects until no older leases remain. Returns false if a job is already
    /// running; that job then collects once more with these options, because its plan lacks
    /// releases deleted in the meantime.
    #[must_use]
    pub fn begin_collecting(&self, options: CollectOptions) -> bool {
        self.collecting.with(|state| state.begin(options))
    }

    /// Ends a round started by [`Self::begin_collecting`]. Returns the options of the next round if
    /// the collection was requested again in the meantime.
    #[must_use]
    pub fn end_collecting(&self) -> Option<CollectOptions> {
        self.collecting.with(State::end)
    }

    /// Resets the state after the thread of the job died.
    pub fn abandon_collecting(&self) {
        self.collecting.with(|state| {
            let status = std::mem::take(&mut state.status);
            *state = State { status, ..State::default() };
            state.status.phase = Phase::Idle;
        });
    }

    /// Asks the running job to stop at its next step. Without a job, nothing happens.
    pub fn stop_collecting(&self) {
        self.collecting.with(State::stop);
    }

    /// Returns whether the running job was asked to stop.
    #[must_use]
    pub fn is_collecting_stopped(&self) -> bool {
        self.collecting.with(|state| state.is_stopped)
    }
}

#[cfg(test)]
mod tests;
