//! A job as the owner of a case.

use std::time::{Duration, Instant};

use nephrite_jobs::{Desk, Lease, fault};

use crate::case::{CaseError, CaseOwner, JobRecord};

/// A job that runs: its result gets its name only as long as its lease is valid.
pub(super) struct JobOwner<'a> {
    pub(super) lease: &'a Lease,
    pub(super) desk: &'a Desk<'a>,
}

/// How long it is asked whether the lease is valid, if nobody answers.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(250);

impl CaseOwner for JobOwner<'_> {
    fn job(&self) -> Option<JobRecord> {
        Some(JobRecord {
            id: self.lease.job.id.to_string(),
            number: self.lease.job.number,
            lease: self.lease.fence,
        })
    }

    fn seal(&self) -> Result<(), CaseError> {
        let began = Instant::now();
        loop {
            match self.desk.seal() {
                Ok(()) => break,
                Err(error) if error.may_pass() && began.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
                Err(error) => {
                    let reason = error.to_string();
                    return Err(CaseError::NotOurs { reason });
                }
            }
        }
        fault::reach("result_written");
        Ok(())
    }
}
