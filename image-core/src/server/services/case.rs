//! Cases of patients.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nephrite_proto::ConvertError;
use nephrite_proto::convert::path;
use nephrite_proto::v1::case_service_run_response::Event;
use nephrite_proto::v1::case_service_server::CaseService;
use nephrite_proto::v1::{
    Accepted, CaseServiceEstimateRequest, CaseServiceEstimateResponse, CaseServiceRunRequest,
    CaseServiceRunResponse, GetMaskRequest, GetMaskResponse,
};
use nephrite_server::{Deadline, Refusal, token};
use tokio::sync::mpsc::{self, Sender};
use tonic::{Request, Response, Status};

use super::Work;
use super::attached::{AttachedJobs, KEPT_FOR_STEPS, MAX_WAITING_EVENTS};
use super::streaming::{EventStream, Item, Streaming};
use crate::case::{
    CaseError, CaseEvent, CaseEvents, CaseReport, CaseRequest, estimate_case, finished_mask, run_case,
};
use crate::jobs::Office;
use crate::place::CaseServices;
use crate::wire::case::{self as messages, case_request};
use crate::wire::case_events::CaseMessages;

/// Tiles of a step are sent at most this often.
const EVERY: Duration = Duration::from_millis(50);

/// Bytes of a mask in a message that every client takes: 4 MiB, as gRPC has it, less room for the rest.
const MAX_MASK_BYTES: usize = (4 << 20) - (64 << 10);

/// `CaseService`.
#[derive(Debug)]
pub(crate) struct Cases {
    work: Arc<Work>,
    services: Arc<CaseServices>,
    /// Where cases are jobs.
    jobs: Option<Arc<AttachedJobs>>,
}

impl Cases {
    /// With an office, cases run as jobs.
    pub(crate) fn new(work: Arc<Work>, services: Arc<CaseServices>, office: Option<Arc<Office>>) -> Self {
        Cases {
            work,
            services,
            jobs: office.map(|office| Arc::new(AttachedJobs::new(office))),
        }
    }

    /// Submits the case as a job, then watches it.
    async fn run_as_job(
        &self,
        jobs: &Arc<AttachedJobs>,
        request: CaseRequest,
        deadline: Option<Deadline>,
    ) -> Result<EventStream<CaseServiceRunResponse>, Status> {
        let cancel = token(deadline);
        let attended = self.work.attend(cancel.clone())?;
        let output = request.output.clone();
        let (jobs, services) = (jobs.clone(), self.services.clone());
        let attached = self
            .work
            .light(move |core, cancel| jobs.submit(core, &services, request, deadline, cancel));
        let attached = attached.await?;
        let (sender, receiver) = mpsc::channel(MAX_WAITING_EVENTS);
        let _ = sender.try_send(Ok(attached.accepted())); // the first of many places
        let stream = EventStream::new(receiver, cancel.clone());
        let work = self.work.clone();
        tokio::task::spawn_blocking(move || attached.attend(attended, &work, &output, &cancel, &sender));
        Ok(stream)
    }
}

#[tonic::async_trait]
impl CaseService for Cases {
    type RunStream = EventStream<CaseServiceRunResponse>;

    async fn run(
        &self,
        request: Request<CaseServiceRunRequest>,
    ) -> Result<Response<Self::RunStream>, Status> {
        let deadline = Deadline::of(&request);
        let request = CaseRequest::try_from(request.into_inner()).map_err(Refusal::from)?;
        if let Some(jobs) = &self.jobs {
            return Ok(Response::new(self.run_as_job(jobs, request, deadline).await?));
        }
        let ticket = self.work.enter()?;
        let request_id = self.work.request_id();
        let position = ticket.position();
        tracing::info!(request_id, position, scans = request.scans.len(), "case accepted");
        tracing::debug!(request_id, ?request, "case");
        let accepted = Event::Accepted(Accepted {
            request_id: request_id.clone(),
            position,
        });
        let streaming = Streaming {
            work: self.work.clone(),
            deadline,
            capacity: MAX_WAITING_EVENTS,
            accepted: CaseServiceRunResponse {
                event: Some(accepted),
            },
            gone: Box::new(|| {}),
        };
        let services = self.services.clone();
        let output = request.output.display().to_string();
        let stream = streaming.start(
            ticket,
            move |core, cancel, events| {
                run_case(core, &services, &request, &EventSender::new(events), cancel)
            },
            move |outcome, waited| {
                log(&request_id, &outcome, waited);
                Ok(CaseServiceRunResponse {
                    event: Some(messages::done(&outcome?, output)),
                })
            },
        );
        Ok(Response::new(stream))
    }

