//! How the state of a job changes.

use crate::job::{Job, JobFailure, JobResult, Progress};
use crate::state::JobState;

/// Something that happens to a job.
#[derive(Debug, Clone, PartialEq)]
pub enum JobEvent {
    /// A worker takes it.
    Lease {
        /// Its name.
        worker: String,
        /// Its process.
        process: String,
    },
    /// Its worker lives and goes on.
    Beat {
        /// Of the worker's lease.
        fence: u64,
        /// How far it is, if it is further.
        progress: Option<Progress>,
        /// Events that it tells of, which take numbers.
        events: u64,
    },
    /// Its worker asks whether its result may be given its name.
    Seal {
        /// Of the worker's lease.
        fence: u64,
    },
    /// Its result folder is there.
    Complete {
        /// Of the worker's lease.
        fence: u64,
        /// What came of it.
        result: JobResult,
    },
    /// It failed.
    Fail {
        /// Of the worker's lease.
        fence: u64,
        /// Why.
        failure: JobFailure,
        /// Whether another try may help.
        again: bool,
    },
    /// Its worker stopped it.
    Stopped {
        /// Of the worker's lease.
        fence: u64,
        /// Why.
        why: Stop,
    },
    /// Its worker stops working and gives it back undone: that is no try.
    GiveBack {
        /// Of the worker's lease.
        fence: u64,
    },
    /// Its worker was not heard of for too long, or is known to be dead.
    LeaseLost {
        /// In words.
        reason: String,
    },
    /// Somebody wants it to stop.
    Cancel,
    /// Its deadline is over.
    DeadlinePassed,
    /// Somebody wants it to be done after all.
    Retry,
}

/// Why a worker stopped a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Somebody cancelled it.
    Cancelled,
    /// Its deadline passed.
    Expired,
}

/// What cannot happen to a job in its state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Whoever says so does not hold the lease any more.
    #[error("the lease {fence} is over: the job is {state}, its last lease is {current}")]
    LeaseOver {
        /// As named.
        fence: u64,
        /// The one that counts.
        current: u64,
        /// What became of the job.
        state: JobState,
    },
    /// The job is in a state in which this does not happen.
    #[error("the job is {state}: it cannot be {what}")]
    State {
        /// Its state.
        state: JobState,
        /// What was wanted, as in "cannot be cancelled".
        what: &'static str,
    },
    /// It says that it was cancelled, and nobody had cancelled it.
    #[error("nobody has cancelled the job")]
    NotCancelled,
}

impl Job {
    /// What becomes of the job.
    ///
    /// # Errors
    /// [`Refused`]; the job is as it was.
    pub fn apply(&mut self, event: JobEvent, now_unix_ms: u64) -> Result<(), Refused> {
        match event {
            JobEvent::Lease { worker, process } => self.lease(worker, process, now_unix_ms),
            JobEvent::Beat {
                fence,
                progress,
                events,
            } => {
                self.check_fence(fence)?;
                self.last_sequence += events;
                if progress.is_some() {
                    self.progress = progress;
                }
                Ok(())
            }
            JobEvent::Seal { fence } => self.check_fence(fence),
            JobEvent::Complete { fence, result } => {
                self.check_fence(fence)?;
                self.result = Some(result);
                self.failure = None;
                self.end(JobState::Succeeded, now_unix_ms);
                Ok(())
            }
            JobEvent::Fail {
                fence,
                failure,
                again,
            } => {
                self.check_fence(fence)?;
                self.failure = Some(failure);
                match again {
                    true => self.again(now_unix_ms),
                    false => self.end(JobState::Failed, now_unix_ms),
                }
                Ok(())
            }
            JobEvent::Stopped { fence, why } => {
                self.check_fence(fence)?;
                match why {
                    Stop::Cancelled if !self.cancel_requested => return Err(Refused::NotCancelled),
                    Stop::Cancelled => self.end(JobState::Cancelled, now_unix_ms),
                    Stop::Expired => self.end(JobState::Expired, now_unix_ms),
                }
                Ok(())
            }
            JobEvent::GiveBack { fence } => {
                self.check_fence(fence)?;
                self.attempts -= 1; // that of this lease
                self.again(now_unix_ms);
                Ok(())
            }
            JobEvent::LeaseLost { reason } => {
                if self.state != JobState::Running {
                    return Err(self.cannot("taken from its worker"));
                }
                self.failure = Some(JobFailure {
                    code: nephrite_types::ErrorCode::Unavailable.name().to_owned(),
                    message: reason,
                });
                self.again(now_unix_ms);
                Ok(())
            }
            JobEvent::Cancel => self.cancel(now_unix_ms),
            JobEvent::DeadlinePassed => {
                if self.state != JobState::Queued {
                    return Err(self.cannot("given up")); // one that runs is stopped by its worker
                }
                self.end(JobState::Expired, now_unix_ms);
                Ok(())
            }
            JobEvent::Retry => self.retry(now_unix_ms),
        }
    }

