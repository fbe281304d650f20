//! Takes jobs, one after another.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nephrite_job_state::{Job, JobFailure, JobResult, Stop, WorkerCard};
use nephrite_types::{CancelToken, Coded as _, ErrorCode};

use crate::clock::Clock;
use crate::desk::Desk;
use crate::engine::{Beat, Ending, JobEngine, Lease, Orders};
use crate::fault;
use crate::pulse::Pace;

/// Does jobs.
pub trait JobRunner: Send + Sync {
    /// Whether there is room for a job now.
    fn fits(&self, _job: &Job) -> bool {
        true
    }

    /// Does a job. Blocks until it is done, or has stopped because `desk.cancel()` says so.
    ///
    /// # Errors
    /// Why it is not done, and whether another try may help.
    fn run(&self, lease: &Lease, desk: &Desk<'_>) -> Result<JobResult, (JobFailure, bool)>;
}

/// Tells a worker to end.
#[derive(Debug, Clone, Default)]
pub struct Stopping {
    /// Take no more jobs; the one at hand goes on.
    pub soon: CancelToken,
    /// Stop the job at hand too, and give it back.
    pub now: CancelToken,
}

/// Takes jobs of an engine, one after another, and has a runner do them.
pub struct Worker<'a> {
    /// Whose jobs.
    pub engine: &'a dyn JobEngine,
    /// What it has.
    pub card: WorkerCard,
    /// Does them.
    pub runner: &'a dyn JobRunner,
    /// How long work may be silent.
    pub pace: Pace,
    /// Between signs of life; a third of a lease.
    pub beat: Duration,
    /// For deadlines.
    pub clock: Clock,
    /// When to end.
    pub stopping: Stopping,
}

/// How often it is looked whether a job shall stop.
const LOOK: Duration = Duration::from_millis(50);
/// What happens is told as soon as this has passed since it was told last.
const TELL: Duration = Duration::from_millis(500);
/// How long a worker waits for a job before it looks whether it shall end.
const PATIENCE: Duration = Duration::from_millis(500);
/// Pause after an engine did not answer.
const PAUSE: Duration = Duration::from_millis(500);
/// How long it is tried to say how a job ended; then another worker finds its result.
const LAST_WORD: Duration = Duration::from_secs(600);
/// How long signs of life are kept up for work that was told to stop and does not.
const TO_STOP: Duration = Duration::from_secs(60);

