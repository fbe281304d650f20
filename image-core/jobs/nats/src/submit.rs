//! How jobs come in, come back, and are forgotten.

use nephrite_jobs::{Job, JobError, JobEvent, JobId, JobResult, JobState, NewJob, Submitted, check_new};

use crate::change::refused;
use crate::core::Core;
use crate::queue::Published;
use crate::records::{job_from, record_of};

/// Largest record of a new job: what happens to it needs room too.
const MAX_NEW: usize = 640 << 10;
/// Tries for a record that others try for too.
const TRIES: u32 = 8;

impl Core {
    /// Its record first, then the claim on its result folder, then its message: whatever fails in between leaves nothing that
    /// another one who submits the same cannot go on from.
    ///
    /// # Errors
    /// As `JobEngine::submit`.
    pub(crate) async fn submit(&self, new: NewJob) -> Result<Submitted, JobError> {
        let (job, revision) = match self.add(&new, Job::queued).await? {
            Added::Before(job) => return self.submitted_before(job, &new).await,
            Added::Now(job, revision) => (job, revision),
        };
        let claimed = match self.claim(&job).await {
            Ok(claimed) => claimed,
            Err(error) => {
                self.take_back(&job.id, revision).await?;
                return Err(error);
            }
        };
        if self.queue.publish(&job).await? == Published::Full {
            self.take_back(&job.id, revision).await?;
            self.records.erase(claimed).await?;
            return Err(self.full());
        }
        self.picture().put(job.clone(), revision);
        self.notify();
        Ok(Submitted { job, is_new: true })
    }

    /// # Errors
    /// As `JobEngine::answer`.
    pub(crate) async fn answer(&self, new: NewJob, result: JobResult) -> Result<Submitted, JobError> {
        let make = |new, number, now| Job::answered(new, number, result.clone(), now);
        match self.add(&new, make).await? {
            Added::Before(job) => self.submitted_before(job, &new).await,
            Added::Now(job, revision) => {
                self.picture().put(job.clone(), revision);
                self.notify();
                Ok(Submitted { job, is_new: true })
            }
        }
    }

    async fn add(&self, new: &NewJob, make: impl Fn(NewJob, u64, u64) -> Job) -> Result<Added, JobError> {
        let id = JobId::of(&new.tenant, &new.key);
        let key = self.names.record(&id);
        let is_known = self.picture().get(&id).is_some();
        let mut revision = 0;
        if is_known || self.check(new, &id, &make).await.is_err() {
            // One that is there is no more, however full the queue is.
            let entry = self.records.read(&key).await?;
            if let Some(value) = entry.value {
                return Ok(Added::Before(job_from(&key, &value)?));
            }
            revision = entry.revision;
            self.check(new, &id, &make).await?;
        }
        let size = record_of(&make(new.clone(), u64::MAX, u64::MAX)).len();
        if size > MAX_NEW {
            let reason = format!("makes a record of {size} bytes, expected {MAX_NEW} at most");
            return Err(JobError::New {
                field: "request",
                reason,
            });
        }
        for _ in 0..TRIES {
            let number = self.picture().next_number();
            let job = make(new.clone(), number, self.settings.clock.unix_ms());
            if let Some(revision) = self.records.write(&key, record_of(&job), revision).await? {
                return Ok(Added::Now(job, revision));
            }
            let entry = self.records.read(&key).await?;
            if let Some(value) = entry.value {
                return Ok(Added::Before(job_from(&key, &value)?));
            }
            revision = entry.revision;
        }
        Err(self.link.away(format_args!(
            "job {id} is made and taken back by others all the time"
        )))
    }

    /// Whether there is room for it, as far as this process knows.
    async fn check(
        &self,
        new: &NewJob,
        id: &JobId,
        make: &impl Fn(NewJob, u64, u64) -> Job,
    ) -> Result<(), JobError> {
        check_new(new, &self.settings)?;
        let ends_at_once = make(new.clone(), 1, 1).state.has_ended();
        match ends_at_once {
            true => Ok(()),
            false => self.check_room(id, &new.output).await,
        }
    }

    /// A job that is there already, whole or not.
    async fn submitted_before(&self, job: Job, new: &NewJob) -> Result<Submitted, JobError> {
        if job.new.request != new.request || job.new.output != new.output {
            return Err(JobError::KeyTaken {
                key: new.key.clone(),
                id: job.id,
            });
        }
        if job.state == JobState::Queued {
            self.claim(&job).await?;
            if self.queue.publish(&job).await? == Published::Full {
                return Err(self.full());
            }
        }
        Ok(Submitted { job, is_new: false })
    }

    fn full(&self) -> JobError {
        JobError::Full {
            limit: self.settings.max_queued,
        }
    }

    /// Goes on from where a process died, or lost its connection, while it submitted a job. Nobody was told that the job is
    /// there, so it goes away if another one has its result folder by now.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub(crate) async fn finish_submission(&self, seen: &Job) -> Result<(), JobError> {
        let (job, revision) = self.read(&seen.id).await?;
        if job.state == JobState::Queued && !self.has_claim(&job).await? {
            match self.claim(&job).await {
                Err(JobError::OutputTaken { .. }) if job.executions == 0 => {
                    tracing::warn!(
                        job = job.id.as_str(),
                        "a job whose submission did not come to an end is taken back"
                    );
                    return self.take_back(&job.id, revision).await;
                }
                claimed => drop(claimed?),
            }
        }
        self.settle_message(&job).await
    }

    /// A record that came to nothing.
    async fn take_back(&self, id: &JobId, revision: u64) -> Result<(), JobError> {
        let deleted = self
            .records
            .mark_deleted(&self.names.record(id), Some(revision))
            .await?;
        if let Some(revision) = deleted {
            self.picture().remove(id, revision, true);
            self.notify();
        }
        Ok(())
    }

    /// # Errors
    /// As `JobEngine::retry`.
    pub(crate) async fn retry(&self, id: &JobId) -> Result<Job, JobError> {
        for _ in 0..TRIES {
            let (before, revision) = self.read(id).await?;
            let mut job = before.clone();
            self.apply(&mut job, &JobEvent::Retry)?;
            self.check_room(id, &job.new.output).await?;
            let key = self.names.record(id);
            let Some(revision) = self.records.write(&key, record_of(&job), revision).await? else {
                continue;
            };
            let failed = match self.claim(&job).await {
                Ok(_) if self.queue.publish(&job).await? == Published::Full => self.full(),
                Ok(_) => {
                    self.picture().put(job.clone(), revision);
                    self.notify();
                    return Ok(job);
                }
                Err(error) => error,
            };
            self.write(&before, revision).await?; // as if nothing had happened
            return Err(failed);
        }
        Err(self
            .link
            .away(format_args!("job {id} is changed by others all the time")))
    }

    /// # Errors
    /// As `JobEngine::purge`.
    pub(crate) async fn purge(&self, id: &JobId) -> Result<Job, JobError> {
        for _ in 0..TRIES {
            let (job, revision) = self.read(id).await?;
            job.check_purge().map_err(|source| refused(id, source))?;
            self.free(&job, revision).await?;
            let deleted = self
                .records
                .mark_deleted(&self.names.record(id), Some(revision))
                .await?;
            let Some(deleted) = deleted else { continue };
            self.picture().remove(id, deleted, true);
            self.notify();
            self.events.forget(id).await?;
            self.queue.remove(&job).await?;
            return Ok(job);
        }
        Err(self
            .link
            .away(format_args!("job {id} is changed by others all the time")))
    }
}

enum Added {
    Now(Job, u64),
    Before(Job),
}
