use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use nephrite_kernel::grpc::Outgoing;
use nephrite_kernel::{Artefacts, Mask, OperationError};
use nephrite_nnunet::Numerics;
use nephrite_proto::ConvertError;
use nephrite_proto::convert::{choice, list, optional_path, path};
use nephrite_proto::v1::run_response::Event as RunEvent;
use nephrite_proto::v1::step_service_run_response::Event;
use nephrite_proto::v1::step_service_server::StepService;
use nephrite_proto::v1::{
    self, Accepted, SampleRequest, SampleResponse, StepServiceRunRequest, StepServiceRunResponse,
};
use nephrite_server::{Deadline, Refusal};
use nephrite_types::{BoundingBox, CancelToken, Geometry};
use nephrite_volume::{Reader, World};
use tokio::sync::mpsc::Sender;
use tonic::{Request, Response, Status};

use super::case_messages;
use super::events::{Events, MAX_WAITING_EVENTS, TileCount};
use super::model_choice::model_choice;
use super::streaming::{EventStream, Item, Streaming};
use super::wire_warning;
use crate::case::{SampleStepRequest, run_sample_step};
use crate::masks::{receive_mask, send_mask};
use crate::model_step::{ModelStepOutcome, ModelStepRequest, run_model_step};
use crate::open_model::OpenModel;
use crate::serve::Work;
use crate::world_box::WorldBox;
use crate::{Core, CoreError, SegmentOptions};

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
        let place = self.work.enter()?;
        let request_id = self.work.request_id();
        let position = place.position();
        tracing::info!(request_id, position, "step accepted");
        tracing::debug!(request_id, model = %request.step.model.folder.display(), "step");
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
            place,
            move |core, cancel, events| request.run(core, cancel, events),
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
        let world = wire_warning::world("world", request.world).map_err(Refusal::from)?;
        let world = world.unwrap_or(reader.world());
        let sample = self.work.heavy(deadline, move |core, cancel| {
            let mask = take_mask(core, mask, cancel)?;
            let folder = Artefacts::new(core.root().open_writable_folder(&output)?, &output);
            let sample = SampleStepRequest {
                scan: &scan,
                scan_bytes: (request.scan_bytes > 0).then_some(request.scan_bytes),
                reader,
                world,
                mask: &mask,
                labels: &labels,
                margin_mm: request.margin_mm,
            };
            run_sample_step(core, &sample, &folder, cancel).inspect_err(|_| folder.discard())
        });
        let (files, hash, counters) = sample.await?;
        let files = files.into_iter().map(|file| v1::Artefact {
            path: file.path.display().to_string(),
            name: file.name,
            media_type: file.media_type,
        });
        Ok(Response::new(SampleResponse {
            files: files.collect(),
            counters: Some((&counters).into()),
            peak_rss_bytes: crate::peak_rss_bytes(),
            scan_sha256: hash.to_string(),
        }))
    }
}

fn reader(name: &str) -> Result<Reader, ConvertError> {
    Reader::from_name(name).map_err(|_| ConvertError::Value {
        field: "reader",
        expected: "the class name of one of nnU-Net's NIfTI readers",
        found: name.chars().take(64).collect(),
    })
}

/// A step as it came; its masks are not decoded yet.
struct StepRequest {
    /// Its world is that of `world`.
    step: ModelStepRequest,
    /// That of the model's reader if there is none.
    world: Option<World>,
    previous_stage: Option<v1::Mask>,
    channels: Vec<(v1::Mask, String)>,
    exchange_folder: Option<PathBuf>,
}

impl TryFrom<StepServiceRunRequest> for StepRequest {
    type Error = ConvertError;

    fn try_from(request: StepServiceRunRequest) -> Result<Self, ConvertError> {
        let defaults = SegmentOptions::default();
        let channels = request.channels.into_iter().map(|channel| {
            let missing = ConvertError::Missing {
                field: "channels.mask",
            };
            Ok((channel.mask.ok_or(missing)?, channel.label))
        });
        Ok(StepRequest {
            world: wire_warning::world("world", request.world)?,
            step: ModelStepRequest {
                model: model_choice(path("model", &request.model)?, &request.folds, request.checkpoint)?,
                scan: path("scan", &request.scan)?,
                scan_bytes: (request.scan_bytes > 0).then_some(request.scan_bytes),
                world: World::Itk, // see StepRequest::run
                options: SegmentOptions {
                    mirroring: !request.no_mirroring,
                    tile_step_size: request.tile_step_size.unwrap_or(defaults.tile_step_size),
                    gaussian: !request.no_gaussian,
                    numerics: match choice("numerics", request.numerics)? {
                        Some(v1::Numerics::Fast) => Numerics::Fast,
                        Some(v1::Numerics::Reference) => Numerics::Reference,
                        Some(v1::Numerics::Unspecified) | None => defaults.numerics,
                    },
                },
                postprocessing: request.postprocessing,
                crop: request.crop.as_ref().map(WorldBox::try_from).transpose()?,
                previous_stage: None,
                channels: Vec::new(),
            },
            previous_stage: request.previous_stage,
            channels: channels.collect::<Result<_, ConvertError>>()?,
            exchange_folder: optional_path("exchange_folder", &request.exchange_folder)?,
        })
    }
}