    async fn estimate(
        &self,
        request: Request<CaseServiceEstimateRequest>,
    ) -> Result<Response<CaseServiceEstimateResponse>, Status> {
        let missing = ConvertError::Missing { field: "request" };
        let request = request
            .into_inner()
            .request
            .ok_or(missing)
            .map_err(Refusal::from)?;
        let request = case_request(request, PathBuf::new()).map_err(Refusal::from)?;
        let services = self.services.clone();
        let estimate = self
            .work
            .light(move |core, cancel| estimate_case(core, &services, &request, cancel));
        Ok(Response::new(messages::estimate(estimate.await?)))
    }

    async fn get_mask(&self, request: Request<GetMaskRequest>) -> Result<Response<GetMaskResponse>, Status> {
        let GetMaskRequest { output, step } = request.into_inner();
        let output = path("output", &output).map_err(Refusal::from)?;
        if step.is_empty() {
            return Err(Refusal::from(ConvertError::Missing { field: "step" }).into());
        }
        let mask = self.work.light(move |core, cancel| -> Result<_, CaseError> {
            let finished = finished_mask(core, &output, &step, cancel)?;
            messages::finished_mask(&output, finished, MAX_MASK_BYTES)
        });
        Ok(Response::new(mask.await?))
    }
}

fn log(request_id: &str, outcome: &Result<CaseReport, Refusal>, waited: Duration) {
    match outcome {
        Ok(report) => {
            let record = &report.record;
            let counters = &record.counters;
            tracing::info!(
                request_id,
                steps = record.steps.len(),
                waited_seconds = waited.as_secs_f64(),
                total_seconds = record.total_seconds,
                scan_reads = counters.scan_reads,
                scan_bytes_read = counters.scan_bytes_read,
                preprocessings = counters.preprocessings,
                model_loads = counters.model_loads,
                wire_bytes = counters.wire_bytes_sent + counters.wire_bytes_received,
                "case done"
            );
            tracing::debug!(request_id, output = record.request.output, "case done");
        }
        Err(refusal) => {
            let code = refusal.code().name();
            tracing::info!(request_id, code, "case ended");
            tracing::debug!(request_id, reason = %refusal, "case ended"); // names files
        }
    }
}

/// Events of a case as messages. Never waits: a caller that does not read misses tiles, not steps.
struct EventSender {
    sender: Sender<Item<CaseServiceRunResponse>>,
    messages: CaseMessages,
}

impl EventSender {
    fn new(sender: Sender<Item<CaseServiceRunResponse>>) -> Self {
        EventSender {
            sender,
            messages: CaseMessages::new(EVERY),
        }
    }
}

impl CaseEvents for EventSender {
    fn event(&self, event: CaseEvent) {
        let crowded = self.sender.capacity() <= KEPT_FOR_STEPS;
        for event in self.messages.of(&event, crowded) {
            // Full or closed: see the type.
            let _ = self
                .sender
                .try_send(Ok(CaseServiceRunResponse { event: Some(event) }));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn a_caller_that_does_not_read_misses_tiles_and_no_step() {
        let (sender, mut receiver) = mpsc::channel(MAX_WAITING_EVENTS);
        let sender = EventSender::new(sender);
        let tiles = |step: usize| CaseEvent::Tiles {
            step: step.to_string(),
            done: 1,
            total: 1,
        };
        (0..500).for_each(|step| sender.event(tiles(step)));
        (0..KEPT_FOR_STEPS).for_each(|step| {
            sender.event(CaseEvent::Done {
                step: step.to_string(),
            })
        });
        let mut n_done = 0;
        while let Ok(Ok(message)) = receiver.try_recv() {
            if let Some(Event::Progress(progress)) = message.event {
                n_done += usize::from(progress.tiles_total == 0);
            }
        }
        assert_eq!(n_done, KEPT_FOR_STEPS);
    }
}
