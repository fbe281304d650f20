//! A job as an engine keeps it.

use serde::{Deserialize, Serialize};

use crate::id::JobId;
use crate::needs::Needs;
use crate::priority::Priority;
use crate::state::JobState;

/// Changes of state that a job remembers; older ones are forgotten.
pub const MAX_LOG: usize = 64;

/// What is handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewJob {
    /// Of the tenant; the same key is the same job.
    pub key: String,
    /// Whose it is; may be empty.
    pub tenant: String,
    /// Who goes first.
    pub priority: Priority,
    /// The case, as JSON; engines only keep it.
    pub request: String,
    /// Result folder: no two jobs that have not ended have the same.
    pub output: String,
    /// What it needs of its worker.
    pub needs: Needs,
    /// What stands for the scans that it reads: jobs with equal ones prefer one worker.
    pub scan: Option<String>,
    /// What stands for the state in which its scans were handed in; engines only keep it.
    #[serde(default)]
    pub witness: String,
    /// Until when it must have ended, milliseconds since 1970 UTC.
    pub deadline_unix_ms: Option<u64>,
    /// How often it may be tried, at least once.
    pub max_attempts: u32,
    /// True if its caller waits for it, and cancels it when it goes away.
    pub attached: bool,
    /// True if the result of an equal case may be taken.
    pub reuse: bool,
}

/// A job as an engine keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// What it is called.
    pub id: JobId,
    /// As handed in.
    pub new: NewJob,
    /// Larger is later: microseconds since 1970 UTC when it was handed in, unless an earlier job had that number.
    pub number: u64,
    /// Milliseconds since 1970 UTC.
    pub submitted_unix_ms: u64,
    /// When a worker took it first.
    pub started_unix_ms: Option<u64>,
    /// When it ended.
    pub ended_unix_ms: Option<u64>,
    /// What became of it.
    pub state: JobState,
    /// The number of the lease that holds it, or that held it last; 0 before the first.
    pub fence: u64,
    /// Who has the lease, or had it last.
    pub worker: Option<String>,
    /// The process of that worker.
    pub process: Option<String>,
    /// Leases since it was handed in, or handed in again; those that were given back do not count.
    pub attempts: u32,
    /// Leases in all.
    pub executions: u32,
    /// Somebody wants it to stop.
    pub cancel_requested: bool,
    /// How far the worker was when it last said.
    pub progress: Option<Progress>,
    /// What came of it.
    pub result: Option<JobResult>,
    /// Why it did not succeed, or why it was not done at the last try.
    pub failure: Option<JobFailure>,
    /// The number of the last event.
    pub last_sequence: u64,
    /// How its state changed, the last [`MAX_LOG`] times.
    pub log: Vec<LogEntry>,
}

impl Job {
    /// Queued, at the given time.
    pub fn queued(new: NewJob, number: u64, now_unix_ms: u64) -> Job {
        let mut job = Job {
            id: JobId::of(&new.tenant, &new.key),
            new,
            number,
            submitted_unix_ms: now_unix_ms,
            started_unix_ms: None,
            ended_unix_ms: None,
            state: JobState::Queued,
            fence: 0,
            worker: None,
            process: None,
            attempts: 0,
            executions: 0,
            cancel_requested: false,
            progress: None,
            result: None,
            failure: None,
            last_sequence: 0,
            log: Vec::new(),
        };
        job.note(now_unix_ms);
        job
    }

    /// One that was done before: it ends as it is handed in.
    pub fn answered(new: NewJob, number: u64, result: JobResult, now_unix_ms: u64) -> Job {
        let mut job = Job::queued(new, number, now_unix_ms);
        job.state = JobState::Succeeded;
        job.ended_unix_ms = Some(now_unix_ms);
        job.result = Some(result);
        job.note(now_unix_ms);
        job
    }

    /// Takes the state into the log.
    pub(crate) fn note(&mut self, now_unix_ms: u64) {
        self.last_sequence += 1;
        if self.log.len() == MAX_LOG {
            self.log.remove(0);
        }
        self.log.push(LogEntry {
            sequence: self.last_sequence,
            unix_ms: now_unix_ms,
            state: self.state,
            attempt: self.attempts,
            worker: self.worker.clone().filter(|_| self.state == JobState::Running),
            reason: self.failure.as_ref().map(|failure| failure.message.clone()),
        });
    }
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The step that was heard of last.
    pub step: String,
    /// What it does, in one word; empty if it has no stages.
    pub stage: String,
    /// Tiles of the step that are finished.
    pub tiles_done: u64,
    /// Tiles of the step in all; 0 if it has none.
    pub tiles_total: u64,
    /// Seconds until its last tile is done, if that can be known.
    pub seconds_left: Option<f64>,
}

/// What came of a job that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResult {
    /// SHA-256 of `record.json` in its result folder, hexadecimal.
    pub record_sha256: String,
    /// Stands for what went in: a case with an equal one gives the same masks.
    pub input_sha256: Option<String>,
    /// The job whose result was taken; the case was not run again.
    pub reused_from: Option<JobId>,
}

/// Why a job did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFailure {
    /// Name of the error code.
    pub code: String,
    /// What happened.
    pub message: String,
}

/// A change of state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Its number among the events of the job.
    pub sequence: u64,
    /// When.
    pub unix_ms: u64,
    /// What it was from then on.
    pub state: JobState,
    /// Which try it was.
    pub attempt: u32,
    /// Who took it.
    pub worker: Option<String>,
    /// Why.
    pub reason: Option<String>,
}