impl StepRequest {
    fn run(
        self,
        core: &Core,
        cancel: &CancelToken,
        events: Sender<Item<StepServiceRunResponse>>,
    ) -> Result<v1::StepDone, CoreError> {
        let mut step = self.step;
        step.world = match self.world {
            Some(world) => world,
            None => OpenModel::open(core, &step.model, cancel)?.reader()?.world(),
        };
        crate::segment::check_step_size(step.options.tile_step_size)?;
        let exchange = match &self.exchange_folder {
            Some(path) => Some((core.root().open_writable_folder(path)?, path.clone())),
            None => None,
        };
        let previous = self.previous_stage.map(|mask| take_mask(core, mask, cancel));
        step.previous_stage = previous.transpose()?;
        for (mask, label) in self.channels {
            step.channels.push((take_mask(core, mask, cancel)?, label));
        }
        let told = Events::with(events, Arc::<TileCount>::default(), step_event);
        let outcome = run_model_step(core, &step, &told, cancel)?;
        done(
            core,
            outcome,
            exchange.as_ref().map(|(dir, path)| (dir, path.as_path())),
            cancel,
        )
    }
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

/// A mask of a request, from the message or from the shared volume.
fn take_mask(core: &Core, mask: v1::Mask, cancel: &CancelToken) -> Result<Arc<Mask>, CoreError> {
    let open = |path: &Path| core.root().open_file(path).map_err(OperationError::from);
    Ok(Arc::new(receive_mask(core, mask, open, cancel)?))
}

fn done(
    core: &Core,
    outcome: ModelStepOutcome,
    exchange: Option<(&Dir, &Path)>,
    cancel: &CancelToken,
) -> Result<v1::StepDone, CoreError> {
    let mut outgoing = Outgoing::new(exchange, "out-".to_owned(), core.limits());
    let mask = send_mask(core, &mut outgoing, &outcome.mask, cancel)?;
    outgoing.sent();
    let stages = outcome.stages.by_stage().map(|(stage, seconds)| v1::StageTiming {
        stage: v1::Stage::from(stage).into(),
        seconds,
    });
    Ok(v1::StepDone {
        mask: Some(mask),
        warnings: outcome.warnings.iter().map(wire_warning::message).collect(),
        stages: stages.into(),
        tiles: outcome.tiles,
        provider: outcome.provider,
        threads: u32::try_from(outcome.threads).unwrap_or(u32::MAX),
        counters: Some((&outcome.counters).into()),
        peak_rss_bytes: outcome.peak_rss_bytes,
        scan_sha256: outcome.scan.to_string(),
        scan_bytes: outcome.scan.bytes,
        model_files: outcome.model_files.iter().map(case_messages::file).collect(),
        folds: outcome.folds,
        versions: outcome.versions.into_iter().collect(),
    })
}

impl TryFrom<&v1::WorldBox> for WorldBox {
    type Error = ConvertError;

    fn try_from(wire: &v1::WorldBox) -> Result<Self, ConvertError> {
        let missing = |field| ConvertError::Missing { field };
        let geometry = Geometry::try_from(wire.geometry.as_ref().ok_or(missing("crop.geometry"))?)?;
        let bounds = BoundingBox::try_from(wire.r#box.as_ref().ok_or(missing("crop.box"))?)?;
        let shape = geometry.shape.zyx();
        let inside =
            (0..3).all(|axis| bounds.start[axis] < bounds.end[axis] && bounds.end[axis] <= shape[axis]);
        let wrong = |expected, found| ConvertError::Value {
            field: "crop",
            expected,
            found,
        };
        if !inside {
            return Err(wrong("a box within its grid", format!("{bounds:?}")));
        }
        if !(0.0..=10_000.0).contains(&wire.margin_mm) {
            return Err(wrong("a margin from 0 to 10000 mm", wire.margin_mm.to_string()));
        }
        Ok(WorldBox {
            geometry,
            bounds,
            margin_mm: wire.margin_mm,
        })
    }
}

impl From<&WorldBox> for v1::WorldBox {
    fn from(crop: &WorldBox) -> Self {
        v1::WorldBox {
            geometry: Some((&crop.geometry).into()),
            r#box: Some((&crop.bounds).into()),
            margin_mm: crop.margin_mm,
        }
    }
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
