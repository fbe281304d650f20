//! The engine: every call of it blocks on what talks to the server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nephrite_jobs::{
    Beat, Ending, Job, JobEngine, JobError, JobId, JobResult, JobSettings, Lease, NewJob, Orders, Page,
    Query, Submitted, Watched, WorkerCard,
};

use crate::call::Caller;
use crate::core::Core;
use crate::settings::NatsSettings;
use crate::{house, mirror, watching};

/// Longest pause between two looks for a job: leases run out and jobs have waited long enough without anything that is told.
const NAP: Duration = Duration::from_millis(100);
/// Lanes that are looked into even by one who does not want to wait.
const LOOKS: u32 = 4;

/// Jobs of many machines, kept by NATS JetStream. Each call takes a few seconds at most, besides the time that it is told to
/// wait, and none may be made from a thread of an asynchronous runtime.
#[derive(Debug)]
pub struct NatsEngine {
    core: Arc<Core>,
    caller: Caller,
}

impl NatsEngine {
    /// Connects, makes the streams that are not there, and reads all records. Streams that are there and differ in what
    /// matters are left as they are, and refused; their limits of number and age follow the settings.
    ///
    /// # Errors
    /// [`JobError::NotAllowed`], [`JobError::Unavailable`], [`JobError::OtherConfiguration`], [`JobError::Store`].
    pub fn open(settings: JobSettings, nats: NatsSettings) -> Result<NatsEngine, JobError> {
        let caller = Caller::new()?;
        let core = caller.runtime().block_on(Core::open(settings, &nats))?;
        let core = Arc::new(core);
        let runtime = caller.runtime();
        runtime.spawn(mirror::follow_jobs(Arc::downgrade(&core)));
        runtime.spawn(mirror::follow_workers(Arc::downgrade(&core)));
        let began = Instant::now();
        let mut picture = core.picture();
        while !picture.is_whole {
            if began.elapsed() > nats.connect_timeout {
                return Err(core.link.away("the records of jobs cannot be read"));
            }
            picture = core.wait(picture, NAP);
        }
        drop(picture);
        Ok(NatsEngine { core, caller })
    }

    fn block<T>(&self, call: impl Future<Output = Result<T, JobError>>) -> Result<T, JobError> {
        self.caller.block(&self.core.link, call)
    }
}

impl JobEngine for NatsEngine {
    fn submit(&self, new: NewJob) -> Result<Submitted, JobError> {
        self.block(self.core.submit(new))
    }

    fn answer(&self, new: NewJob, result: JobResult) -> Result<Submitted, JobError> {
        self.block(self.core.answer(new, result))
    }

    fn lease(
        &self,
        worker: &WorkerCard,
        fits: &dyn Fn(&Job) -> bool,
        patience: Duration,
    ) -> Result<Option<Lease>, JobError> {
        let until = Instant::now() + patience;
        let mut looks = 0;
        loop {
            let target = self.core.picture().target(worker, fits);
            let left = until.saturating_duration_since(Instant::now());
            match target {
                Some(lane) => {
                    if let Some(lease) = self.block(self.core.take(&lane, worker, fits))? {
                        return Ok(Some(lease));
                    }
                    looks += 1;
                    if left.is_zero() && looks >= LOOKS {
                        return Ok(None);
                    }
                }
                None if left.is_zero() => {
                    self.caller.connected(&self.core.link)?;
                    return Ok(None);
                }
                None => drop(self.core.wait(self.core.picture(), left.min(NAP))),
            }
        }
    }

    fn orders(&self, lease: &Lease) -> Orders {
        self.core.picture().orders(lease)
    }

    fn heartbeat(&self, lease: &Lease, beat: Beat) -> Result<(), JobError> {
        self.block(self.core.heartbeat(lease, beat))
    }

    fn seal(&self, lease: &Lease) -> Result<(), JobError> {
        self.block(self.core.seal(lease))
    }

    fn complete(&self, lease: &Lease, result: JobResult) -> Result<Job, JobError> {
        self.block(self.core.complete(lease, result))
    }

    fn fail(&self, lease: &Lease, ending: Ending) -> Result<Job, JobError> {
        self.block(self.core.fail(lease, ending))
    }

    fn cancel(&self, id: &JobId) -> Result<Job, JobError> {
        self.block(self.core.cancel(id))
    }

    fn retry(&self, id: &JobId) -> Result<Job, JobError> {
        self.block(self.core.retry(id))
    }

    fn purge(&self, id: &JobId) -> Result<Job, JobError> {
        self.block(self.core.purge(id))
    }

    fn get(&self, id: &JobId) -> Result<Job, JobError> {
        self.block(self.core.read(id)).map(|(job, _)| job)
    }

    fn list(&self, query: &Query) -> Result<Page, JobError> {
        Ok(self.core.picture().board.page(query)?)
    }

    fn places(&self, ids: &[JobId]) -> Vec<Option<u64>> {
        self.core.picture().board.places(ids)
    }

    fn watch(&self, id: &JobId, after: u64, patience: Duration) -> Result<Watched, JobError> {
        watching::watch(&self.caller, &self.core, id, after, patience)
    }

    fn advertise(&self, worker: &WorkerCard) -> Result<(), JobError> {
        let card = serde_json::to_vec(worker).expect("a card has text keys only");
        self.block(self.core.workers.put(&self.core.names.worker(&worker.name), card))?;
        self.core.picture().heard_of(worker.clone());
        self.core.notify();
        Ok(())
    }

    fn withdraw(&self, worker: &WorkerCard) -> Result<(), JobError> {
        let mut picture = self.core.picture();
        picture.withdraw(|name| name == worker.name);
        picture.forget_turns(&worker.name);
        drop(picture);
        self.core.notify();
        let key = self.core.names.worker(&worker.name);
        self.block(self.core.workers.mark_deleted(&key, None)).map(drop)
    }

    fn workers(&self) -> Vec<WorkerCard> {
        self.core.picture().workers()
    }

    fn keep_house(&self) -> Result<(), JobError> {
        house::keep(&self.caller, &self.core)
    }

    fn check(&self) -> Result<(), JobError> {
        self.block(async { self.core.records.read(&self.core.names.count()).await.map(drop) })
    }
}
