//! Every requested collection covers the deletions before the request.

use super::*;
use crate::catalog::collect::OlderLeases;

const DEFAULT: CollectOptions =
    CollectOptions { live_percent_min: 60, rate_max: None, is_forced: false };

fn freed(bytes: u64) -> Result<Collected, AppError> {
    let swept = CollectTotals { pack_count: 1, pack_bytes: bytes, ..CollectTotals::default() };
    Ok(Collected { has_looked: true, swept, waits_for: None })
}

fn last(state: &State) -> (bool, u64) {
    let (_, outcome) = state.status.last.clone().unwrap();
    let done = outcome.unwrap();
    (done.has_looked, done.swept.freed_bytes())
}

#[test]
fn what_is_asked_for_while_a_job_runs_is_collected_by_that_job_and_counted_with_it() {
    let mut state = State::default();
    assert!(state.begin(DEFAULT));
    assert_eq!(state.status.phase, Phase::Marking);
    state.note(1, &freed(5));
    assert_eq!(state.status.phase, Phase::Idle);
    assert!(!state.begin(DEFAULT), "one runs");
    assert_eq!(state.status.phase, Phase::Marking, "whoever asked waits for it");
    assert_eq!(state.end(), Some(DEFAULT), "it goes on");
    state.note(2, &freed(7));
    assert_eq!(last(&state), (true, 12));
    assert_eq!(state.end(), None);
    assert_eq!(state.status.phase, Phase::Idle);

    assert!(state.begin(DEFAULT), "the next is another one");
    state.note(3, &Ok(Collected::default()));
    assert_eq!(last(&state), (false, 0));
    assert_eq!(state.end(), None);
}

#[test]
fn nobody_sees_a_job_idle_that_was_asked_for_again() {
    let mut state = State::default();
    assert!(state.begin(DEFAULT));
    state.status.phase = Phase::Sweeping;
    assert!(!state.begin(DEFAULT));
    assert_eq!(state.status.phase, Phase::Sweeping, "it says what it does");
    state.note(1, &freed(1));
    assert_eq!(state.status.phase, Phase::Marking);
    let waits_for = Some(OlderLeases { count: 1, deadline_secs: 9 });
    state.note(2, &Ok(Collected { waits_for, ..Collected::default() }));
    assert_eq!(state.status.phase, Phase::Waiting);
}

#[test]
fn a_stop_ends_the_job_that_runs_and_no_other() {
    let mut state = State::default();
    state.stop();
    assert!(!state.is_stopped, "none runs: a plan made now is made");
    assert!(state.begin(DEFAULT));
    assert!(!state.begin(DEFAULT));
    state.stop();
    assert!(state.is_stopped);
    assert_eq!(state.end(), None, "what was asked for before the stop is stopped, too");
    assert!(!state.is_stopped);

    assert!(state.begin(DEFAULT));
    state.stop();
    assert!(!state.begin(DEFAULT), "asked for after the stop");
    assert_eq!(state.end(), Some(DEFAULT));
    assert!(!state.is_stopped);
}
