//! Takes cases in.

use std::path::Path;
use std::sync::Arc;

use nephrite_jobs::{
    Filter, Job, JobEngine, JobError, JobId, JobSettings, JobState, MAX_PAGE, Needs, NewJob, Priority, Query,
    Submitted, check_new, fault,
};
use nephrite_types::CancelToken;
use nephrite_volume::FileHash;

use super::error::SubmitError;
use super::runner::result;
use super::witness::witness;
use crate::case::{
    CaseError, CaseOwner, CaseRequest, CaseServices, InputHashes, JobRecord, RequestRecord, answer_to_job,
    case_needs, finished_result, reuse_case,
};
use crate::core::Core;

/// Takes cases in, for one engine.
#[derive(Debug)]
pub(crate) struct Office {
    engine: Arc<dyn JobEngine>,
    hashes: InputHashes,
    settings: JobSettings,
    /// Jobs run here or nowhere: one that never fits is refused at once.
    is_alone: bool,
}

/// A case that is handed in.
#[derive(Debug, Clone)]
pub(crate) struct Submission {
    pub(crate) request: CaseRequest,
    /// Made from the request and the content of its files if `None`.
    pub(crate) key: Option<String>,
    pub(crate) tenant: String,
    pub(crate) priority: Priority,
    pub(crate) deadline_unix_ms: Option<u64>,
    pub(crate) capability: Option<String>,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) reuse: bool,
    /// Its caller waits for it.
    pub(crate) attached: bool,
}

impl Office {
    pub(crate) fn new(engine: Arc<dyn JobEngine>, settings: JobSettings, is_alone: bool) -> Self {
        Office {
            engine,
            hashes: InputHashes::default(),
            settings,
            is_alone,
        }
    }

    pub(crate) fn engine(&self) -> &Arc<dyn JobEngine> {
        &self.engine
    }

