//! Memory for bodies, shared fairly between senders.
//!
//! # Invariants
//!
//! 1. The shares never exceed the budget.
//! 2. The waiting sender that holds least is served next, compared first by token, then by address.
//!    Among equals, the order of arrival decides. Nobody overtakes the next in line.
//! 3. A sender that does not wait gets no more than is left for others ([`Budget::try_share`]).
//!
//! Shares are short-lived: a slow body is kept on the disk instead (`spool`).

use std::collections::{HashMap, VecDeque};
use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::ErrorInternalServerError;
use actix_web::{FromRequest, HttpRequest, web};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::http::frame::{Actor, Edge, Refusal, limits};

/// A sender: a token and an address.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(in crate::http::frame) struct Sender {
    token: Arc<str>,
    address: Option<IpAddr>,
}

impl Sender {
    /// Returns the sender of a request.
    pub(in crate::http::frame) fn of(request: &HttpRequest) -> Self {
        Self {
            token: Actor::of(request).unwrap_or_default().name.into(),
            address: request.peer_addr().map(|peer| peer.ip()),
        }
    }

    #[cfg(test)]
    pub(super) fn named(token: &str) -> Self {
        Self { token: token.into(), address: None }
    }
}

/// A memory budget, in units of `limits::BUDGET_UNIT`.
#[derive(Clone, Debug)]
pub(in crate::http::frame) struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    units: usize,
    /// The maximum time that a body waits for its share.
    wait_max: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    by_token: HashMap<Arc<str>, usize>,
    by_sender: HashMap<Sender, usize>,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    sender: Sender,
    units: usize,
    turn: oneshot::Sender<Share>,
}

/// A share of the budget, released on drop.
#[derive(Debug)]
pub(crate) struct Share {
    shared: Arc<Shared>,
    sender: Sender,
    units: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        let ready = {
            let mut state = self.shared.locked();
            state.give_back(&self.sender, self.units);
            Shared::serve(&self.shared, &mut state)
        };
        // Outside the lock: a share whose waiter is gone is dropped at once.
        for (turn, share) in ready {
            drop(turn.send(share));
        }
    }
}

impl Budget {
    pub(in crate::http::frame) fn new(units: usize, wait_max: Duration) -> Self {
        let state = Mutex::default();
        Self { shared: Arc::new(Shared { units, wait_max, state }) }
    }

    /// Waits for this sender's turn and returns a share of `len` bytes.
    pub(super) async fn share(&self, sender: &Sender, len: usize) -> Result<Share, Refusal> {
        let units = len.div_ceil(limits::BUDGET_UNIT);
        let (turn, share) = oneshot::channel();
        let ready = {
            let mut state = self.shared.locked();
            state.waiting.push_back(Waiter { sender: sender.clone(), units, turn });
            Shared::serve(&self.shared, &mut state)
        };
        for (turn, share) in ready {
            drop(turn.send(share));
        }
        match timeout(self.shared.wait_max, share).await {
            Ok(Ok(share)) => Ok(share),
            Ok(Err(_)) => Err(Refusal::Stopping),
            Err(_) => Err(Refusal::NoMemory { waited: self.shared.wait_max }),
        }
    }

    /// Returns a share at once, or none.
    ///
    /// No token gets more than is left for others. The next sender therefore always finds memory,
    /// no matter how long shares are held.
    pub(in crate::http::frame) fn try_share(&self, sender: &Sender, len: usize) -> Option<Share> {
        let units = len.div_ceil(limits::BUDGET_UNIT);
        let mut state = self.shared.locked();
        let left = self.shared.units.saturating_sub(state.taken);
        if state.held(sender).0 + units > left {
            return None;
        }
        Some(Shared::give(&self.shared, &mut state, sender.clone(), units))
    }

    #[cfg(test)]
    pub(super) fn free_units(&self) -> usize {
        self.shared.units - self.shared.locked().taken
    }
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(shared: &Arc<Self>, state: &mut State, sender: Sender, units: usize) -> Share {
        state.taken += units;
        *state.by_token.entry(Arc::clone(&sender.token)).or_default() += units;
        *state.by_sender.entry(sender.clone()).or_default() += units;
        Share { shared: Arc::clone(shared), sender, units }
    }

    /// Grants the shares that fit now to waiters, in order.
    fn serve(shared: &Arc<Self>, state: &mut State) -> Vec<(oneshot::Sender<Share>, Share)> {
        let mut ready = Vec::new();
        state.waiting.retain(|waiter| !waiter.turn.is_closed());
        loop {
            let waiting = state.waiting.iter().enumerate();
            let next = waiting.min_by_key(|(at, waiter)| (state.held(&waiter.sender), *at));
            let Some(at) = next.map(|(at, _)| at) else { return ready };
            if state.taken + state.waiting[at].units > shared.units {
                return ready;
            }
            let Some(Waiter { sender, units, turn }) = state.waiting.remove(at) else {
                return ready;
            };
            ready.push((turn, Self::give(shared, state, sender, units)));
        }
    }
}

