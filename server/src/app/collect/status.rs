//! How far a collection is, for those who watch it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{CollectPlan, CollectTotals, Collected};
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
    pub last: Option<(u64, Result<Collected, String>)>,
}

/// The state of collections in this process.
#[derive(Debug, Default)]
pub(in crate::app) struct Collecting {
    /// Set as long as somebody goes on collecting until nothing is waited for.
    is_begun: AtomicBool,
    is_stopped: AtomicBool,
    status: Mutex<CollectStatus>,
}

impl Collecting {
    fn change(&self, change: impl FnOnce(&mut CollectStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.change(|status| status.phase = phase);
    }

    pub(super) fn planned(&self, plan: &CollectPlan) {
        self.change(|status| status.planned = plan.totals());
    }

    /// Ends the collection where somebody asked for it.
    pub(super) fn check_stop(&self) -> Result<(), AppError> {
        match self.is_stopped.load(Ordering::Relaxed) {
            true => Err(AppError::Stopped { what: "the collection" }),
            false => Ok(()),
        }
    }

    pub(super) fn note(&self, now_secs: u64, outcome: &Result<Collected, AppError>) {
        self.change(|status| {
            let waits = matches!(outcome, Ok(Collected { waits_for: Some(_), .. }));
            status.phase = if waits { Phase::Waiting } else { Phase::Idle };
            let mut outcome = outcome.as_ref().map(|done| *done).map_err(in_full);
            // One that waited goes on.
            if let (Ok(done), Some((_, Ok(before)))) = (&mut outcome, &status.last)
                && before.waits_for.is_some()
            {
                done.swept += before.swept;
            }
            status.last = Some((now_secs, outcome));
        });
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
        self.collecting.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says that somebody collects until nothing is waited for; false when somebody does already.
    #[must_use]
    pub fn begin_collecting(&self) -> bool {
        let begun = !self.collecting.is_begun.swap(true, Ordering::AcqRel);
        if begun {
            self.collecting.is_stopped.store(false, Ordering::Relaxed);
            self.collecting.enter(Phase::Marking);
        }
        begun
    }

    /// Ends what [`Self::begin_collecting`] began.
    pub fn end_collecting(&self) {
        self.collecting.enter(Phase::Idle);
        self.collecting.is_begun.store(false, Ordering::Release);
    }

    /// Asks the collection that runs to stop at the next step.
    pub fn stop_collecting(&self) {
        self.collecting.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked for that.
    #[must_use]
    pub fn is_collecting_stopped(&self) -> bool {
        self.collecting.is_stopped.load(Ordering::Relaxed)
    }
}
