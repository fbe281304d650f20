//! Jobs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nephrite_jobs::{Filter, Job, JobError, JobFailure, JobId, JobState, MAX_PAGE, Priority, Query};
use nephrite_proto::ConvertError;
use nephrite_proto::convert::path;
use nephrite_proto::v1;
use nephrite_proto::v1::job_service_server::JobService;
use nephrite_proto::v1::{
    CancelRequest, CancelResponse, FindOrphansRequest, FindOrphansResponse, GetJobRequest, GetJobResponse,
    ListJobsRequest, ListJobsResponse, ListWorkersRequest, ListWorkersResponse, OrphanKind as WireOrphanKind,
    PurgeRequest, PurgeResponse, PurgedJob, RetryRequest, RetryResponse, SubmitRequest, SubmitResponse,
    WatchRequest, WatchResponse,
};
use nephrite_server::Refusal;
use nephrite_types::{CancelToken, Coded};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::Work;
use crate::case::{CaseRequest, CaseServices, remove_result};
use crate::core::Core;
use crate::jobs::{Office, Orphan, OrphanKind, Submission, SubmitError, find_orphans, holds, output_of};
use crate::wire::job as messages;

/// Bytes of a page that every client takes: 4 MiB, as gRPC has it, less room for the rest.
const MAX_PAGE_BYTES: usize = (4 << 20) - (64 << 10);
/// Ids of one request.
const MAX_IDS: usize = 1000;
/// Watchers at a time; each has a thread.
const MAX_WATCHERS: usize = 128;
/// Events that may wait for a slow watcher.
const MAX_WAITING_EVENTS: usize = 64;
/// How long a watcher is silent before it is looked whether it is still there.
const LOOK: Duration = Duration::from_millis(500);
/// A hundred years.
const MAX_SECONDS: f64 = 3.2e9;

/// `JobService`.
#[derive(Debug)]
pub(crate) struct Jobs {
    work: Arc<Work>,
    services: Arc<CaseServices>,
    office: Arc<Office>,
    watchers: Arc<tokio::sync::Semaphore>,
    /// The server stops.
    stopping: CancelToken,
}

impl Jobs {
    pub(crate) fn new(
        work: Arc<Work>,
        services: Arc<CaseServices>,
        office: Arc<Office>,
        stopping: CancelToken,
    ) -> Self {
        Jobs {
            work,
            services,
            office,
            watchers: Arc::new(tokio::sync::Semaphore::new(MAX_WATCHERS)),
            stopping,
        }
    }

    /// Asks the office on a thread that may block.
    async fn ask<T: Send + 'static, E: Coded>(
        &self,
        job: impl FnOnce(&Office, &Core, &CancelToken) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Refusal> {
        let office = self.office.clone();
        self.work
            .light(move |core, cancel| job(&office, core, cancel))
            .await
    }

    /// Lets something happen to one job.
    async fn change(
        &self,
        id: String,
        change: impl FnOnce(&Office, &JobId) -> Result<Job, JobError> + Send + 'static,
    ) -> Result<v1::Job, Status> {
        let id = messages::job_id(&id).map_err(Refusal::from)?;
        let job = self.ask(move |office, _, _| change(office, &id).map(|job| described(office, &job)));
        Ok(job.await?)
    }
}

/// A job as callers see it.
pub(super) fn described(office: &Office, job: &Job) -> v1::Job {
    let place = office.engine().places(std::slice::from_ref(&job.id));
    let waits = job.state == JobState::Queued;
    let blocked = waits.then(|| office.blocked(&job.new.needs)).flatten();
    messages::job(job, place.into_iter().next().flatten(), blocked)
}

