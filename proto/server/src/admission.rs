//! Who may work, who waits, who is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, watch};

use crate::Refusal;

/// A bounded number of requests work, a bounded number waits in order, one more is refused.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    /// One per request that works or waits.
    tickets: Arc<Semaphore>,
    /// One per request that works; the queue is first come, first served.
    turns: Arc<Semaphore>,
    n_waiting: Arc<AtomicU32>,
    n_working: Arc<watch::Sender<usize>>,
}

impl Admission {
    /// For `max_working` requests at once and `max_waiting` behind them.
    pub(crate) fn new(max_working: usize, max_waiting: usize) -> Self {
        Admission {
            tickets: Arc::new(Semaphore::new(max_working + max_waiting)),
            turns: Arc::new(Semaphore::new(max_working)),
            n_waiting: Arc::default(),
            n_working: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Takes a ticket; never waits.
    ///
    /// # Errors
    /// [`Refusal::Overloaded`], [`Refusal::Stopping`].
    pub(crate) fn enter(&self) -> Result<Ticket, Refusal> {
        let permit = self
            .tickets
            .clone()
            .try_acquire_owned()
            .map_err(|error| match error {
                TryAcquireError::NoPermits => Refusal::Overloaded,
                TryAcquireError::Closed => Refusal::Stopping,
            })?;
        let turn = self.turns.clone().try_acquire_owned().ok();
        let position = match &turn {
            Some(_) => 0,
            None => self.n_waiting.fetch_add(1, Ordering::Relaxed) + 1,
        };
        let waiting = turn.is_none().then(|| Waiting(self.n_waiting.clone()));
        Ok(Ticket {
            admission: self.clone(),
            permit,
            turn,
            waiting,
            position,
        })
    }

    /// Lets nobody in any more and sends those away who wait. Who works goes on.
    pub(crate) fn close(&self) {
        self.tickets.close();
        self.turns.close();
    }

    /// Returns when nobody works.
    pub(crate) async fn idle(&self) {
        let mut n_working = self.n_working.subscribe();
        let _ = n_working.wait_for(|n| *n == 0).await; // the sender lives in `self`
    }
}

/// Of one who has been let in: works at once, or waits in the queue.
#[derive(Debug)]
pub struct Ticket {
    admission: Admission,
    permit: OwnedSemaphorePermit,
    turn: Option<OwnedSemaphorePermit>,
    waiting: Option<Waiting>,
    position: u32,
}

impl Ticket {
    /// 0 works at once, 1 is the next.
    pub fn position(&self) -> u32 {
        self.position
    }

    /// Waits for the turn. Dropping the future gives the ticket back.
    ///
    /// # Errors
    /// [`Refusal::Stopping`] if the server stops before.
    pub async fn turn(self) -> Result<Permit, Refusal> {
        let turn = match self.turn {
            Some(turn) => turn,
            None => {
                let turns = self.admission.turns.clone();
                turns.acquire_owned().await.map_err(|_| Refusal::Stopping)?
            }
        };
        drop(self.waiting);
        Ok(Permit::new(&self.admission, self.permit, turn))
    }

    /// Works at once or not at all.
    ///
    /// # Errors
    /// [`Refusal::Overloaded`] if it is not its turn.
    pub(crate) fn at_once(self) -> Result<Permit, Refusal> {
        let turn = self.turn.ok_or(Refusal::Overloaded)?;
        Ok(Permit::new(&self.admission, self.permit, turn))
    }
}

/// Leaves the count of those who wait when dropped.
#[derive(Debug)]
struct Waiting(Arc<AtomicU32>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The right to work; moves with the work, so that it ends when the work does, whatever became of the caller.
#[derive(Debug)]
pub struct Permit {
    n_working: Arc<watch::Sender<usize>>,
    _ticket: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

impl Permit {
    fn new(admission: &Admission, ticket: OwnedSemaphorePermit, turn: OwnedSemaphorePermit) -> Permit {
        admission.n_working.send_modify(|n| *n += 1);
        Permit {
            n_working: admission.n_working.clone(),
            _ticket: ticket,
            _turn: turn,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.n_working.send_modify(|n| *n -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_works_one_waits_one_more_is_refused() {
        let admission = Admission::new(1, 1);
        let first = admission.enter().unwrap();
        assert_eq!(first.position(), 0);
        let first = first.turn().await.unwrap();
        let second = admission.enter().unwrap();
        assert_eq!(second.position(), 1);
        assert!(matches!(admission.enter(), Err(Refusal::Overloaded)));
        let second = tokio::spawn(second.turn());
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        let second = second.await.unwrap().unwrap();
        assert_eq!(admission.enter().unwrap().position(), 1);
        drop(second);
        assert_eq!(admission.enter().unwrap().position(), 0);
    }

    #[tokio::test]
    async fn closing_sends_those_away_who_wait_and_idle_waits_for_those_who_work() {
        let admission = Admission::new(1, 2);
        let working = admission.enter().unwrap().turn().await.unwrap();
        let waiting = tokio::spawn(admission.enter().unwrap().turn());
        tokio::task::yield_now().await;
        admission.close();
        assert!(matches!(waiting.await.unwrap(), Err(Refusal::Stopping)));
        assert!(matches!(admission.enter(), Err(Refusal::Stopping)));
        let idle = tokio::spawn({
            let admission = admission.clone();
            async move { admission.idle().await }
        });
        tokio::task::yield_now().await;
        assert!(!idle.is_finished());
        drop(working);
        idle.await.unwrap();
    }

    #[tokio::test]
    async fn a_ticket_that_is_given_back_counts_no_more() {
        let admission = Admission::new(1, 1);
        let _working = admission.enter().unwrap().turn().await.unwrap();
        drop(admission.enter().unwrap());
        assert_eq!(admission.enter().unwrap().position(), 1);
    }
}
