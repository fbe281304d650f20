//! The line between a worker and the engine, which can be cut.

use std::sync::Arc;
use std::time::Duration;

use nephrite_jobs::{
    Beat, Ending, Job, JobEngine, JobError, JobId, JobResult, Lease, NewJob, Orders, Page, Query, Submitted,
    Watched, WorkerCard,
};
use nephrite_types::CancelToken;

use crate::tally::Tally;

/// An engine until the line is cut. From then on nothing of a worker arrives, as if it had been killed; it is told that its
/// lease is over, so that its thread ends.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) engine: Arc<dyn JobEngine>,
    pub(crate) cut: CancelToken,
    pub(crate) tally: Arc<Tally>,
}

impl Line {
    fn check(&self, lease: &Lease) -> Result<(), JobError> {
        let id = lease.job.id.clone();
        match self.cut.is_cancelled() {
            true => Err(JobError::Unknown { id }),
            false => Ok(()),
        }
    }
}

impl JobEngine for Line {
    fn lease(
        &self,
        worker: &WorkerCard,
        fits: &dyn Fn(&Job) -> bool,
        patience: Duration,
    ) -> Result<Option<Lease>, JobError> {
        if self.cut.is_cancelled() {
            return Ok(None);
        }
        let call = || self.engine.lease(worker, fits, patience);
        // The pauses of one that waits for a job are not the engine's.
        let lease = self
            .tally
            .timed("lease", call, |got| matches!(got, Ok(Some(_))))?;
        match lease {
            // It was killed meanwhile: the job is its own, and nothing is done.
            Some(lease) if self.cut.is_cancelled() => {
                self.tally.started(&lease.job.new.key, &worker.name);
                self.tally.stopped(&lease.job.new.key, &worker.name);
                Ok(None)
            }
            other => Ok(other),
        }
    }

    fn orders(&self, lease: &Lease) -> Orders {
        match self.cut.is_cancelled() {
            true => Orders::Lost,
            false => self.engine.orders(lease),
        }
    }

    fn heartbeat(&self, lease: &Lease, beat: Beat) -> Result<(), JobError> {
        self.check(lease)?;
        self.tally
            .timed("heartbeat", || self.engine.heartbeat(lease, beat), |_| true)
    }

    fn seal(&self, lease: &Lease) -> Result<(), JobError> {
        self.check(lease)?;
        self.tally.timed("seal", || self.engine.seal(lease), |_| true)
    }

    fn complete(&self, lease: &Lease, result: JobResult) -> Result<Job, JobError> {
        self.check(lease)?;
        let call = || self.engine.complete(lease, result);
        let job = self.tally.timed("complete", call, |_| true)?;
        self.tally.completed(&job.new.key);
        Ok(job)
    }

    fn fail(&self, lease: &Lease, ending: Ending) -> Result<Job, JobError> {
        self.check(lease)?;
        self.engine.fail(lease, ending)
    }

    fn advertise(&self, worker: &WorkerCard) -> Result<(), JobError> {
        match self.cut.is_cancelled() {
            true => Ok(()),
            false => self
                .tally
                .timed("advertise", || self.engine.advertise(worker), |_| true),
        }
    }

    fn withdraw(&self, worker: &WorkerCard) -> Result<(), JobError> {
        match self.cut.is_cancelled() {
            true => Ok(()),
            false => self.engine.withdraw(worker),
        }
    }

    // Workers do not call these.

    fn submit(&self, new: NewJob) -> Result<Submitted, JobError> {
        self.engine.submit(new)
    }

    fn answer(&self, new: NewJob, result: JobResult) -> Result<Submitted, JobError> {
        self.engine.answer(new, result)
    }

    fn cancel(&self, id: &JobId) -> Result<Job, JobError> {
        self.engine.cancel(id)
    }

    fn retry(&self, id: &JobId) -> Result<Job, JobError> {
        self.engine.retry(id)
    }

    fn purge(&self, id: &JobId) -> Result<Job, JobError> {
        self.engine.purge(id)
    }

    fn get(&self, id: &JobId) -> Result<Job, JobError> {
        self.engine.get(id)
    }

    fn list(&self, query: &Query) -> Result<Page, JobError> {
        self.engine.list(query)
    }

    fn places(&self, ids: &[JobId]) -> Vec<Option<u64>> {
        self.engine.places(ids)
    }

    fn watch(&self, id: &JobId, after: u64, patience: Duration) -> Result<Watched, JobError> {
        self.engine.watch(id, after, patience)
    }

    fn workers(&self) -> Vec<WorkerCard> {
        self.engine.workers()
    }

    fn keep_house(&self) -> Result<(), JobError> {
        self.engine.keep_house()
    }

    fn check(&self) -> Result<(), JobError> {
        self.engine.check()
    }
}
