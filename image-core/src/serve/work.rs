//! The one hand-over from the async side to threads that may block.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use nephrite_types::{CancelToken, ErrorCode};

use super::admission::{Admission, Permit, Place};
use super::edge::Deadline;
use super::{Refusal, ServeConfig};
use crate::{Core, CoreError};

/// What all services of a server share: the core, and who may use it.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) core: Arc<Core>,
    /// Runs, resizes and loads.
    heavy: Admission,
    /// Headers and folders: short, but they block too.
    light: Admission,
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

impl Work {
    pub(crate) fn new(core: Core, config: &ServeConfig) -> Self {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Work {
            core: Arc::new(core),
            heavy: Admission::new(config.max_concurrent_runs, config.max_waiting_runs),
            light: Admission::new(LIGHT.0, LIGHT.1),
            ready: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            running: Mutex::default(),
            n_started: AtomicU64::new(0),
            n_requests: AtomicU64::new(0),
            began: since_epoch.map_or(0, |since| since.as_nanos()),
        }
    }

    /// Lets requests in.
    pub(crate) fn open(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Lets no request in any more and sends those away who wait.
    pub(crate) fn close(&self) {
        self.heavy.close();
        self.light.close();
    }

    /// Returns when nothing runs.
    pub(crate) async fn idle(&self) {
        self.heavy.idle().await;
        self.light.idle().await;
    }

    /// Stops what runs.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        for token in self.lock().values() {
            token.cancel();
        }
    }

    /// A place for a run, resize or load.
    pub(crate) fn enter(&self) -> Result<Place, Refusal> {
        self.enter_at(&self.heavy)
    }

    fn enter_at(&self, admission: &Admission) -> Result<Place, Refusal> {
        let place = admission.enter()?; // a server that stops says so, ready or not
        if self.ready.load(Ordering::Acquire) {
            Ok(place)
        } else {
            Err(Refusal::Starting)
        }
    }

    /// Unique in the log.
    pub(crate) fn request_id(&self) -> String {
        let n = self.n_requests.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{:x}-{n}", self.began)
    }

    /// Does short work for a unary call.
    pub(crate) async fn light<T: Send + 'static>(
        self: &Arc<Self>,
        job: impl FnOnce(&Core, &CancelToken) -> Result<T, CoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let place = self.enter_at(&self.light)?;
        let cancel = CancelToken::new();
        let _cancel_on_drop = CancelOnDrop(cancel.clone());
        self.run(place.turn().await?, cancel, job).await
    }

    /// Does long work for a unary call: waits for the turn, and stops when the caller goes away or its deadline
    /// passes.
    pub(crate) async fn heavy<T: Send + 'static>(
        self: &Arc<Self>,
        deadline: Option<Deadline>,
        job: impl FnOnce(&Core, &CancelToken) -> Result<T, CoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let place = self.enter()?;
        let cancel = token(deadline);
        let _cancel_on_drop = CancelOnDrop(cancel.clone());
        self.run(place.turn().await?, cancel, job).await
    }

    /// Runs `job` on a thread that may block. The permit and the token live until the job has ended, whatever becomes
    /// of this future.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        permit: Permit,
        cancel: CancelToken,
        job: impl FnOnce(&Core, &CancelToken) -> Result<T, CoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let work = self.clone();
        let running = Running::register(self.clone(), cancel.clone());
        let done = tokio::task::spawn_blocking(move || {
            let _held = (permit, running);
            cancel.check()?;
            job(&work.core, &cancel)
        });
        match done.await {
            Ok(Ok(value)) => Ok(value),
            // By code: a crate below says in its own words that it was cancelled.
            Ok(Err(error))
                if error.code() == ErrorCode::Cancelled && self.stopped.load(Ordering::Acquire) =>
            {
                Err(Refusal::Stopping)
            }
            Ok(Err(error)) => Err(Refusal::Core(error)),
            Err(_) => Err(Refusal::Panicked), // the panic hook has written where
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, CancelToken>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A token with the caller's deadline.
pub(crate) fn token(deadline: Option<Deadline>) -> CancelToken {
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

/// Keeps a token among those that the end of the drain cancels.
#[derive(Debug)]
struct Running {
    work: Arc<Work>,
    number: u64,
}

impl Running {
    fn register(work: Arc<Work>, token: CancelToken) -> Self {
        let number = work.n_started.fetch_add(1, Ordering::Relaxed);
        work.lock().insert(number, token.clone());
        if work.stopped.load(Ordering::Acquire) {
            token.cancel(); // came after the others were cancelled
        }
        Running { work, number }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.work.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Root;

    fn work() -> Arc<Work> {
        let config = ServeConfig::new("/".into());
        let core = config.core(Root::filesystem());
        Arc::new(Work::new(core, &config))
    }

    #[tokio::test]
    async fn a_panicking_request_is_internal_and_the_next_one_is_served() {
        let work = work();
        work.open();
        for _ in 0..20 {
            let panicked = work.heavy(None, |_, _| -> Result<(), CoreError> { panic!("on purpose") });
            assert_eq!(panicked.await.unwrap_err().code(), ErrorCode::Internal);
            assert_eq!(work.heavy(None, |_, _| Ok(7)).await.unwrap(), 7);
        }
    }

    #[tokio::test]
    async fn nothing_is_let_in_before_the_server_is_ready_or_after_it_stops() {
        let work = work();
        let refused = work.heavy(None, |_, _| Ok(())).await.unwrap_err();
        assert!(matches!(refused, Refusal::Starting));
        work.open();
        work.light(|_, _| Ok(())).await.unwrap();
        work.close();
        for refused in [
            work.light(|_, _| Ok(())).await,
            work.heavy(None, |_, _| Ok(())).await,
        ] {
            assert!(matches!(refused, Err(Refusal::Stopping)));
        }
    }

    fn until_cancelled(_: &Core, cancel: &CancelToken) -> Result<(), CoreError> {
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
        while work.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        call.abort();
        work.idle().await;
        assert!(work.lock().is_empty());

        let call = tokio::spawn({
            let work = work.clone();
            async move { work.heavy(None, until_cancelled).await }
        });
        while work.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        work.stop();
        assert!(matches!(call.await.unwrap(), Err(Refusal::Stopping)));
    }
}
