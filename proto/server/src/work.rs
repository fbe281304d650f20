//! The one hand-over from the async side to threads that may block.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nephrite_types::{CancelToken, Coded, ErrorCode};

use crate::admission::{Admission, Permit, Ticket};
use crate::edge::Deadline;
use crate::refusal::Refusal;

/// What all services of a server share, and who may use it.
#[derive(Debug)]
pub struct Work<T> {
    shared: T,
    /// Long work.
    heavy: Admission,
    /// Short work, but it blocks too.
    light: Admission,
    /// What a drain waits for besides.
    attended: Admission,
    ready: AtomicBool,
    /// The drain timeout is over: what stops now was stopped by the server.
    stopped: AtomicBool,
    running: Mutex<HashMap<u64, CancelToken>>,
    n_started: AtomicU64,
    n_requests: AtomicU64,
    /// Nanoseconds at which the server began: tells its requests from those of others whose logs are gathered.
    began: u128,
}

/// Short requests that work at once, and that wait.
const LIGHT: (usize, usize) = (4, 64);
/// Jobs that run and callers that wait for them.
const MAX_ATTENDED: usize = 256; // each may have a thread; together with all others fewer than tokio has

impl<T: Send + Sync + 'static> Work<T> {
    /// `max_working` long requests work at once, `max_waiting` wait in order; one more is refused. Nobody is let in
    /// before [`Work::open`].
    pub fn new(shared: T, max_working: usize, max_waiting: usize) -> Self {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Work {
            shared,
            heavy: Admission::new(max_working, max_waiting),
            light: Admission::new(LIGHT.0, LIGHT.1),
            attended: Admission::new(MAX_ATTENDED, 0),
            ready: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            running: Mutex::default(),
            n_started: AtomicU64::new(0),
            n_requests: AtomicU64::new(0),
            began: since_epoch.map_or(0, |since| since.as_nanos()),
        }
    }

    /// What the services share.
    pub fn shared(&self) -> &T {
        &self.shared
    }

    /// Lets requests in.
    pub fn open(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// True once requests are let in.
    pub fn is_open(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Lets no request in any more and sends those away who wait.
    pub fn close(&self) {
        self.heavy.close();
        self.light.close();
        self.attended.close();
    }

    /// Returns when nothing runs.
    pub async fn idle(&self) {
        self.heavy.idle().await;
        self.light.idle().await;
        self.attended.idle().await;
    }

    /// Stops what runs.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        for token in lock(&self.running).values() {
            token.cancel();
        }
    }

    /// A ticket for long work.
    ///
    /// # Errors
    /// [`Refusal::Overloaded`], [`Refusal::Starting`], [`Refusal::Stopping`].
    pub fn enter(&self) -> Result<Ticket, Refusal> {
        self.enter_at(&self.heavy)
    }

    fn enter_at(&self, admission: &Admission) -> Result<Ticket, Refusal> {
        let ticket = admission.enter()?; // a server that stops says so, ready or not
        if self.ready.load(Ordering::Acquire) {
            Ok(ticket)
        } else {
            Err(Refusal::Starting)
        }
    }

    /// For what is not a request of its own, or waits for something that is not: a drain waits until it is dropped, and cancels
    /// the token if that takes too long.
    ///
    /// # Errors
    /// [`Refusal::Overloaded`], [`Refusal::Starting`], [`Refusal::Stopping`].
    pub fn attend(self: &Arc<Self>, cancel: CancelToken) -> Result<Attended<T>, Refusal> {
        let permit = self.enter_at(&self.attended)?.at_once()?;
        Ok(Attended {
            _running: Running::register(self.clone(), cancel),
            _permit: permit,
        })
    }

    /// True if the server's time to stop is over.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Unique in the log.
    pub fn request_id(&self) -> String {
        let n = self.n_requests.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{:x}-{n}", self.began)
    }

    /// Does short work for a unary call.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn light<V: Send + 'static, E: Coded>(
        self: &Arc<Self>,
        job: impl FnOnce(&T, &CancelToken) -> Result<V, E> + Send + 'static,
    ) -> Result<V, Refusal> {
        self.light_until(None, job).await
    }

    /// The same, until the caller's deadline.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn light_until<V: Send + 'static, E: Coded>(
        self: &Arc<Self>,
        deadline: Option<Deadline>,
        job: impl FnOnce(&T, &CancelToken) -> Result<V, E> + Send + 'static,
    ) -> Result<V, Refusal> {
        let ticket = self.enter_at(&self.light)?;
        self.unary(ticket, deadline, job).await
    }

    /// Does long work for a unary call: waits for the turn, and stops when the caller goes away or its deadline
    /// passes.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn heavy<V: Send + 'static, E: Coded>(
        self: &Arc<Self>,
        deadline: Option<Deadline>,
        job: impl FnOnce(&T, &CancelToken) -> Result<V, E> + Send + 'static,
    ) -> Result<V, Refusal> {
        let ticket = self.enter()?;
        self.unary(ticket, deadline, job).await
    }

    async fn unary<V: Send + 'static, E: Coded>(
        self: &Arc<Self>,
        ticket: Ticket,
        deadline: Option<Deadline>,
        job: impl FnOnce(&T, &CancelToken) -> Result<V, E> + Send + 'static,
    ) -> Result<V, Refusal> {
        let cancel = token(deadline);
        let _cancel_on_drop = CancelOnDrop(cancel.clone());
        self.run(ticket.turn().await?, cancel, job).await
    }

    /// Runs `job` on a thread that may block. The permit and the token live until the job has ended, whatever becomes
    /// of this future.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn run<V: Send + 'static, E: Coded>(
        self: &Arc<Self>,
        permit: Permit,
        cancel: CancelToken,
        job: impl FnOnce(&T, &CancelToken) -> Result<V, E> + Send + 'static,
    ) -> Result<V, Refusal> {
        let work = self.clone();
        let running = Running::register(self.clone(), cancel.clone());
        let done = tokio::task::spawn_blocking(move || {
            // Dropped in this order: whoever waits until the permits are back finds no token any more.
            let _held = (running, permit);
            cancel.check()?;
            job(&work.shared, &cancel).map_err(Refusal::from)
        });
        match done.await {
            Ok(Ok(value)) => Ok(value),
            // By code: a crate below says in its own words that it was cancelled.
            Ok(Err(refusal))
                if refusal.code() == ErrorCode::Cancelled && self.stopped.load(Ordering::Acquire) =>
            {
                Err(Refusal::Stopping)
            }
            Ok(Err(refusal)) => Err(refusal),
            Err(_) => Err(Refusal::Panicked), // the panic hook has written where
        }
    }
}

