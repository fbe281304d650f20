//! The work of a simulated worker: time passes, tiles are told of, and it stops when it should.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nephrite_jobs::{Desk, JobFailure, JobResult, JobRunner, Lease, NewJob, Note, Priority, Progress};
use nephrite_types::ErrorCode;
use serde::{Deserialize, Serialize};

use crate::scans::Scans;
use crate::tally::Tally;

/// Between tiles.
const TILE: Duration = Duration::from_millis(100);

/// What a simulated job asks for; its request.
#[derive(Debug, Serialize, Deserialize)]
struct Work {
    service_ms: u64,
    /// Makes a request about as long as one of a case is.
    filler: String,
}

/// Bytes of a request.
const REQUEST: usize = 700;

/// A job that takes so long.
pub(crate) fn job(key: &str, service: Duration) -> NewJob {
    let work = Work {
        service_ms: service.as_millis() as u64,
        filler: "x".repeat(REQUEST),
    };
    NewJob {
        key: key.to_owned(),
        tenant: String::new(),
        priority: Priority::Normal,
        request: serde_json::to_string(&work).expect("numbers and text"),
        output: format!("results/{key}"),
        needs: Default::default(),
        scan: None,
        witness: String::new(),
        deadline_unix_ms: None,
        max_attempts: 3,
        attached: false,
        reuse: false,
    }
}

/// Does jobs of one worker.
#[derive(Debug)]
pub(crate) struct Simulated {
    pub(crate) worker: String,
    pub(crate) tally: Arc<Tally>,
    /// Of its process; nothing is read if there is none.
    pub(crate) scans: Option<Arc<Scans>>,
}

impl JobRunner for Simulated {
    fn run(&self, lease: &Lease, desk: &Desk<'_>) -> Result<JobResult, (JobFailure, bool)> {
        let key = &lease.job.new.key;
        self.tally.started(key, &self.worker);
        let ran = self.pass_time(lease, desk);
        self.tally.stopped(key, &self.worker);
        ran
    }
}

impl Simulated {
    fn pass_time(&self, lease: &Lease, desk: &Desk<'_>) -> Result<JobResult, (JobFailure, bool)> {
        let work: Work = serde_json::from_str(&lease.job.new.request)
            .map_err(|error| failure(ErrorCode::Internal, &error.to_string()))?;
        let mut until = Instant::now();
        if let (Some(scans), Some(scan)) = (&self.scans, &lease.job.new.scan) {
            until = scans.want(scan).max(until);
        }
        until += Duration::from_millis(work.service_ms);
        let total = until
            .duration_since(Instant::now())
            .as_millis()
            .div_ceil(TILE.as_millis());
        let mut done = 0;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(TILE));
            if desk.cancel().is_cancelled() {
                return Err(failure(ErrorCode::Cancelled, "stopped"));
            }
            done += 1;
            desk.tell(tile(done, total as u64));
        }
        // As before a result folder gets its name.
        desk.seal()
            .map_err(|error| failure(ErrorCode::Unavailable, &error.to_string()))?;
        Ok(JobResult {
            record_sha256: "ab".repeat(32),
            input_sha256: Some("cd".repeat(32)),
            reused_from: None,
        })
    }
}

fn tile(done: u64, total: u64) -> Note {
    let progress = Progress {
        step: "model".to_owned(),
        stage: "inference".to_owned(),
        tiles_done: done,
        tiles_total: total,
        seconds_left: None,
    };
    Note {
        body: format!("a tile of a step, {done} of {total}, as long as one of a real run").into_bytes(),
        progress: Some(progress),
        tiles_of: Some("model".to_owned()),
    }
}

fn failure(code: ErrorCode, message: &str) -> (JobFailure, bool) {
    let failure = JobFailure {
        code: code.name().to_owned(),
        message: message.to_owned(),
    };
    (failure, true)
}
