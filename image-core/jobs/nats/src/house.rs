//! What nobody asks for and has to be done.

use std::time::Duration;

use nephrite_jobs::{JobError, JobEvent, JobId, JobState, outlived};

use crate::call::Caller;
use crate::core::Core;

/// Jobs whose messages are looked for at once.
const MAX_PUBLISHED: usize = 16;
/// Jobs that are forgotten at once; the rest a second later.
const MAX_FORGOTTEN: usize = 100;
/// Marks of deleted records go away after this: all who follow have seen them.
const MARKS: Duration = Duration::from_secs(120);
/// Marks that go away at once.
const MAX_MARKS: usize = 64;

/// One round.
///
/// # Errors
/// [`JobError`], if the server does not answer; what others have done meanwhile is no error.
pub(crate) fn keep(caller: &Caller, core: &Core) -> Result<(), JobError> {
    let expired = core.picture().expired();
    for id in expired {
        quietly(caller.block(&core.link, settle(core, &id, &JobEvent::DeadlinePassed)))?;
    }
    let silent = core.picture().silent_for(core.settings.lease * 2);
    for id in silent {
        quietly(caller.block(&core.link, lose(core, &id)))?;
    }
    let unpublished = core.picture().unpublished(MAX_PUBLISHED);
    for job in unpublished {
        quietly(caller.block(&core.link, core.finish_submission(&job)))?;
    }
    core.drop_held();
    let now = core.settings.clock.unix_ms();
    let mut old = outlived(core.picture().board.jobs(), core.settings.retention, now);
    old.truncate(MAX_FORGOTTEN);
    if !old.is_empty() {
        tracing::info!(jobs = old.len(), "jobs that ended long ago are forgotten");
    }
    for id in old {
        quietly(caller.block(&core.link, core.purge(&id)))?;
    }
    let marks = core.picture().old_marks(MARKS, MAX_MARKS);
    for revision in marks {
        caller.block(&core.link, core.records.erase(revision))?;
    }
    Ok(())
}

async fn settle(core: &Core, id: &JobId, event: &JobEvent) -> Result<(), JobError> {
    let job = core.change(id, event).await?;
    core.settle_message(&job).await
}

/// Takes a job from a worker that was not heard of. Its message comes again by itself, unless it is lost.
async fn lose(core: &Core, id: &JobId) -> Result<(), JobError> {
    let (mut job, revision) = core.read(id).await?;
    core.picture().put(job.clone(), revision);
    let is_silent = core.picture().silent_for(core.settings.lease * 2).contains(id);
    if job.state != JobState::Running || !is_silent {
        return Ok(());
    }
    core.lose_lease(&mut job)?;
    match core.write(&job, revision).await? {
        Some(_) => core.settle_message(&job).await,
        None => Ok(()),
    }
}

/// Another process was first.
fn quietly<T>(done: Result<T, JobError>) -> Result<(), JobError> {
    match done {
        Ok(_) | Err(JobError::Unknown { .. } | JobError::Refused { .. }) => Ok(()),
        Err(error @ JobError::Corrupt { .. }) => {
            tracing::error!(%error, "a job is left as it is");
            Ok(())
        }
        Err(error) => Err(error),
    }
}