fn lock(running: &Mutex<HashMap<u64, CancelToken>>) -> MutexGuard<'_, HashMap<u64, CancelToken>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A token with the caller's deadline.
pub fn token(deadline: Option<Deadline>) -> CancelToken {
    match deadline {
        Some(Deadline(deadline)) => CancelToken::new().with_deadline(Instant::from(deadline)),
        None => CancelToken::new(),
    }
}

/// Stops the work when the caller's call is dropped.
#[derive(Debug)]
struct CancelOnDrop(CancelToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Something that a drain waits for.
#[derive(Debug)]
pub struct Attended<T> {
    // Dropped in this order: whoever waits until the permits are back finds no token any more.
    _running: Running<T>,
    _permit: Permit,
}

/// Keeps a token among those that the end of the drain cancels.
#[derive(Debug)]
struct Running<T> {
    work: Arc<Work<T>>,
    number: u64,
}

impl<T> Running<T> {
    fn register(work: Arc<Work<T>>, token: CancelToken) -> Self {
        let number = work.n_started.fetch_add(1, Ordering::Relaxed);
        lock(&work.running).insert(number, token.clone());
        if work.stopped.load(Ordering::Acquire) {
            token.cancel(); // came after the others were cancelled
        }
        Running { work, number }
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        lock(&self.work.running).remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nephrite_types::Cancelled;

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Stopped(#[from] Cancelled);

    impl Coded for Stopped {
        fn code(&self) -> ErrorCode {
            ErrorCode::Cancelled
        }
    }

    fn work() -> Arc<Work<()>> {
        Arc::new(Work::new((), 1, 8))
    }

    #[tokio::test]
    async fn a_panicking_request_is_internal_and_the_next_one_is_served() {
        let work = work();
        work.open();
        for _ in 0..20 {
            let panicked = work.heavy(None, |_, _| -> Result<(), Stopped> { panic!("on purpose") });
            assert_eq!(panicked.await.unwrap_err().code(), ErrorCode::Internal);
            assert_eq!(work.heavy(None, |_, _| Ok::<_, Stopped>(7)).await.unwrap(), 7);
        }
    }

    #[tokio::test]
    async fn nothing_is_let_in_before_the_server_is_ready_or_after_it_stops() {
        let work = work();
        let refused = work.heavy(None, |_, _| Ok::<_, Stopped>(())).await.unwrap_err();
        assert!(matches!(refused, Refusal::Starting));
        work.open();
        work.light(|_, _| Ok::<_, Stopped>(())).await.unwrap();
        work.close();
        for refused in [
            work.light(|_, _| Ok::<_, Stopped>(())).await,
            work.heavy(None, |_, _| Ok::<_, Stopped>(())).await,
        ] {
            assert!(matches!(refused, Err(Refusal::Stopping)));
        }
    }

    fn until_cancelled(_: &(), cancel: &CancelToken) -> Result<(), Stopped> {
        loop {
            cancel.check()?;
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn work_ends_when_its_caller_goes_or_the_server_stops() {
        let work = work();
        work.open();
        let call = tokio::spawn({
            let work = work.clone();
            async move { work.heavy(None, until_cancelled).await }
        });
        while lock(&work.running).is_empty() {
            tokio::task::yield_now().await;
        }
        call.abort();
        work.idle().await;
        assert!(lock(&work.running).is_empty());

        let call = tokio::spawn({
            let work = work.clone();
            async move { work.heavy(None, until_cancelled).await }
        });
        while lock(&work.running).is_empty() {
            tokio::task::yield_now().await;
        }
        work.stop();
        assert!(matches!(call.await.unwrap(), Err(Refusal::Stopping)));
    }
}
