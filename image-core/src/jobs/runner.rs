//! What a worker does with a job.

use nephrite_jobs::{Desk, Job, JobFailure, JobResult, JobRunner, Lease};
use nephrite_types::ErrorCode;

use super::failure::failure;
use super::notes::Notes;
use super::owner::JobOwner;
use super::witness;
use crate::case::{
    CaseError, CaseReport, CaseRequest, CaseServices, RequestRecord, inputs_of_record, result_of_job,
    run_case_for,
};
use crate::core::Core;

/// Runs cases in this process.
pub(crate) struct CaseRunner<'a> {
    pub(crate) core: &'a Core,
    pub(crate) services: &'a CaseServices,
}

impl JobRunner for CaseRunner<'_> {
    fn fits(&self, job: &Job) -> bool {
        let needed = job.new.needs.memory_bytes;
        needed.is_none_or(|bytes| self.core.memory().has_room(bytes))
    }

    fn run(&self, lease: &Lease, desk: &Desk<'_>) -> Result<JobResult, (JobFailure, bool)> {
        let record: RequestRecord = serde_json::from_str(&lease.job.new.request).map_err(|error| {
            let failure = JobFailure {
                code: ErrorCode::Internal.name().to_owned(),
                message: format!("the request cannot be read: {error}"),
            };
            (failure, false)
        })?;
        let request = CaseRequest::from(&record);
        let (id, number) = (lease.job.id.as_str(), lease.job.number);
        // A try before this one may have given the result its name, and died before it could say so.
        let is_there = |core| result_of_job(core, &request.output, id, number).map(|report| result(&report));
        if let Some(result) = is_there(self.core) {
            return Ok(result);
        }
        witness::check(self.core, &request, &lease.job.new.witness).map_err(|error| failure(&error))?;
        let owner = JobOwner { lease, desk };
        let notes = Notes::new(desk);
        match run_case_for(self.core, self.services, &request, &owner, &notes, desk.cancel()) {
            Ok(report) => Ok(result(&report)),
            // or may have done so meanwhile
            Err(error @ CaseError::OutputExists { .. }) => is_there(self.core).ok_or_else(|| failure(&error)),
            Err(error) => Err(failure(&error)),
        }
    }
}

/// What the job keeps of what came of its case.
pub(super) fn result(report: &CaseReport) -> JobResult {
    let record = report.files.last(); // the record is the last one
    JobResult {
        record_sha256: record.map_or_else(String::new, |file| file.sha256.clone()),
        input_sha256: inputs_of_record(&report.record),
        reused_from: None,
    }
}
