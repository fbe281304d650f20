//! How a record changes: read, apply, write if nobody else has.

use std::time::Duration;

use nephrite_jobs::{Job, JobError, JobEvent, JobId, JobState, Refused};

use crate::core::Core;
use crate::queue::Published;
use crate::records::{job_from, record_of};

/// Tries to write a record that others write too.
const TRIES: u32 = 32;

impl Core {
    /// Reads the record of a job, with its revision.
    ///
    /// # Errors
    /// [`JobError::Unknown`], [`JobError::Corrupt`], [`JobError::Unavailable`], [`JobError::Store`].
    pub(crate) async fn read(&self, id: &JobId) -> Result<(Job, u64), JobError> {
        let key = self.names.record(id);
        let entry = self.records.read(&key).await?;
        let value = entry.value.ok_or_else(|| JobError::Unknown { id: id.clone() })?;
        Ok((job_from(&key, &value)?, entry.revision))
    }

    /// Writes the record of a job in place of a revision. `None`: somebody else was first.
    ///
    /// # Errors
    /// [`JobError::Unavailable`], [`JobError::Store`], [`JobError::Corrupt`].
    pub(crate) async fn write(&self, job: &Job, revision: u64) -> Result<Option<u64>, JobError> {
        let key = self.names.record(&job.id);
        let written = self.records.write(&key, record_of(job), revision).await?;
        if let Some(revision) = written {
            self.picture().put(job.clone(), revision);
            self.notify();
        }
        Ok(written)
    }

    /// Lets something happen to a job. It is written even if nothing of it changes, so that nobody else can write what he
    /// thought of before.
    ///
    /// # Errors
    /// [`JobError::Refused`], [`JobError::Unknown`], and those of reading and writing.
    pub(crate) async fn change(&self, id: &JobId, event: &JobEvent) -> Result<Job, JobError> {
        // What the picture has may be old: then the write is refused, and a refusal by it does not count.
        let seen = self
            .picture()
            .get(id)
            .map(|(job, known)| (job.clone(), known.revision));
        if let Some((mut job, revision)) = seen
            && self.apply(&mut job, event).is_ok()
            && self.write(&job, revision).await?.is_some()
        {
            return Ok(job);
        }
        for attempt in 0..TRIES {
            let (mut job, revision) = self.read(id).await?;
            self.apply(&mut job, event)?;
            if self.write(&job, revision).await?.is_some() {
                return Ok(job);
            }
            tokio::time::sleep(Duration::from_millis(u64::from(attempt.min(10)))).await;
        }
        Err(self
            .link
            .away(format_args!("job {id} is changed by others all the time")))
    }

    /// # Errors
    /// [`JobError::Refused`]
    pub(crate) fn apply(&self, job: &mut Job, event: &JobEvent) -> Result<(), JobError> {
        let applied = job.apply(event.clone(), self.settings.clock.unix_ms());
        applied.map_err(|source| refused(&job.id, source))
    }

    /// What follows when nobody has the message of a job in hand: a job that waits gets one, one that has ended has none, and
    /// one that died is told of.
    ///
    /// # Errors
    /// [`JobError::Unavailable`], [`JobError::Store`].
    pub(crate) async fn settle_message(&self, job: &Job) -> Result<(), JobError> {
        match job.state {
            JobState::Queued => match self.queue.publish(job).await? {
                Published::There => self.picture().published(&job.id),
                Published::Full => tracing::warn!(
                    job = job.id.as_str(),
                    "the queue is full; the job waits for its message"
                ),
            },
            JobState::Running => {}
            JobState::Dead => {
                self.tell_dead(job).await?;
                self.queue.remove(job).await?;
            }
            _ => self.queue.remove(job).await?,
        }
        self.notify();
        Ok(())
    }

    /// Keeps the last record of a job that died too often, with the reason.
    ///
    /// # Errors
    /// [`JobError::Unavailable`], [`JobError::Store`].
    pub(crate) async fn tell_dead(&self, job: &Job) -> Result<(), JobError> {
        let reason = job.failure.as_ref().map(|failure| failure.message.as_str());
        tracing::error!(job = job.id.as_str(), reason, "the job is dead");
        let letter = serde_json::json!({ "reason": reason, "job": job });
        let sent = self.link.context.publish(
            self.names.dead_of(&job.id),
            letter.to_string().into_bytes().into(),
        );
        let acknowledged = match sent.await {
            Ok(acknowledgement) => acknowledgement.await,
            Err(error) => Err(error),
        };
        acknowledged
            .map(drop)
            .map_err(|error| self.link.fault(&self.names.dead(), &error))
    }
}

/// What cannot happen to a job.
pub(crate) fn refused(id: &JobId, source: Refused) -> JobError {
    JobError::Refused {
        id: id.clone(),
        source,
    }
}
