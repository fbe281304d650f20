//! What keeps jobs and hands them out.

use std::fmt::Debug;
use std::time::Duration;

use nephrite_job_state::{
    Job, JobEvent, JobFailure, JobId, JobResult, LogEntry, NewJob, Page, Progress, Query, Stop, WorkerCard,
};

use crate::error::JobError;

/// Keeps jobs, hands each to one worker at a time, and remembers what became of it.
///
/// What has been answered is on disk: a job that was submitted is there whatever dies next, and one that was completed
/// stays so. All calls block, for a moment unless they say how long. Calls may come from any thread.
///
/// Every call may fail with [`JobError::Unavailable`] or [`JobError::Store`]: then it is not known whether it counted, and
/// it may be made again; the same call twice does no more than once.
pub trait JobEngine: Send + Sync + Debug {
    /// Puts a job on disk. The same key again gives the same job.
    ///
    /// # Errors
    /// [`JobError::KeyTaken`], [`JobError::OutputTaken`], [`JobError::Full`], [`JobError::New`].
    fn submit(&self, new: NewJob) -> Result<Submitted, JobError>;

    /// A job that was done before: it has ended as it is submitted.
    ///
    /// # Errors
    /// As [`JobEngine::submit`].
    fn answer(&self, new: NewJob, result: JobResult) -> Result<Submitted, JobError>;

    /// A job for a worker, as [`choose`](nephrite_job_state::choose) has it; waits for one up to `patience`. `fits` says
    /// whether there is room for it now.
    ///
    /// # Errors
    /// [`JobError`]
    fn lease(
        &self,
        worker: &WorkerCard,
        fits: &dyn Fn(&Job) -> bool,
        patience: Duration,
    ) -> Result<Option<Lease>, JobError>;

    /// What the worker shall do now. Quick, and never fails: asked several times a second.
    fn orders(&self, lease: &Lease) -> Orders;

    /// Keeps the lease for another while, and tells how far the job is.
    ///
    /// # Errors
    /// [`JobError::Refused`] if the lease is over.
    fn heartbeat(&self, lease: &Lease, beat: Beat) -> Result<(), JobError>;

    /// Asks whether the result may be given its name: the lease is this one's, and stays so for another while.
    ///
    /// # Errors
    /// [`JobError::Refused`] if the lease is over.
    fn seal(&self, lease: &Lease) -> Result<(), JobError>;

    /// The result is there.
    ///
    /// # Errors
    /// [`JobError::Refused`] if the lease is over.
    fn complete(&self, lease: &Lease, result: JobResult) -> Result<Job, JobError>;

    /// The job ended otherwise, or its worker gives it back.
    ///
    /// # Errors
    /// [`JobError::Refused`] if the lease is over.
    fn fail(&self, lease: &Lease, ending: Ending) -> Result<Job, JobError>;

    /// Takes it from the queue, or tells its worker to stop.
    ///
    /// # Errors
    /// [`JobError::Unknown`]; [`JobError::Refused`] if it has ended otherwise.
    fn cancel(&self, id: &JobId) -> Result<Job, JobError>;

    /// Puts a job that did not succeed into the queue again.
    ///
    /// # Errors
    /// [`JobError::Unknown`], [`JobError::Refused`], [`JobError::Full`], [`JobError::OutputTaken`].
    fn retry(&self, id: &JobId) -> Result<Job, JobError>;

    /// Forgets a job that has ended. Its result folder stays.
    ///
    /// # Errors
    /// [`JobError::Unknown`]; [`JobError::Refused`] if it has not ended.
    fn purge(&self, id: &JobId) -> Result<Job, JobError>;

    /// A job as it is now.
    ///
    /// # Errors
    /// [`JobError::Unknown`]
    fn get(&self, id: &JobId) -> Result<Job, JobError>;

    /// A page of jobs, the youngest first. A job that was submitted before the call is in the list.
    ///
    /// # Errors
    /// [`JobError::List`]
    fn list(&self, query: &Query) -> Result<Page, JobError>;

    /// Places of these jobs in the queue, 1 is the next; `None` of those that do not wait.
    fn places(&self, ids: &[JobId]) -> Vec<Option<u64>>;

    /// What happened to a job after the event with number `after` (0: from the beginning), at most a few hundred events at
    /// a time, the oldest first; waits for something up to `patience`.
    ///
    /// # Errors
    /// [`JobError::Unknown`]
    fn watch(&self, id: &JobId, after: u64, patience: Duration) -> Result<Watched, JobError>;

    /// Says that a worker lives, and what it has.
    ///
    /// # Errors
    /// [`JobError`]
    fn advertise(&self, worker: &WorkerCard) -> Result<(), JobError>;

    /// Says that a worker is gone.
    ///
    /// # Errors
    /// [`JobError`]
    fn withdraw(&self, worker: &WorkerCard) -> Result<(), JobError>;

    /// Workers that were heard of not long ago.
    fn workers(&self) -> Vec<WorkerCard>;

    /// Takes jobs from workers that were not heard of, gives up those whose deadline passed, forgets what is kept no longer.
    /// To be called about once a second by every process that serves jobs.
    ///
    /// # Errors
    /// [`JobError`]
    fn keep_house(&self) -> Result<(), JobError>;

    /// Whether it answers.
    ///
    /// # Errors
    /// [`JobError`]
    fn check(&self) -> Result<(), JobError>;
}

/// A job that was handed in.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    /// The job.
    pub job: Job,
    /// False if it was there already.
    pub is_new: bool,
}

/// A job in the hands of a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// As it was when it was taken.
    pub job: Job,
    /// Its number.
    pub fence: u64,
}

/// What a worker shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orders {
    /// Go on.
    Continue,
    /// Stop: somebody cancelled the job.
    Cancel,
    /// Stop, and write nothing: the lease is over.
    Lost,
}

/// A sign of life.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Beat {
    /// How far the job is, if it is further.
    pub progress: Option<Progress>,
    /// What happened since the last one, the oldest first; engines only keep it.
    pub events: Vec<Vec<u8>>,
}

/// How a job ended, or a try of it, if not with a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It failed.
    Failed {
        /// Why.
        failure: JobFailure,
        /// Whether another try may help.
        again: bool,
    },
    /// It was stopped.
    Stopped(Stop),
    /// Its worker stops working.
    GivenBack,
}

impl Ending {
    /// As it happens to the job.
    pub fn event(self, fence: u64) -> JobEvent {
        match self {
            Ending::Failed { failure, again } => JobEvent::Fail {
                fence,
                failure,
                again,
            },
            Ending::Stopped(why) => JobEvent::Stopped { fence, why },
            Ending::GivenBack => JobEvent::GiveBack { fence },
        }
    }
}

/// What happened to a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// The oldest first.
    pub events: Vec<Happened>,
    /// The job as it is now.
    pub job: Job,
}

impl Watched {
    /// True if nothing more comes by itself.
    pub fn is_last(&self, after: u64) -> bool {
        let last = self.events.last().map_or(after, |event| event.sequence);
        self.job.state.has_ended() && last >= self.job.last_sequence
    }
}

/// An event of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Happened {
    /// Its number; larger is later. Numbers may be left out.
    pub sequence: u64,
    /// When, milliseconds since 1970 UTC.
    pub unix_ms: u64,
    /// What.
    pub body: EventBody,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum EventBody {
    /// Its state changed.
    State(LogEntry),
    /// What its worker told.
    Told(Vec<u8>),
}
