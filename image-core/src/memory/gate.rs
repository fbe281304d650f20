//! A gate that lets in as much at once as fits.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nephrite_types::{CancelToken, Cancelled};

/// Lets in as much at once as fits, in the order of asking. What is larger than the whole goes in alone.
#[derive(Debug)]
pub(crate) struct Gate {
    capacity: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    held: u64,
    n_inside: usize,
    next_ticket: u64,
    /// Tickets of those who wait, first come first.
    waiting: VecDeque<u64>,
}

/// A place inside; given back when dropped.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    amount: u64,
}

/// Who waits looks at its token this often.
const CANCEL_POLL: Duration = Duration::from_millis(20);

impl Gate {
    pub(crate) fn new(capacity: u64) -> Self {
        Gate {
            capacity,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Waits until `amount` fits.
    pub(crate) fn enter(&self, amount: u64, cancel: &CancelToken) -> Result<Pass<'_>, Cancelled> {
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back(ticket);
        loop {
            let fits = state.n_inside == 0 || state.held.saturating_add(amount) <= self.capacity;
            if fits && state.waiting.front() == Some(&ticket) {
                state.waiting.pop_front();
                state.held = state.held.saturating_add(amount);
                state.n_inside += 1;
                self.changed.notify_all(); // the next in line may fit too
                return Ok(Pass { gate: self, amount });
            }
            if let Err(cancelled) = cancel.check() {
                state.waiting.retain(|waiting| *waiting != ticket);
                self.changed.notify_all();
                return Err(cancelled);
            }
            let woken = self.changed.wait_timeout(state, CANCEL_POLL);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.held = state.held.saturating_sub(self.amount);
        state.n_inside -= 1;
        drop(state);
        self.gate.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn never_more_inside_than_fits_and_everybody_gets_in() {
        let (gate, inside, done) = (Gate::new(10), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for n in 0..16u64 {
                let (gate, inside, done) = (&gate, &inside, &done);
                scope.spawn(move || {
                    let amount = n % 7;
                    let _pass = gate.enter(amount, &CancelToken::new()).unwrap();
                    assert!(inside.fetch_add(amount, Ordering::SeqCst) + amount <= 10);
                    std::thread::sleep(Duration::from_millis(2));
                    inside.fetch_sub(amount, Ordering::SeqCst);
                    done.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(done.into_inner(), 16);
    }

    #[test]
    fn what_is_too_large_goes_in_alone_and_a_cancelled_one_leaves_the_line() {
        let gate = Gate::new(10);
        let large = gate.enter(100, &CancelToken::new()).unwrap();
        let cancelled = CancelToken::new();
        cancelled.cancel();
        assert!(gate.enter(1, &cancelled).is_err());
        drop(large);
        let _one = gate.enter(1, &CancelToken::new()).unwrap();
        let _nine = gate.enter(9, &CancelToken::new()).unwrap();
        assert!(gate.enter(1, &cancelled).is_err());
    }
}
