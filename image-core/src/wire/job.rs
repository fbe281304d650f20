//! Jobs ⇄ messages.

use std::collections::BTreeSet;

use nephrite_jobs::{
    EventBody, Filter, Happened, Job, JobFailure, JobId, JobState, LogEntry, Priority, Query, WorkerCard,
};
use nephrite_proto::convert::choice;
use nephrite_proto::v1::watch_response::Event;
use nephrite_proto::{ConvertError, v1};
use nephrite_types::ErrorCode;

use crate::case::{CaseRequest, RequestRecord};

/// Jobs of a page that does not say.
const PAGE_SIZE: u32 = 100;

pub(crate) fn priority(field: &'static str, value: Option<i32>) -> Result<Option<Priority>, ConvertError> {
    Ok(match choice(field, value)? {
        Some(v1::JobPriority::High) => Some(Priority::High),
        Some(v1::JobPriority::Normal) => Some(Priority::Normal),
        Some(v1::JobPriority::Low) => Some(Priority::Low),
        Some(v1::JobPriority::Unspecified) | None => None,
    })
}

fn wire_priority(priority: Priority) -> v1::JobPriority {
    match priority {
        Priority::High => v1::JobPriority::High,
        Priority::Normal => v1::JobPriority::Normal,
        Priority::Low => v1::JobPriority::Low,
    }
}

fn wire_state(state: JobState) -> v1::JobState {
    match state {
        JobState::Queued => v1::JobState::Queued,
        JobState::Running => v1::JobState::Running,
        JobState::Succeeded => v1::JobState::Succeeded,
        JobState::Failed => v1::JobState::Failed,
        JobState::Cancelled => v1::JobState::Cancelled,
        JobState::Expired => v1::JobState::Expired,
        JobState::Dead => v1::JobState::Dead,
    }
}

fn state(value: i32) -> Result<JobState, ConvertError> {
    let wire: Option<v1::JobState> = choice("states", Some(value))?;
    let found = JobState::ALL
        .into_iter()
        .find(|state| Some(wire_state(*state)) == wire);
    found.ok_or(ConvertError::Missing { field: "states" })
}

/// # Errors
/// [`ConvertError`] if that is no id.
pub(crate) fn job_id(id: &str) -> Result<JobId, ConvertError> {
    if id.is_empty() {
        return Err(ConvertError::Missing { field: "id" });
    }
    JobId::parse(id).map_err(|fault| ConvertError::Value {
        field: "id",
        expected: "32 hexadecimal digits",
        found: fault.found,
    })
}

/// Which jobs a list shall have.
///
/// # Errors
/// [`ConvertError`]
pub(crate) fn query(request: v1::ListJobsRequest) -> Result<Query, ConvertError> {
    let states: BTreeSet<JobState> = request
        .states
        .iter()
        .map(|value| state(*value))
        .collect::<Result<_, _>>()?;
    Ok(Query {
        filter: Filter {
            states,
            tenant: request.tenant,
            priority: priority("priority", request.priority)?,
        },
        page_size: request.page_size.unwrap_or(PAGE_SIZE) as usize,
        token: (!request.page_token.is_empty()).then_some(request.page_token),
    })
}

/// A job with its place in the queue, and why nobody can take it.
pub(crate) fn job(job: &Job, place: Option<u64>, blocked: Option<String>) -> v1::Job {
    let request: Option<RequestRecord> = serde_json::from_str(&job.new.request).ok();
    let result = job.result.as_ref();
    v1::Job {
        id: job.id.to_string(),
        key: job.new.key.clone(),
        tenant: job.new.tenant.clone(),
        priority: wire_priority(job.new.priority).into(),
        state: wire_state(job.state).into(),
        request: request.map(|record| (&CaseRequest::from(&record)).into()),
        submitted_unix_ms: job.submitted_unix_ms,
        started_unix_ms: job.started_unix_ms,
        ended_unix_ms: job.ended_unix_ms,
        deadline_unix_ms: job.new.deadline_unix_ms,
        attempts: job.attempts,
        max_attempts: job.new.max_attempts,
        executions: job.executions,
        worker: job.worker.clone().unwrap_or_default(),
        cancel_requested: job.cancel_requested,
        place,
        blocked: blocked.unwrap_or_default(),
        progress: job.progress.as_ref().map(|progress| v1::JobProgress {
            step: progress.step.clone(),
            stage: v1::Stage::from_str_name(&progress.stage).map(Into::into),
            tiles_done: progress.tiles_done,
            tiles_total: progress.tiles_total,
            seconds_left: progress.seconds_left,
        }),
        error: job.failure.as_ref().map(error),
        record_sha256: result.map_or_else(String::new, |result| result.record_sha256.clone()),
        reused_from: result
            .and_then(|result| result.reused_from.as_ref())
            .map_or_else(String::new, ToString::to_string),
        capability: job.new.needs.capability.clone().unwrap_or_default(),
        last_sequence: job.last_sequence,
        memory_bytes: job.new.needs.memory_bytes,
    }
}

pub(crate) fn error(failure: &JobFailure) -> v1::JobError {
    v1::JobError {
        code: v1::ErrorCode::from(code(failure)).into(),
        message: failure.message.clone(),
    }
}

/// What a caller can act on.
pub(crate) fn code(failure: &JobFailure) -> ErrorCode {
    ErrorCode::from_name(&failure.code).unwrap_or(ErrorCode::Internal)
}

/// An event of a job; `job` is the job as it is now. `None` if this version does not know what its worker told.
pub(crate) fn event(happened: &Happened, job: &v1::Job) -> Option<v1::WatchResponse> {
    let event = match &happened.body {
        EventBody::State(entry) => Event::State(change(entry, job)),
        EventBody::Told(body) => crate::wire::told::told(body)?,
    };
    Some(v1::WatchResponse {
        sequence: happened.sequence,
        unix_ms: happened.unix_ms,
        event: Some(event),
    })
}

fn change(entry: &LogEntry, job: &v1::Job) -> v1::JobStateChange {
    v1::JobStateChange {
        state: wire_state(entry.state).into(),
        attempt: entry.attempt,
        worker: entry.worker.clone().unwrap_or_default(),
        reason: entry.reason.clone().unwrap_or_default(),
        job: Some(job.clone()),
    }
}

/// A worker, and the job that it has.
pub(crate) fn worker(card: WorkerCard, job: Option<&JobId>) -> v1::WorkerStatus {
    v1::WorkerStatus {
        name: card.name,
        process: card.process,
        capabilities: card.capabilities,
        models: card.models,
        memory_bytes: card.memory_bytes,
        job: job.map_or_else(String::new, ToString::to_string),
    }
}
