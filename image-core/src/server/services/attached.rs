//! A case whose caller waits for it, as a job: submitted, watched, and cancelled when its caller goes away.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nephrite_jobs::{Clock, EventBody, Job, JobError, JobId, JobState, Priority};
use nephrite_proto::v1::case_service_run_response::Event;
use nephrite_proto::v1::{Accepted, CaseServiceRunResponse};
use nephrite_server::{Attended, Deadline, Refusal};
use nephrite_types::{CancelToken, Cancelled, ErrorCode};
use tokio::sync::mpsc::Sender;
use tonic::Status;

use super::Work;
use super::streaming::Item;
use crate::case::{CaseRequest, CaseServices, finished_result};
use crate::core::Core;
use crate::jobs::{Office, Submission, SubmitError};
use crate::wire::case as case_messages;
use crate::wire::job as messages;
use crate::wire::told::{case_event, told};

/// Events that may wait for a slow caller.
pub(super) const MAX_WAITING_EVENTS: usize = 256;
/// Of these, places that tiles leave to everything else.
pub(super) const KEPT_FOR_STEPS: usize = 192;
/// How long the job is silent before it is looked whether the caller is still there.
const LOOK: Duration = Duration::from_millis(100);
/// How long a job that was cancelled is waited for, so that its name is free when the caller hears of it.
const TO_END: Duration = Duration::from_secs(60);

/// Jobs whose callers wait at this server.
#[derive(Debug)]
pub(super) struct AttachedJobs {
    office: Arc<Office>,
    waiting: Mutex<HashSet<JobId>>,
    n_keys: AtomicU64,
}

/// One of them; no longer when dropped.
pub(super) struct Attached {
    jobs: Arc<AttachedJobs>,
    job: Job,
}

impl AttachedJobs {
    pub(super) fn new(office: Arc<Office>) -> Self {
        AttachedJobs {
            office,
            waiting: Mutex::default(),
            n_keys: AtomicU64::new(0),
        }
    }

    /// Submits the case. One that a caller left behind at a server that died is taken up again.
    pub(super) fn submit(
        self: &Arc<Self>,
        core: &Core,
        services: &CaseServices,
        request: CaseRequest,
        deadline: Option<Deadline>,
        cancel: &CancelToken,
    ) -> Result<Attached, SubmitError> {
        let now = Clock::default().unix_us();
        let n = self.n_keys.fetch_add(1, Ordering::Relaxed);
        let left = deadline.map(|Deadline(at)| at.saturating_duration_since(tokio::time::Instant::now()));
        let submission = Submission {
            request,
            key: Some(format!("run {now}-{}-{n}", std::process::id())),
            tenant: String::new(),
            priority: Priority::Normal,
            deadline_unix_ms: left.map(|left| {
                let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
                (now / 1000).saturating_add(left.max(1))
            }),
            capability: None,
            max_attempts: Some(1), // its caller hears of a failure, and may try again
            reuse: false,
            attached: true,
        };
        let text = crate::jobs::request_text(&submission.request);
        let job = match self.office.submit(core, services, submission, cancel) {
            Ok(submitted) => submitted.job,
            Err(SubmitError::Job(JobError::OutputTaken { output, id })) => {
                let other = self.office.engine().get(&id)?;
                let is_left_behind = other.new.attached && other.new.request == text && !self.waits(&id);
                if !is_left_behind {
                    return Err(JobError::OutputTaken { output, id }.into());
                }
                other
            }
            Err(error) => return Err(error),
        };
        self.set().insert(job.id.clone());
        Ok(Attached {
            jobs: self.clone(),
            job,
        })
    }

    fn waits(&self, id: &JobId) -> bool {
        self.set().contains(id)
    }