#[tonic::async_trait]
impl JobService for Jobs {
    type WatchStream = ReceiverStream<Result<WatchResponse, Status>>;

    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        let submission = submission(request.into_inner())?;
        let services = self.services.clone();
        let submitted = self.ask(move |office, core, cancel| -> Result<_, SubmitError> {
            let submitted = office.submit(core, &services, submission, cancel)?;
            Ok((described(office, &submitted.job), submitted.is_new))
        });
        let (job, is_new) = submitted.await?;
        tracing::info!(job = job.id, is_new, tenant = job.tenant, "job submitted");
        Ok(Response::new(SubmitResponse {
            job: Some(job),
            is_new,
        }))
    }

    async fn get(&self, request: Request<GetJobRequest>) -> Result<Response<GetJobResponse>, Status> {
        let job = self.change(request.into_inner().id, |office, id| office.engine().get(id));
        Ok(Response::new(GetJobResponse {
            job: Some(job.await?),
        }))
    }

    async fn list(&self, request: Request<ListJobsRequest>) -> Result<Response<ListJobsResponse>, Status> {
        let query = messages::query(request.into_inner()).map_err(Refusal::from)?;
        let page = self.ask(move |office, _, _| list(office, query));
        Ok(Response::new(page.await?))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let WatchRequest { id, after_sequence } = request.into_inner();
        let id = messages::job_id(&id).map_err(Refusal::from)?;
        let permit = self.watchers.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Refusal::Overloaded)?;
        // what is wrong with the request is said at once, not in the stream
        let known = id.clone();
        self.ask(move |office, _, _| office.engine().get(&known).map(drop))
            .await?;
        let (sender, receiver) = mpsc::channel(MAX_WAITING_EVENTS);
        let (office, stopping) = (self.office.clone(), self.stopping.clone());
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            watch(&office, &id, after_sequence, &stopping, &sender);
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn cancel(&self, request: Request<CancelRequest>) -> Result<Response<CancelResponse>, Status> {
        let job = self.change(request.into_inner().id, |office, id| office.engine().cancel(id));
        let job = job.await?;
        tracing::info!(job = job.id, "job cancelled");
        Ok(Response::new(CancelResponse { job: Some(job) }))
    }

    async fn retry(&self, request: Request<RetryRequest>) -> Result<Response<RetryResponse>, Status> {
        let job = self.change(request.into_inner().id, |office, id| office.engine().retry(id));
        let job = job.await?;
        tracing::info!(job = job.id, "job queued again");
        Ok(Response::new(RetryResponse { job: Some(job) }))
    }

    async fn purge(&self, request: Request<PurgeRequest>) -> Result<Response<PurgeResponse>, Status> {
        let PurgeRequest { ids, with_results } = request.into_inner();
        if ids.is_empty() {
            return Err(Refusal::from(ConvertError::Missing { field: "ids" }).into());
        }
        if ids.len() > MAX_IDS {
            let (limit, found) = (MAX_IDS, ids.len());
            let fault = ConvertError::TooMany {
                field: "ids",
                limit,
                found,
            };
            return Err(Refusal::from(fault).into());
        }
        let ids: Result<Vec<JobId>, _> = ids.iter().map(|id| messages::job_id(id)).collect();
        let ids = ids.map_err(Refusal::from)?;
        let purged = self.ask(move |office, core, _| -> Result<_, JobError> {
            Ok(ids
                .iter()
                .map(|id| purge(office, core, id, with_results))
                .collect())
        });
        Ok(Response::new(PurgeResponse { jobs: purged.await? }))
    }

    async fn find_orphans(
        &self,
        request: Request<FindOrphansRequest>,
    ) -> Result<Response<FindOrphansResponse>, Status> {
        let folder = path("folder", &request.into_inner().folder).map_err(Refusal::from)?;
        let orphans =
            self.ask(move |office, core, cancel| find_orphans(core, &**office.engine(), &folder, cancel));
        let orphans = orphans.await?;
        Ok(Response::new(FindOrphansResponse {
            orphans: orphans.found.into_iter().map(orphan).collect(),
            incomplete: orphans.incomplete,
        }))
    }

    async fn list_workers(
        &self,
        _request: Request<ListWorkersRequest>,
    ) -> Result<Response<ListWorkersResponse>, Status> {
        let workers = self.ask(|office, _, _| -> Result<_, JobError> {
            let running = running(office)?;
            let of = |name: &str| running.iter().find(|job| job.worker.as_deref() == Some(name));
            let workers = office.engine().workers().into_iter();
            Ok(workers
                .map(|card| {
                    let job = of(&card.name).map(|job| &job.id);
                    messages::worker(card, job)
                })
                .collect())
        });
        Ok(Response::new(ListWorkersResponse {
            workers: workers.await?,
        }))
    }
}

/// A page, with fewer jobs than asked for if these make a message too large.
fn list(office: &Office, mut query: Query) -> Result<ListJobsResponse, JobError> {
    loop {
        let page = office.engine().list(&query)?;
        let ids: Vec<JobId> = page.jobs.iter().map(|job| job.id.clone()).collect();
        let places = office.engine().places(&ids);
        let jobs = page.jobs.iter().zip(places).map(|(job, place)| {
            let waits = job.state == JobState::Queued;
            let blocked = waits.then(|| office.blocked(&job.new.needs)).flatten();
            messages::job(job, place, blocked)
        });
        let response = ListJobsResponse {
            jobs: jobs.collect(),
            next_page_token: page.next.unwrap_or_default(),
        };
        if response.encoded_len() <= MAX_PAGE_BYTES || query.page_size == 1 {
            return Ok(response);
        }
        query.page_size /= 2;
    }
}

