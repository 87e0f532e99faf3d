//! Who asks for a collection gets one that has seen what they deleted.

use super::*;
use crate::catalog::collect::OlderLeases;

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
    assert!(state.begin());
    assert_eq!(state.status.phase, Phase::Marking);
    state.note(1, &freed(5));
    assert_eq!(state.status.phase, Phase::Idle);
    assert!(!state.begin(), "one runs");
    assert_eq!(state.status.phase, Phase::Marking, "whoever asked waits for it");
    assert!(!state.end(), "it goes on");
    state.note(2, &freed(7));
    assert_eq!(last(&state), (true, 12));
    assert!(state.end());
    assert_eq!(state.status.phase, Phase::Idle);

    assert!(state.begin(), "the next is another one");
    state.note(3, &Ok(Collected::default()));
    assert_eq!(last(&state), (false, 0));
    assert!(state.end());
}

#[test]
fn nobody_sees_a_job_idle_that_was_asked_for_again() {
    let mut state = State::default();
    assert!(state.begin());
    state.status.phase = Phase::Sweeping;
    assert!(!state.begin());
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
    assert!(state.begin());
    assert!(!state.begin());
    state.stop();
    assert!(state.is_stopped);
    assert!(state.end(), "what was asked for before the stop is stopped, too");
    assert!(!state.is_stopped);

    assert!(state.begin());
    state.stop();
    assert!(!state.begin(), "asked for after the stop");
    assert!(!state.end());
    assert!(!state.is_stopped);
}
