//! How far a collection is, for those who watch it.

use std::sync::{Mutex, PoisonError};

use seawall_api::problem::Code;

use super::{CollectOptions, CollectPlan, CollectTotals, Collected};
use crate::app::{AppError, Registry};

/// What a collection does now.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Phase {
    /// None runs.
    #[default]
    Idle,
    /// It reads what releases reach.
    Marking,
    /// It moves what is reachable in sparse packs.
    Repacking,
    /// It writes down what goes.
    Condemning,
    /// It waits for older leases.
    Waiting,
    /// It removes what nobody reaches.
    Sweeping,
}

/// How far a collection is, or what the last one did.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct CollectStatus {
    /// What it does now.
    pub phase: Phase,
    /// What it is going to do.
    pub planned: CollectTotals,
    /// When the last one ended, seconds since 1970-01-01 UTC, and how; `None` when there was none
    /// since the registry started.
    pub last: Option<(u64, Result<Collected, CollectFailure>)>,
}

/// Why a collection failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CollectFailure {
    /// The row of the closed table of problems that it belongs to.
    pub code: Code,
    /// What failed, and its causes.
    pub detail: String,
    /// The next step, where there is one.
    pub remedy: Option<String>,
}

impl CollectFailure {
    fn of(error: &AppError) -> Self {
        Self { code: error.code(), detail: in_full(error), remedy: error.remedy() }
    }
}

/// Who goes on collecting until nothing is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Job {
    #[default]
    None,
    Runs,
    /// It runs, and was asked for again: what was deleted since it marked is not in its plan.
    RunsAgain,
}

/// What is known of collections, all under one lock: who asks sees no step half taken.
#[derive(Debug, Default)]
struct State {
    status: CollectStatus,
    job: Job,
    /// How those want it who asked again.
    wanted: CollectOptions,
    is_stopped: bool,
    /// The next outcome is one with the last: the same job collects again.
    is_continued: bool,
}

/// The state of collections in this process.
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

    /// Ends the collection where somebody asked for it.
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

/// An error and its causes.
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
    /// How far the collection is that runs, or what the last one did.
    #[must_use]
    pub fn collect_status(&self) -> CollectStatus {
        self.collecting.with(|state| state.status.clone())
    }

    /// Says that somebody collects until nothing is waited for; false when somebody does already:
    /// then that one collects once more with these options, as what was deleted meanwhile is not
    /// in its plan.
    #[must_use]
    pub fn begin_collecting(&self, options: CollectOptions) -> bool {
        self.collecting.with(|state| state.begin(options))
    }

    /// Ends what [`Self::begin_collecting`] began; how to go on where it was asked for again
    /// meanwhile.
    #[must_use]
    pub fn end_collecting(&self) -> Option<CollectOptions> {
        self.collecting.with(State::end)
    }

    /// Ends it however far it is: the thread of who began it is gone.
    pub fn abandon_collecting(&self) {
        self.collecting.with(|state| {
            let status = std::mem::take(&mut state.status);
            *state = State { status, ..State::default() };
            state.status.phase = Phase::Idle;
        });
    }

    /// Asks the collection that runs to stop at the next step; where none does, nothing changes.
    pub fn stop_collecting(&self) {
        self.collecting.with(State::stop);
    }

    /// Whether somebody asked for that.
    #[must_use]
    pub fn is_collecting_stopped(&self) -> bool {
        self.collecting.with(|state| state.is_stopped)
    }
}

#[cfg(test)]
mod tests;