fn submission(request: SubmitRequest) -> Result<Submission, Status> {
    let missing = ConvertError::Missing { field: "request" };
    let case = request.request.ok_or(missing).map_err(Refusal::from)?;
    let max_attempts = match request.max_attempts {
        Some(found) if !(1..=100).contains(&found) => {
            let fault = ConvertError::Value {
                field: "max_attempts",
                expected: "1 to 100",
                found: found.to_string(),
            };
            return Err(Refusal::from(fault).into());
        }
        given => given,
    };
    let deadline_unix_ms = match request.deadline_seconds {
        Some(seconds) if !(seconds > 0.0 && seconds <= MAX_SECONDS) => {
            let fault = ConvertError::Value {
                field: "deadline_seconds",
                expected: "seconds from now, above 0",
                found: seconds.to_string(),
            };
            return Err(Refusal::from(fault).into());
        }
        given => given.map(|seconds| {
            let now = nephrite_jobs::Clock::default().unix_ms();
            now.saturating_add((seconds * 1000.0) as u64)
        }),
    };
    let text = |text: String| (!text.is_empty()).then_some(text);
    Ok(Submission {
        request: CaseRequest::try_from(case).map_err(Refusal::from)?,
        key: text(request.key),
        tenant: request.tenant,
        priority: messages::priority("priority", request.priority)
            .map_err(Refusal::from)?
            .unwrap_or(Priority::Normal),
        deadline_unix_ms,
        capability: text(request.capability),
        max_attempts,
        reuse: request.reuse,
        attached: false,
    })
}

/// Sends what happens until the job has ended, the watcher goes away, or the server stops.
fn watch(
    office: &Office,
    id: &JobId,
    mut after: u64,
    stopping: &CancelToken,
    sender: &mpsc::Sender<Result<WatchResponse, Status>>,
) {
    loop {
        if sender.is_closed() {
            return;
        }
        if stopping.is_cancelled() {
            let _ = sender.blocking_send(Err(Refusal::Stopping.into())); // it goes on elsewhere
            return;
        }
        let watched = match office.engine().watch(id, after, LOOK) {
            Ok(watched) => watched,
            Err(error) => {
                let _ = sender.blocking_send(Err(Refusal::from(error).into()));
                return;
            }
        };
        let is_last = watched.is_last(after);
        let job = described(office, &watched.job);
        for happened in &watched.events {
            after = happened.sequence;
            if let Some(message) = messages::event(happened, &job)
                && sender.blocking_send(Ok(message)).is_err()
            {
                return;
            }
        }
        if is_last {
            return;
        }
    }
}

fn purge(office: &Office, core: &Core, id: &JobId, with_results: bool) -> PurgedJob {
    let mut purged = PurgedJob {
        id: id.to_string(),
        ..PurgedJob::default()
    };
    let failed = |error: &dyn Coded| {
        let failure = JobFailure {
            code: error.code().name().to_owned(),
            message: error.to_string(),
        };
        Some(messages::error(&failure))
    };
    let job = match office.engine().get(id) {
        Ok(job) => job,
        Err(error) => {
            purged.error = failed(&error);
            return purged;
        }
    };
    if let Err(source) = job.check_purge() {
        let id = id.clone();
        purged.error = failed(&JobError::Refused { id, source });
        return purged;
    }
    // The folder first: a job that is forgotten cannot say where it is.
    if with_results
        && job.state == JobState::Succeeded
        && let Some(output) = output_of(&job)
    {
        match holds(core, &output, &job) {
            true => match remove_result(core, &output) {
                Ok(()) => purged.result_removed = true,
                Err(error) => {
                    purged.error = failed(&error);
                    return purged;
                }
            },
            false => {
                let failure = JobFailure {
                    code: nephrite_types::ErrorCode::NotFound.name().to_owned(),
                    message: format!(
                        "{}: the result of the job is not there, or was changed: it is left alone",
                        output.display()
                    ),
                };
                purged.error = Some(messages::error(&failure));
            }
        }
    }
    match office.engine().purge(id) {
        Ok(_) => purged.purged = true,
        Err(error) => purged.error = failed(&error),
    }
    purged
}

fn running(office: &Office) -> Result<Vec<Job>, JobError> {
    let query = Query {
        filter: Filter {
            states: [JobState::Running].into(),
            ..Filter::default()
        },
        page_size: MAX_PAGE,
        token: None,
    };
    Ok(office.engine().list(&query)?.jobs)
}

fn orphan(orphan: Orphan) -> v1::Orphan {
    let path: PathBuf = orphan.path;
    v1::Orphan {
        kind: match orphan.kind {
            OrphanKind::UnknownJob => WireOrphanKind::UnknownJob,
            OrphanKind::JobNotSucceeded => WireOrphanKind::JobNotSucceeded,
            OrphanKind::ResultGone => WireOrphanKind::ResultGone,
            OrphanKind::Unfinished => WireOrphanKind::Unfinished,
        }
        .into(),
        path: path.display().to_string(),
        job: orphan.job,
    }
}