    /// Hands a case in, or takes the result of an equal one.
    pub(crate) fn submit(
        &self,
        core: &Core,
        services: &CaseServices,
        submission: Submission,
        cancel: &CancelToken,
    ) -> Result<Submitted, SubmitError> {
        let request = &submission.request;
        let text = request_text(request);
        let inputs = match submission.key.is_none() || submission.reuse {
            true => Some(self.hashes.of_case(core, request, cancel)?),
            false => None,
        };
        let key = submission.key.clone().unwrap_or_else(|| {
            let inputs = inputs.as_deref().unwrap_or_default();
            FileHash::of(format!("{inputs} {text}").as_bytes()).to_string()
        });
        let mut new = NewJob {
            key,
            tenant: submission.tenant.clone(),
            priority: submission.priority,
            request: text,
            output: output_text(core, &request.output),
            needs: Needs::default(),
            scan: None,
            witness: String::new(),
            deadline_unix_ms: submission.deadline_unix_ms,
            max_attempts: submission.max_attempts.unwrap_or(self.settings.max_attempts),
            attached: submission.attached,
            reuse: submission.reuse,
        };
        let id = JobId::of(&new.tenant, &new.key);
        match self.engine.get(&id) {
            // not looked at again: its scans may be gone by now, and its result is there
            Ok(_) => return Ok(self.engine.submit(new)?),
            Err(JobError::Unknown { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        check_new(&new, &self.settings)?; // before anything is made
        let inputs = inputs.filter(|_| submission.reuse);
        if let Some(inputs) = &inputs
            && let Some(report) = answer_to_job(core, &request.output, id.as_str(), inputs)
        {
            // a call before this one made the folder, and died before it could say so
            let earlier = report
                .record
                .reused
                .as_ref()
                .and_then(|reused| reused.job.clone());
            let mut result = result(&report);
            result.reused_from = earlier.and_then(|id| JobId::parse(&id).ok());
            return Ok(self.engine.answer(new, result)?);
        }
        let needs = case_needs(core, services, request, self.is_alone, cancel)?;
        new.needs = Needs {
            capability: submission.capability.clone(),
            models: needs.models,
            memory_bytes: needs.memory_bytes,
        };
        new.scan = needs
            .scan
            .map(|(path, bytes)| FileHash::of(format!("{path} {bytes}").as_bytes()).to_string());
        new.witness = witness(core, request)?;
        if let Some(inputs) = inputs
            && let Some(answered) = self.answer(core, services, &submission, &new, &inputs, cancel)?
        {
            return Ok(answered);
        }
        let submitted = self.engine.submit(new)?;
        fault::reach("submitted");
        Ok(submitted)
    }

    /// Takes the result of an equal case, if there is one that still holds.
    fn answer(
        &self,
        core: &Core,
        services: &CaseServices,
        submission: &Submission,
        new: &NewJob,
        inputs: &str,
        cancel: &CancelToken,
    ) -> Result<Option<Submitted>, SubmitError> {
        let id = JobId::of(&new.tenant, &new.key);
        for earlier in self.done_before(&new.tenant, inputs)? {
            let owner = Answered { id: &id };
            let request: RequestRecord = match serde_json::from_str(&earlier.new.request) {
                Ok(request) => request,
                Err(_) => continue,
            };
            let folder = Path::new(&request.output);
            let kept = earlier
                .result
                .as_ref()
                .map(|result| result.record_sha256.as_str());
            let found = finished_result(core, folder).ok();
            let found = found.as_ref().and_then(|report| report.files.last()); // the record is the last one
            if found.map(|file| file.sha256.as_str()) != kept {
                continue;
            }
            let report = reuse_case(core, services, &submission.request, folder, &owner, cancel)?;
            if let Some(report) = report {
                let mut result = result(&report);
                result.reused_from = Some(earlier.id.clone());
                return Ok(Some(self.engine.answer(new.clone(), result)?));
            }
        }
        Ok(None)
    }

    /// Jobs of the tenant whose inputs were equal, the youngest first; a few at most.
    fn done_before(&self, tenant: &str, inputs: &str) -> Result<Vec<Job>, SubmitError> {
        const AT_MOST: usize = 3;
        let mut query = Query {
            filter: Filter {
                states: [JobState::Succeeded].into(),
                tenant: Some(tenant.to_owned()),
                priority: None,
            },
            page_size: MAX_PAGE,
            token: None,
        };
        let mut found = Vec::new();
        loop {
            let page = self.engine.list(&query)?;
            let is_equal = |job: &Job| {
                let result = job.result.as_ref();
                result.is_some_and(|result| result.input_sha256.as_deref() == Some(inputs))
            };
            found.extend(page.jobs.into_iter().filter(is_equal));
            query.token = page.next;
            if query.token.is_none() || found.len() >= AT_MOST {
                found.truncate(AT_MOST);
                return Ok(found);
            }
        }
    }

    /// Why no worker that is there can ever take a job.
    pub(crate) fn blocked(&self, needs: &Needs) -> Option<String> {
        let workers = self.engine.workers();
        if workers.is_empty() {
            return Some("no worker is there".to_owned());
        }
        let misfits: Option<Vec<String>> = workers.iter().map(|worker| worker.misfit(needs)).collect();
        misfits.map(|mut reasons| {
            reasons.truncate(3);
            reasons.join("; ")
        })
    }
}

/// A job that is answered and not run.
struct Answered<'a> {
    id: &'a JobId,
}

impl CaseOwner for Answered<'_> {
    fn job(&self) -> Option<JobRecord> {
        Some(JobRecord {
            id: self.id.to_string(),
            number: 0,
            lease: 0,
        })
    }

    fn seal(&self) -> Result<(), CaseError> {
        Ok(())
    }
}

/// The request as the job keeps it: its paths as they were given.
pub(crate) fn request_text(request: &CaseRequest) -> String {
    let record = RequestRecord::of(request, |path| path.display().to_string());
    serde_json::to_string(&record).expect("a request has string keys only")
}

/// What two jobs must not have in common.
fn output_text(core: &Core, output: &Path) -> String {
    core.absolute_text(output)
}