impl Worker<'_> {
    /// Takes jobs until it is told to end. An engine that does not answer is asked again.
    pub fn work(&self) {
        let mut advertised: Option<Instant> = None;
        while !self.stopping.soon.is_cancelled() {
            if advertised.is_none_or(|at| at.elapsed() >= self.beat) {
                match self.engine.advertise(&self.card) {
                    Ok(()) => advertised = Some(Instant::now()),
                    Err(error) => {
                        tracing::warn!(%error, worker = self.card.name, "the worker cannot be announced");
                        std::thread::sleep(PAUSE);
                        continue;
                    }
                }
            }
            match self
                .engine
                .lease(&self.card, &|job| self.runner.fits(job), PATIENCE)
            {
                Ok(Some(lease)) => {
                    self.one(&lease);
                    advertised = None;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, worker = self.card.name, "no job can be taken now");
                    std::thread::sleep(PAUSE);
                }
            }
        }
        if let Err(error) = self.engine.withdraw(&self.card) {
            tracing::debug!(%error, worker = self.card.name, "the worker could not be taken off the list");
        }
    }

    /// One job, from its lease to its end.
    pub fn one(&self, lease: &Lease) {
        fault::reach("leased");
        let job = lease.job.id.as_str();
        tracing::info!(
            job,
            attempt = lease.job.attempts,
            worker = self.card.name,
            "job taken"
        );
        let mut cancel = CancelToken::new();
        if let Some(deadline) = lease.job.new.deadline_unix_ms {
            let left = Duration::from_millis(deadline.saturating_sub(self.clock.unix_ms()));
            if let Some(at) = Instant::now().checked_add(left) {
                cancel = cancel.with_deadline(at);
            }
        }
        let desk = Desk::new(self.engine, lease, cancel.clone(), self.pace);
        let watch = Watch::default();
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| self.watch_over(lease, &desk, &watch));
            let ran = catch_unwind(AssertUnwindSafe(|| self.runner.run(lease, &desk)));
            watch.finish();
            ran
        });
        let failure = |code: ErrorCode, message: &str| JobFailure {
            code: code.name().to_owned(),
            message: message.to_owned(),
        };
        let outcome = outcome.unwrap_or_else(|_| {
            Err((
                failure(ErrorCode::Internal, "an internal error; the log says more"),
                false,
            )) // the panic hook has written where
        });
        let why = watch.why.into_inner().unwrap_or_else(PoisonError::into_inner);
        if why == Some(Why::Lost) {
            tracing::warn!(
                job,
                worker = self.card.name,
                "the job was given to another worker"
            );
            return;
        }
        let ending = match outcome {
            Ok(result) => Ok(result),
            Err((failed, again)) => Err(match why {
                Some(Why::Cancelled) => Ending::Stopped(Stop::Cancelled),
                Some(Why::Ending) => Ending::GivenBack,
                Some(Why::Hangs) => Ending::Failed {
                    failure: failure(
                        ErrorCode::Internal,
                        "the work did not go on any more, and was stopped",
                    ),
                    again: true,
                },
                _ if failed.code == ErrorCode::DeadlineExceeded.name()
                    && cancel.deadline().is_some_and(|at| at <= Instant::now()) =>
                {
                    Ending::Stopped(Stop::Expired)
                }
                _ => Ending::Failed {
                    failure: failed,
                    again,
                },
            }),
        };
        self.say(lease, &desk, ending);
    }

    /// Keeps the lease alive as long as the work goes on, and stops the work when it should.
    fn watch_over(&self, lease: &Lease, desk: &Desk<'_>, watch: &Watch) {
        let mut told = Instant::now();
        let mut hangs = false;
        while !watch.is_done_within(LOOK) {
            match self.engine.orders(lease) {
                Orders::Continue => {}
                Orders::Cancel => watch.stop(Why::Cancelled, desk.cancel()),
                Orders::Lost => watch.stop(Why::Lost, desk.cancel()),
            }
            if self.stopping.now.is_cancelled() {
                watch.stop(Why::Ending, desk.cancel());
            }
            if !desk.is_alive() || watch.is_overdue() {
                if !std::mem::replace(&mut hangs, true) {
                    let job = lease.job.id.as_str();
                    tracing::error!(
                        job,
                        worker = self.card.name,
                        "the work hangs: its lease is left to run out"
                    );
                    watch.stop(Why::Hangs, desk.cancel());
                }
                continue;
            }
            hangs = false;
            let silent = told.elapsed();
            if silent >= self.beat || (silent >= TELL && desk.has_notes()) {
                told = Instant::now();
                match self.engine.heartbeat(lease, desk.beat()) {
                    Ok(()) => {}
                    Err(error) if error.is_lease_over() => watch.stop(Why::Lost, desk.cancel()),
                    Err(error) => {
                        let job = lease.job.id.as_str();
                        tracing::warn!(job, %error, "a sign of life did not arrive");
                    }
                }
            }
        }
    }

    /// Says how the job ended, as long as that may help.
    fn say(&self, lease: &Lease, desk: &Desk<'_>, ending: Result<JobResult, Ending>) {
        let job = lease.job.id.as_str();
        let began = Instant::now();
        if desk.has_notes()
            && let Err(error) = self.engine.heartbeat(lease, desk.beat())
        {
            tracing::debug!(job, %error, "the last events did not arrive");
        }
        fault::reach("before_ack");
        loop {
            let said = match &ending {
                Ok(result) => self.engine.complete(lease, result.clone()),
                Err(ending) => self.engine.fail(lease, ending.clone()),
            };
            match said {
                Ok(ended) => {
                    let (state, attempt) = (ended.state.name(), ended.attempts);
                    let seconds = ended
                        .ended_unix_ms
                        .zip(ended.started_unix_ms)
                        .map(|(end, start)| end.saturating_sub(start) as f64 / 1000.0);
                    tracing::info!(job, state, attempt, seconds, worker = self.card.name, "job left");
                    return;
                }
                Err(error) if error.may_pass() && began.elapsed() < LAST_WORD => {
                    tracing::warn!(job, %error, "how the job ended cannot be said now");
                    std::thread::sleep(PAUSE);
                    let _ = self.engine.heartbeat(lease, Beat::default()); // the next try says what is wrong
                }
                Err(error) => {
                    let code = error.code().name();
                    tracing::warn!(job, code, %error, "how the job ended does not count");
                    return;
                }
            }
        }
    }
}

/// Why work was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Cancelled,
    Lost,
    Ending,
    Hangs,
}

#[derive(Default)]
struct Watch {
    done: Mutex<bool>,
    finished: Condvar,
    why: Mutex<Option<Why>>,
    since: Mutex<Option<Instant>>,
}

impl Watch {
    /// The work has ended, well or not.
    fn finish(&self) {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.finished.notify_all();
    }

    fn is_done_within(&self, patience: Duration) -> bool {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.finished.wait_timeout_while(done, patience, |done| !*done);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// A lost lease counts more than what was said before.
    fn stop(&self, why: Why, cancel: &CancelToken) {
        let mut first = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() || why == Why::Lost {
            *first = Some(why);
        }
        drop(first);
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.get_or_insert_with(Instant::now);
        drop(since);
        cancel.cancel();
    }

    fn is_overdue(&self) -> bool {
        let since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() > TO_STOP)
    }
}
