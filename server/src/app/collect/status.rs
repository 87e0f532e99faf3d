//! How far a collection is, for those who watch it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{CollectPlan, CollectTotals, Collected};
use crate::app::AppError;

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
    /// What the last one did; `None` when there was none since the registry started.
    pub last: Option<Result<Collected, String>>,
}

/// The state of collections in this process.
#[derive(Debug, Default)]
pub(in crate::app) struct Collecting {
    /// Held by the one that runs.
    pub(super) claim: tokio::sync::Mutex<()>,
    pub(super) is_stopped: AtomicBool,
    status: Mutex<CollectStatus>,
}

impl Collecting {
    fn change(&self, change: impl FnOnce(&mut CollectStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn status(&self) -> CollectStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
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

    pub(super) fn note(&self, outcome: &Result<Collected, AppError>) {
        self.is_stopped.store(false, Ordering::Relaxed);
        self.change(|status| {
            let waits = matches!(outcome, Ok(Collected { waits_for: Some(_), .. }));
            status.phase = if waits { Phase::Waiting } else { Phase::Idle };
            status.last = Some(outcome.as_ref().map(|done| *done).map_err(ToString::to_string));
        });
    }
}