    /// Whether it may be forgotten.
    ///
    /// # Errors
    /// [`Refused::State`] of a job that has not ended.
    pub fn check_purge(&self) -> Result<(), Refused> {
        if self.state.has_ended() {
            Ok(())
        } else {
            Err(self.cannot("purged"))
        }
    }

    fn lease(&mut self, worker: String, process: String, now_unix_ms: u64) -> Result<(), Refused> {
        if self.state != JobState::Queued {
            return Err(self.cannot("leased"));
        }
        self.state = JobState::Running;
        self.fence += 1;
        self.attempts += 1;
        self.executions += 1;
        self.worker = Some(worker);
        self.process = Some(process);
        self.started_unix_ms.get_or_insert(now_unix_ms);
        self.progress = None;
        self.failure = None;
        self.note(now_unix_ms);
        Ok(())
    }

    fn cancel(&mut self, now_unix_ms: u64) -> Result<(), Refused> {
        match self.state {
            JobState::Queued => {
                self.cancel_requested = true;
                self.end(JobState::Cancelled, now_unix_ms);
            }
            JobState::Running => self.cancel_requested = true,
            JobState::Cancelled => {}
            _ => return Err(self.cannot("cancelled")),
        }
        Ok(())
    }

    fn retry(&mut self, now_unix_ms: u64) -> Result<(), Refused> {
        if !self.state.has_ended() || self.state == JobState::Succeeded {
            return Err(self.cannot("tried again"));
        }
        self.state = JobState::Queued;
        self.attempts = 0;
        self.cancel_requested = false;
        self.ended_unix_ms = None;
        self.progress = None;
        self.failure = None;
        self.new.deadline_unix_ms = self
            .new
            .deadline_unix_ms
            .filter(|deadline| *deadline > now_unix_ms);
        self.note(now_unix_ms);
        Ok(())
    }

    /// Back into the queue, unless somebody wants it to stop or it was tried often enough.
    fn again(&mut self, now_unix_ms: u64) {
        if self.cancel_requested {
            self.end(JobState::Cancelled, now_unix_ms);
        } else if self.attempts >= self.new.max_attempts.max(1) {
            self.end(JobState::Dead, now_unix_ms);
        } else {
            self.state = JobState::Queued;
            self.progress = None;
            self.note(now_unix_ms);
        }
    }

    fn end(&mut self, state: JobState, now_unix_ms: u64) {
        self.state = state;
        self.ended_unix_ms = Some(now_unix_ms);
        self.progress = None;
        self.note(now_unix_ms);
    }

    fn check_fence(&self, fence: u64) -> Result<(), Refused> {
        if self.state == JobState::Running && self.fence == fence {
            return Ok(());
        }
        Err(Refused::LeaseOver {
            fence,
            current: self.fence,
            state: self.state,
        })
    }

    fn cannot(&self, what: &'static str) -> Refused {
        Refused::State {
            state: self.state,
            what,
        }
    }
}

#[cfg(test)]
#[path = "transition_tests.rs"]
mod tests;