    fn set(&self) -> std::sync::MutexGuard<'_, HashSet<JobId>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attached {
    pub(super) fn accepted(&self) -> CaseServiceRunResponse {
        let place = self
            .jobs
            .office
            .engine()
            .places(std::slice::from_ref(&self.job.id));
        let place = place.into_iter().next().flatten().unwrap_or(1);
        CaseServiceRunResponse {
            event: Some(Event::Accepted(Accepted {
                request_id: self.job.id.to_string(),
                position: u32::try_from(place - 1).unwrap_or(u32::MAX),
            })),
        }
    }

    /// Sends what happens, and how it ended. Cancels the job if the caller goes away, its deadline passes, or the server's time
    /// is over.
    pub(super) fn attend(
        self,
        attended: Attended<Core>,
        work: &Work,
        output: &Path,
        cancel: &CancelToken,
        sender: &Sender<Item<CaseServiceRunResponse>>,
    ) {
        let ended = self.watch(cancel, sender);
        let last = match ended {
            Ok(job) if job.state == JobState::Succeeded => finished_result(work.shared(), output)
                .map(|report| CaseServiceRunResponse {
                    event: Some(case_messages::done(&report, output.display().to_string())),
                })
                .map_err(|error| Refusal::from(error).into()),
            Ok(job)
                if job.state == JobState::Cancelled && cancel.check() == Err(Cancelled::DeadlineExceeded) =>
            {
                Err(Refusal::DeadlineExceeded.into())
            }
            Ok(job) => Err(refusal(&job, work.is_stopped())),
            Err(refusal) => Err(Status::from(refusal)),
        };
        drop(attended);
        let _ = sender.blocking_send(last); // a caller that is gone needs no answer
    }

    /// The job as it ended.
    fn watch(
        &self,
        cancel: &CancelToken,
        sender: &Sender<Item<CaseServiceRunResponse>>,
    ) -> Result<Job, Refusal> {
        let engine = self.jobs.office.engine();
        let id = &self.job.id;
        let mut after = 0;
        let mut cancelled: Option<Instant> = None;
        loop {
            let should_stop = sender.is_closed() || cancel.is_cancelled();
            if should_stop && cancelled.is_none() {
                cancelled = Some(Instant::now());
                match engine.cancel(id) {
                    // it may have ended meanwhile
                    Ok(_) | Err(JobError::Refused { .. } | JobError::Unknown { .. }) => {}
                    Err(error) => {
                        tracing::warn!(job = id.as_str(), %error, "a job whose caller is gone cannot be cancelled")
                    }
                }
            }
            if cancelled.is_some_and(|at| at.elapsed() > TO_END) {
                return Err(Refusal::CallerGone);
            }
            let watched = match engine.watch(id, after, LOOK) {
                Ok(watched) => watched,
                Err(error) if error.may_pass() => {
                    std::thread::sleep(LOOK);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let is_last = watched.is_last(after);
            for happened in watched.events {
                after = happened.sequence;
                if let EventBody::Told(body) = &happened.body
                    && let Some(event) = told(body).and_then(case_event)
                {
                    let is_tiles = matches!(&event, Event::Progress(progress) if progress.tiles_total > 0);
                    if !is_tiles || sender.capacity() > KEPT_FOR_STEPS {
                        let event = Some(event);
                        let _ = sender.try_send(Ok(CaseServiceRunResponse { event })); // full: it misses tiles, not steps
                    }
                }
            }
            if is_last {
                return Ok(watched.job);
            }
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.jobs.set().remove(&self.job.id);
    }
}

/// How a job that did not succeed is told to the caller who waited for it.
fn refusal(job: &Job, stopped: bool) -> Status {
    match (job.state, &job.failure) {
        (JobState::Cancelled, _) if stopped => Refusal::Stopping.into(),
        (JobState::Cancelled, _) => Refusal::CallerGone.into(),
        (JobState::Expired, _) => Refusal::DeadlineExceeded.into(),
        (_, Some(failure)) => nephrite_proto::status::to_status(messages::code(failure), &failure.message),
        (_, None) => nephrite_proto::status::to_status(ErrorCode::Internal, "the job ended without a result"),
    }
}
