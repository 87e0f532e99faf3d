//! A worker: a thread that scans leaves and packs batches as the conductor orders.

use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;

use super::pack::Packer;
use super::scan::Scanner;
use super::{Event, Inputs, Order, PushError, Reply};

/// Follows orders up to the last, and reports the end.
pub(super) fn run(inputs: &Inputs, line: &Line) {
    let outcome = follow_orders(inputs, line);
    // Nobody listens after a failure.
    let _ = line.tell(Event::Ended(outcome));
}

fn follow_orders(inputs: &Inputs, line: &Line) -> Result<(), PushError> {
    let (mut scanner, mut packer) = (Scanner::new(inputs, line), Packer::new(inputs, line));
    loop {
        match line.ask(Event::Idle)? {
            Order::Scan { at, is_new } => scanner.scan(at, is_new, &mut packer)?,
            Order::Pack(batch) => drop(packer.pack(batch)?),
            Order::End => return packer.seal(),
        }
    }
}

/// A worker's line to the conductor. After a failure, the line is closed and every call fails.
pub(super) struct Line(pub(super) Sender<Event>);

impl Line {
    /// Reports an event.
    pub(super) fn tell(&self, event: Event) -> Result<(), PushError> {
        self.0.blocking_send(event).map_err(|_| PushError::Defect)
    }

    /// Reports an event and waits for the reply.
    pub(super) fn ask<T>(&self, event: impl FnOnce(Reply<T>) -> Event) -> Result<T, PushError> {
        let (reply, answer) = oneshot::channel();
        self.tell(event(reply))?;
        answer.blocking_recv().map_err(|_| PushError::Defect)
    }
}
