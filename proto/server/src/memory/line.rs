//! The line before something that is scarce: whoever asked first gets in first, and whoever is told to stop leaves it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nephrite_types::{CancelToken, Cancelled};

/// What is scarce, behind a lock, and the threads that wait for it, first come first served.
#[derive(Debug, Default)]
pub struct Line<S> {
    state: Mutex<State<S>>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State<S> {
    scarce: S,
    next_ticket: u64,
    /// Tickets of those who wait, first come first.
    waiting: VecDeque<u64>,
}

/// Who waits looks at its token this often.
const CANCEL_POLL: Duration = Duration::from_millis(20);

impl<S> Line<S> {
    /// Waits until this thread is the first in line and `take` gets something.
    ///
    /// # Errors
    /// [`Cancelled`] if it is told to stop before.
    pub fn wait<T>(
        &self,
        cancel: &CancelToken,
        mut take: impl FnMut(&mut S) -> Option<T>,
    ) -> Result<T, Cancelled> {
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back(ticket);
        loop {
            let is_first = state.waiting.front() == Some(&ticket);
            let taken = if is_first { take(&mut state.scarce) } else { None };
            let result = match taken {
                Some(taken) => Some(Ok(taken)),
                None => cancel.check().err().map(Err),
            };
            if let Some(result) = result {
                state.waiting.retain(|waiting| *waiting != ticket);
                drop(state);
                self.changed.notify_all(); // the next in line may get something too
                return result;
            }
            let woken = self.changed.wait_timeout(state, CANCEL_POLL);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Changes what is scarce, past the line, and wakes those who wait.
    pub fn change<T>(&self, change: impl FnOnce(&mut S) -> T) -> T {
        let result = change(&mut self.lock().scarce);
        self.changed.notify_all();
        result
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
