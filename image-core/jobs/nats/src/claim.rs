//! Who writes a result folder: no two jobs that have not ended have the same.

use nephrite_jobs::{Job, JobError, JobId};

use crate::core::Core;

/// Tries for a claim that others try for too.
const TRIES: u32 = 32;

impl Core {
    /// Claims the result folder of a job whose record says that it has not ended. The claim is written anew even if it is the
    /// job's already: whoever has seen that one before may not take it over any more.
    ///
    /// # Errors
    /// [`JobError::OutputTaken`], and those of reading and writing.
    pub(crate) async fn claim(&self, job: &Job) -> Result<u64, JobError> {
        let key = self.names.claim(&job.new.output);
        let ours = || job.id.as_str().as_bytes().to_vec();
        if let Some(revision) = self.records.write(&key, ours(), 0).await? {
            return Ok(revision);
        }
        for _ in 0..TRIES {
            let entry = self.records.read(&key).await?;
            let holder = entry
                .value
                .and_then(|value| JobId::parse(&String::from_utf8_lossy(&value)).ok());
            if let Some(id) = holder.filter(|holder| *holder != job.id)
                && self.has_not_ended(&id).await?
            {
                let output = job.new.output.clone();
                return Err(JobError::OutputTaken { output, id });
            }
            if let Some(revision) = self.records.write(&key, ours(), entry.revision).await? {
                return Ok(revision);
            }
        }
        Err(self.link.away("a result folder is claimed by many at once"))
    }

    /// Whether there is no room for a new job, or none for its result, as far as this process knows. That spares the record
    /// of a job that cannot be taken; the claim is what counts.
    ///
    /// # Errors
    /// [`JobError::OutputTaken`], [`JobError::Full`], and those of reading.
    pub(crate) async fn check_room(&self, id: &JobId, output: &str) -> Result<(), JobError> {
        let holder = self
            .picture()
            .board
            .writes(output)
            .filter(|holder| *holder != id)
            .cloned();
        if let Some(holder) = holder
            && self.has_not_ended(&holder).await?
        {
            return Err(JobError::OutputTaken {
                output: output.to_owned(),
                id: holder,
            });
        }
        let limit = self.settings.max_queued;
        match self.picture().board.n_queued() >= limit {
            true => Err(JobError::Full { limit }),
            false => Ok(()),
        }
    }

    /// Whether a job has the claim on its result folder.
    ///
    /// # Errors
    /// Those of reading.
    pub(crate) async fn has_claim(&self, job: &Job) -> Result<bool, JobError> {
        let entry = self.records.read(&self.names.claim(&job.new.output)).await?;
        Ok(entry
            .value
            .is_some_and(|value| value == job.id.as_str().as_bytes()))
    }

    async fn has_not_ended(&self, id: &JobId) -> Result<bool, JobError> {
        match self.read(id).await {
            Ok((job, revision)) => {
                let has_ended = job.state.has_ended();
                self.picture().put(job, revision);
                Ok(!has_ended)
            }
            Err(JobError::Unknown { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives up the claim of a job that ended with the given revision; a later one, of the same job, stays.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub(crate) async fn free(&self, job: &Job, ended: u64) -> Result<(), JobError> {
        let entry = self.records.read(&self.names.claim(&job.new.output)).await?;
        let is_ours = entry
            .value
            .is_some_and(|value| value == job.id.as_str().as_bytes());
        if is_ours && entry.revision < ended {
            self.records.erase(entry.revision).await?;
        }
        Ok(())
    }
}
