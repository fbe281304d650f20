//! How workers get jobs, keep them, and say how they ended.

use std::time::Duration;

use nephrite_jobs::{
    Beat, Ending, Job, JobError, JobEvent, JobResult, JobState, Lease, Refused, Stop, WorkerCard,
};

use crate::core::Core;
use crate::delivery::Delivery;
use crate::names::Lane;

/// Messages that are looked at before a worker waits again.
const LOOKS: u32 = 8;
/// Tries to take a job that others change.
const TRIES: u32 = 8;
/// A message that another worker should have comes back after this.
const FOR_OTHERS: Duration = Duration::from_millis(100);
/// A message whose record cannot be read comes back after this.
const UNREADABLE: Duration = Duration::from_secs(60);
/// Longest message of a failure: the record of a job has many of them.
const MAX_MESSAGE: usize = 4096;
/// Shortest pause before a message comes back.
const MIN_PAUSE: Duration = Duration::from_millis(50);

impl Core {
    /// Looks for a job in a lane. Messages for nobody are dealt with on the way.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub(crate) async fn take(
        &self,
        lane: &Lane,
        worker: &WorkerCard,
        fits: &dyn Fn(&Job) -> bool,
    ) -> Result<Option<Lease>, JobError> {
        for _ in 0..LOOKS {
            let Some(delivery) = self.queue.fetch(lane).await? else {
                return Ok(None);
            };
            if let Some(lease) = self.accept(delivery, worker, fits).await? {
                return Ok(Some(lease));
            }
        }
        Ok(None)
    }

    /// Takes the job of a message, if it is one to be taken.
    async fn accept(
        &self,
        delivery: Delivery,
        worker: &WorkerCard,
        fits: &dyn Fn(&Job) -> bool,
    ) -> Result<Option<Lease>, JobError> {
        let Some(id) = delivery.id.clone() else {
            tracing::warn!("a message in the queue is of no job");
            delivery.done(&self.link).await;
            return Ok(None);
        };
        for _ in 0..TRIES {
            let (mut job, revision) = match self.read(&id).await {
                Ok(read) => read,
                Err(JobError::Unknown { .. }) => {
                    delivery.done(&self.link).await;
                    return Ok(None);
                }
                Err(error @ JobError::Corrupt { .. }) => {
                    tracing::error!(%error, "a job cannot be run");
                    delivery.give_back(&self.link, UNREADABLE).await;
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            self.picture().put(job.clone(), revision);
            if job.state == JobState::Running {
                let silent = self.picture().silent(&id);
                if let Some(silent) = silent.filter(|_| !self.picture().is_overdue(&id)) {
                    // Its worker lives, and its last sign of life has not come to the queue.
                    let after = self.settings.lease.saturating_sub(silent).max(MIN_PAUSE);
                    delivery.give_back(&self.link, after).await;
                    return Ok(None);
                }
                self.lose_lease(&mut job)?;
            } else if job.state == JobState::Queued && self.picture().is_expired(&id) {
                self.apply(&mut job, &JobEvent::DeadlinePassed)?;
            }
            if job.state.has_ended() {
                if self.write_if_changed(&job, revision).await? {
                    self.bury(&job, &delivery).await?;
                    return Ok(None);
                }
                continue;
            }
            if !self.picture().may_take(&job, worker, fits) {
                if self.write_if_changed(&job, revision).await? {
                    self.picture().leave_alone(&id, FOR_OTHERS);
                    delivery.give_back(&self.link, FOR_OTHERS).await;
                    return Ok(None);
                }
                continue;
            }
            let event = JobEvent::Lease {
                worker: worker.name.clone(),
                process: worker.process.clone(),
            };
            self.apply(&mut job, &event)?;
            if self.write(&job, revision).await?.is_some() {
                let fence = job.fence;
                self.held().insert((id, fence), delivery);
                self.picture().took(worker);
                return Ok(Some(Lease { job, fence }));
            }
        }
        delivery.give_back(&self.link, MIN_PAUSE).await;
        Ok(None)
    }

    /// True if the record is as it should be now; false if somebody else was first.
    async fn write_if_changed(&self, job: &Job, revision: u64) -> Result<bool, JobError> {
        let is_written = self
            .picture()
            .get(&job.id)
            .is_some_and(|(seen, known)| seen == job && known.revision == revision);
        Ok(is_written || self.write(job, revision).await?.is_some())
    }

    /// A worker was not heard of for too long.
    pub(crate) fn lose_lease(&self, job: &mut Job) -> Result<(), JobError> {
        let worker = job.worker.clone().unwrap_or_default();
        tracing::warn!(job = job.id.as_str(), worker, "a worker lost its job");
        let lease = self.settings.lease.as_secs_f64();
        let reason = format!("worker {worker} was not heard of for {lease:.0} s");
        self.apply(job, &JobEvent::LeaseLost { reason })
    }

    /// A job has ended: its message is not needed any more.
    async fn bury(&self, job: &Job, delivery: &Delivery) -> Result<(), JobError> {
        if job.state == JobState::Dead {
            self.tell_dead(job).await?;
        }
        delivery.done(&self.link).await;
        Ok(())
    }

    /// # Errors
    /// As `JobEngine::heartbeat`.
    pub(crate) async fn heartbeat(&self, lease: &Lease, beat: Beat) -> Result<(), JobError> {
        let id = &lease.job.id;
        self.go_on(lease).await;
        let is_news = beat.progress.is_some() || !beat.events.is_empty();
        let is_fresh = {
            let picture = self.picture();
            let seen = picture
                .get(id)
                .filter(|(job, _)| job.state == JobState::Running && job.fence == lease.fence);
            let quarter = self.settings.lease / 4;
            seen.is_some_and(|(_, known)| known.was_seen_to_change && known.since.elapsed() < quarter)
        };
        if is_fresh && !is_news {
            return Ok(());
        }
        let n = beat.events.len() as u64;
        let event = JobEvent::Beat {
            fence: lease.fence,
            progress: beat.progress,
            events: n,
        };
        let job = self.change(id, &event).await?;
        if n > 0 {
            let first = job.last_sequence + 1 - n;
            self.events
                .tell(id, first, self.settings.clock.unix_ms(), &beat.events)
                .await?;
            self.notify(); // those who watch saw the record before the events
        }
        Ok(())
    }

    /// # Errors
    /// As `JobEngine::seal`.
    pub(crate) async fn seal(&self, lease: &Lease) -> Result<(), JobError> {
        self.go_on(lease).await;
        let fence = lease.fence;
        self.change(&lease.job.id, &JobEvent::Seal { fence })
            .await
            .map(drop)
    }

    async fn go_on(&self, lease: &Lease) {
        let held = self.held().get(&(lease.job.id.clone(), lease.fence)).cloned();
        if let Some(delivery) = held {
            delivery.go_on(&self.link).await;
        }
    }

    /// # Errors
    /// As `JobEngine::complete`.
    pub(crate) async fn complete(&self, lease: &Lease, result: JobResult) -> Result<Job, JobError> {
        let said = |job: &Job| job.state == JobState::Succeeded && job.result.as_ref() == Some(&result);
        let event = JobEvent::Complete {
            fence: lease.fence,
            result: result.clone(),
        };
        self.end(lease, &event, said).await
    }

    /// # Errors
    /// As `JobEngine::fail`.
    pub(crate) async fn fail(&self, lease: &Lease, mut ending: Ending) -> Result<Job, JobError> {
        if let Ending::Failed { failure, .. } = &mut ending {
            shorten(&mut failure.message);
        }
        let said = |job: &Job| match &ending {
            Ending::Failed { failure, .. } => job.failure.as_ref() == Some(failure),
            Ending::Stopped(Stop::Cancelled) => job.state == JobState::Cancelled,
            Ending::Stopped(Stop::Expired) => job.state == JobState::Expired,
            Ending::GivenBack => job.state == JobState::Queued && job.failure.is_none(),
        };
        let event = ending.clone().event(lease.fence);
        self.end(lease, &event, said).await
    }

    /// Ends a lease. One that was ended in the same way before, by a call whose answer did not arrive, has ended well.
    async fn end(
        &self,
        lease: &Lease,
        event: &JobEvent,
        said: impl Fn(&Job) -> bool,
    ) -> Result<Job, JobError> {
        let id = &lease.job.id;
        let job = match self.change(id, event).await {
            Ok(job) => job,
            Err(JobError::Refused {
                id,
                source: source @ Refused::LeaseOver { .. },
            }) => {
                let (job, _) = self.read(&id).await?;
                let is_last = job.fence == lease.fence && job.state != JobState::Running;
                if !is_last || !said(&job) {
                    self.held().remove(&(id.clone(), lease.fence));
                    return Err(JobError::Refused { id, source });
                }
                job
            }
            Err(error) => return Err(error),
        };
        let held = self.held().remove(&(id.clone(), lease.fence));
        match held {
            Some(delivery) if job.state == JobState::Queued => {
                delivery.give_back(&self.link, Duration::ZERO).await;
                self.picture().published(id);
                self.notify();
            }
            Some(delivery) => self.bury(&job, &delivery).await?,
            None => self.settle_message(&job).await?,
        }
        Ok(job)
    }

    /// # Errors
    /// As `JobEngine::cancel`.
    pub(crate) async fn cancel(&self, id: &nephrite_jobs::JobId) -> Result<Job, JobError> {
        let job = self.change(id, &JobEvent::Cancel).await?;
        if job.state == JobState::Cancelled {
            self.queue.remove(&job).await?;
        }
        Ok(job)
    }
}

fn shorten(message: &mut String) {
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        message.push('…');
    }
}