impl State {
    /// Returns the units held by a sender's token and by the sender itself.
    fn held(&self, sender: &Sender) -> (usize, usize) {
        let token = self.by_token.get(&sender.token).copied().unwrap_or(0);
        (token, self.by_sender.get(sender).copied().unwrap_or(0))
    }

    fn give_back(&mut self, sender: &Sender, units: usize) {
        self.taken = self.taken.saturating_sub(units);
        let (token, own) = self.held(sender);
        match token.saturating_sub(units) {
            0 => drop(self.by_token.remove(&sender.token)),
            left => drop(self.by_token.insert(Arc::clone(&sender.token), left)),
        }
        match own.saturating_sub(units) {
            0 => drop(self.by_sender.remove(sender)),
            left => drop(self.by_sender.insert(sender.clone(), left)),
        }
    }
}

/// The memory of an answer, from the budget that all answers share.
#[derive(Clone, Debug)]
pub(crate) struct AnswerMemory {
    budget: Budget,
    sender: Sender,
}

impl AnswerMemory {
    /// Returns a share at once, or none ([`Budget::try_share`]).
    pub(crate) fn try_share(&self, len: usize) -> Option<Share> {
        self.budget.try_share(&self.sender, len)
    }
}

impl FromRequest for AnswerMemory {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let edge = request.app_data::<web::Data<Edge>>();
        let memory =
            edge.map(|edge| Self { budget: edge.answers.clone(), sender: Sender::of(request) });
        ready(memory.ok_or_else(|| ErrorInternalServerError("the registry is not configured")))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const UNIT: usize = limits::BUDGET_UNIT;

    fn budget() -> Budget {
        Budget::new(8, Duration::from_secs(60))
    }

    /// Returns a share that is available at once.
    fn taken(budget: &Budget, sender: &Sender, units: usize) -> Share {
        budget.share(sender, units * UNIT).now_or_never().expect("it need not wait").unwrap()
    }

    #[tokio::test]
    async fn a_sender_that_does_not_wait_leaves_as_much_as_it_has() {
        let (budget, greedy) = (budget(), Sender::named("greedy"));
        let held: Vec<_> = (0..8).map_while(|_| budget.try_share(&greedy, UNIT)).collect();
        assert_eq!(held.len(), 4);
        let others: Vec<_> =
            ["b", "c"].map(|name| budget.try_share(&Sender::named(name), UNIT)).into();
        assert!(others.iter().all(Option::is_some), "others find some");
        drop((held, others));
        assert_eq!(budget.free_units(), 8);
    }

    #[tokio::test]
    async fn the_sender_that_holds_least_is_next_however_many_others_wait() {
        let budget = budget();
        let (greedy, honest) = (Sender::named("greedy"), Sender::named("honest"));
        let held = [taken(&budget, &greedy, 4), taken(&budget, &Sender::named("other"), 4)];
        let mut waiting: Vec<_> =
            (0..50).map(|_| Box::pin(budget.share(&greedy, 2 * UNIT))).collect();
        for wait in &mut waiting {
            assert!(wait.as_mut().now_or_never().is_none());
        }
        let mut honest = Box::pin(budget.share(&honest, 2 * UNIT));
        assert!(honest.as_mut().now_or_never().is_none());
        drop(held);
        assert!(honest.now_or_never().is_some(), "it came last and holds nothing");
    }

    #[tokio::test]
    async fn addresses_of_one_token_take_turns() {
        let budget = budget();
        let from =
            |last: u8| Sender { token: "fleet".into(), address: Some([10, 0, 0, last].into()) };
        let (kept, dropped) = (taken(&budget, &from(1), 6), taken(&budget, &from(2), 2));
        let (one, three) = (from(1), from(3));
        let mut first = Box::pin(budget.share(&one, UNIT));
        let mut third = Box::pin(budget.share(&three, 2 * UNIT));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        drop(dropped);
        assert!(third.now_or_never().is_some(), "the address that holds nothing");
        drop(kept);
        assert!(first.now_or_never().is_some(), "and then the other");
    }

    #[tokio::test]
    async fn a_sender_that_gives_up_waiting_delays_nobody() {
        let budget = budget();
        let held = taken(&budget, &Sender::named("a"), 8);
        let sender = Sender::named("b");
        let mut gone = Box::pin(budget.share(&sender, 8 * UNIT));
        assert!(gone.as_mut().now_or_never().is_none());
        drop(gone);
        drop(held);
        assert_eq!(budget.free_units(), 8);
        assert!(budget.share(&Sender::named("c"), 8 * UNIT).now_or_never().is_some());
    }
}
