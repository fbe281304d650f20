//! Steps of cases that run elsewhere.

use std::sync::Arc;
use std::time::Duration;

use nephrite_kernel::Artefacts;
use nephrite_proto::ConvertError;
use nephrite_proto::convert::{list, path};
use nephrite_proto::v1::run_response::Event as RunEvent;
use nephrite_proto::v1::step_service_run_response::Event;
use nephrite_proto::v1::step_service_server::StepService;
use nephrite_proto::v1::{
    self, Accepted, SampleRequest, SampleResponse, StepServiceRunRequest, StepServiceRunResponse,
};
use nephrite_server::{Deadline, Refusal};
use nephrite_types::CancelToken;
use nephrite_volume::Reader;
use tokio::sync::mpsc::Sender;
use tonic::{Request, Response, Status};

use super::Work;
use super::events::{Events, MAX_WAITING_EVENTS, TileCount};
use super::streaming::{EventStream, Item, Streaming};
use crate::core::Core;
use crate::error::CoreError;
use crate::samples::{SampleStep, run_sample_step};
use crate::segment::run_model_step;
use crate::wire::step::{StepRequest, reader, take_mask};
use crate::wire::{self, warning};

/// `StepService`.
#[derive(Debug)]
pub(crate) struct Steps {
    work: Arc<Work>,
}

impl Steps {
    pub(crate) fn new(work: Arc<Work>) -> Self {
        Steps { work }
    }
}

#[tonic::async_trait]
impl StepService for Steps {
    type RunStream = EventStream<StepServiceRunResponse>;

    async fn run(
        &self,
        request: Request<StepServiceRunRequest>,
    ) -> Result<Response<Self::RunStream>, Status> {
        let deadline = Deadline::of(&request);
        let request = StepRequest::try_from(request.into_inner()).map_err(Refusal::from)?;
        let ticket = self.work.enter()?;
        let request_id = self.work.request_id();
        let position = ticket.position();
        tracing::info!(request_id, position, "step accepted");
        tracing::debug!(request_id, model = %request.run.model.folder.display(), "step");
        let accepted = Event::Accepted(Accepted {
            request_id: request_id.clone(),
            position,
        });
        let streaming = Streaming {
            work: self.work.clone(),
            deadline,
            capacity: MAX_WAITING_EVENTS,
            accepted: StepServiceRunResponse {
                event: Some(accepted),
            },
            gone: Box::new(|| {}),
        };
        let stream = streaming.start(
            ticket,
            move |core, cancel, events| run(request, core, cancel, events),
            move |outcome, waited| {
                log(&request_id, &outcome, waited);
                Ok(StepServiceRunResponse {
                    event: Some(Event::Done(outcome?)),
                })
            },
        );
        Ok(Response::new(stream))
    }

    async fn sample(&self, request: Request<SampleRequest>) -> Result<Response<SampleResponse>, Status> {
        let deadline = Deadline::of(&request);
        let request = request.into_inner();
        let scan = path("scan", &request.scan).map_err(Refusal::from)?;
        let output = path("output", &request.output).map_err(Refusal::from)?;
        let labels = list("labels", &request.labels, |label| Ok(label.to_owned())).map_err(Refusal::from)?;
        let mask = request
            .mask
            .ok_or(ConvertError::Missing { field: "mask" })
            .map_err(Refusal::from)?;
        let reader = match request.reader.as_str() {
            "" => Reader::SimpleItk,
            name => reader(name).map_err(Refusal::from)?,
        };
        let world = warning::world("world", request.world).map_err(Refusal::from)?;
        let world = world.unwrap_or(reader.world());
        let sample = self.work.heavy(deadline, move |core, cancel| {
            let mask = take_mask(core, mask, cancel)?;
            let folder = Artefacts::new(core.root().open_writable_folder(&output)?, &output);
            let sample = SampleStep {
                scan,
                scan_bytes: (request.scan_bytes > 0).then_some(request.scan_bytes),
                reader,
                world,
                mask,
                labels,
                margin_mm: request.margin_mm,
            };
            run_sample_step(core, &sample, &folder, cancel).inspect_err(|_| folder.discard())
        });
        let outcome = sample.await?;
        let files = outcome.files.into_iter().map(|file| v1::Artefact {
            path: file.path.display().to_string(),
            name: file.name,
            media_type: file.media_type,
        });
        Ok(Response::new(SampleResponse {
            files: files.collect(),
            counters: Some((&outcome.counters).into()),
            peak_rss_bytes: outcome.peak_rss_bytes,
            scan_sha256: outcome.scan_sha256,
        }))
    }
}

fn run(
    request: StepRequest,
    core: &Core,
    cancel: &CancelToken,
    events: Sender<Item<StepServiceRunResponse>>,
) -> Result<v1::StepDone, CoreError> {
    let exchange = match &request.exchange_folder {
        Some(path) => Some((core.root().open_writable_folder(path)?, path.clone())),
        None => None,
    };
    let run = request.unpack(core, cancel)?;
    let told = Events::with(events, Arc::<TileCount>::default(), step_event);
    let outcome = run_model_step(core, &run, &told, cancel)?;
    let exchange = exchange.as_ref().map(|(dir, path)| (dir, path.as_path()));
    wire::step::done(core, outcome, exchange, cancel)
}

/// Progress is told as that of a run.
fn step_event(event: RunEvent) -> StepServiceRunResponse {
    let event = match event {
        RunEvent::Accepted(accepted) => Some(Event::Accepted(accepted)),
        RunEvent::Loading(loading) => Some(Event::Loading(loading)),
        RunEvent::Progress(tiles) => Some(Event::Progress(tiles)),
        RunEvent::Exporting(exporting) => Some(Event::Exporting(exporting)),
        RunEvent::Warning(warning) => Some(Event::Warning(warning)),
        RunEvent::Done(_) => None,
    };
    StepServiceRunResponse { event }
}

fn log(request_id: &str, outcome: &Result<v1::StepDone, Refusal>, waited: Duration) {
    match outcome {
        Ok(done) => tracing::info!(
            request_id,
            tiles = done.tiles,
            waited_seconds = waited.as_secs_f64(),
            "step done"
        ),
        Err(refusal) => {
            let code = refusal.code().name();
            tracing::info!(request_id, code, "step ended");
            tracing::debug!(request_id, reason = %refusal, "step ended"); // names files
        }
    }
}
