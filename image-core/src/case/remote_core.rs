//! A model step in the core that owns the model: paths and small masks go there, a mask comes back.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nephrite_kernel::Mask;
use nephrite_kernel::grpc::{Outgoing, Scratch, Traffic};
use nephrite_nnunet::Numerics;
use nephrite_nnunet_folder::FoldSelection;
use nephrite_proto::{Client, RemoteError, StepEvent, v1};
use nephrite_root::Root;
use nephrite_types::{CancelToken, Cancelled, ErrorCode, Progress, Stage};
use nephrite_volume::{FileHash, Reader, World};
use tonic::Request;

use super::CaseFault;
use super::places::CoreSettings;
use super::remote_runtime::runtime;
use crate::grpc::wire_warning;
use crate::masks::{receive_mask, send_mask};
use crate::model_step::{ModelStepOutcome, ModelStepRequest};
use crate::{Core, CoreError, Counters, FileRecord, StageSeconds};

/// How often it is looked whether the caller has cancelled.
const CANCEL_INTERVAL: Duration = Duration::from_millis(10);
/// Before a core that has no place is asked again.
const BUSY_PAUSE: Duration = Duration::from_millis(200);
/// How often a core is looked for that does not answer at all, and the pause between.
const ROUNDS: u32 = 3;
const ROUND_PAUSE: Duration = Duration::from_millis(500);

/// Another core. The connection is made when it is first needed, and again when it broke.
#[derive(Debug)]
pub(crate) struct RemoteCore {
    name: String,
    address: String,
    root: Arc<Root>,
    exchange: Option<PathBuf>,
    timeout: Duration,
    client: OnceLock<Client>,
}

/// Why a step gave nothing.
enum Failure {
    /// The caller did not want it any more, or its deadline passed.
    Cancelled(Cancelled),
    /// The core could not be asked, or went away; another one may do.
    Gone { begun: bool, error: RemoteError },
    /// The core said no.
    Refused(RemoteError),
    /// What goes there, or came from there, is no good.
    Here(CoreError),
}

impl From<CoreError> for Failure {
    fn from(error: CoreError) -> Self {
        Failure::Here(error)
    }
}

/// Runs a model step in the first of these cores that can. Gives its label too.
///
/// A core that went away, hangs or is not there hands over to the next one; one that refuses the request does not.
pub(super) fn run_in_cores(
    here: &Core,
    cores: &[Arc<RemoteCore>],
    request: &ModelStepRequest,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<(String, ModelStepOutcome), CoreError> {
    in_cores(cores, cancel, |core| core.run(here, request, progress, cancel))
}

/// Takes a sample in the first of these cores that can. Gives its label too.
pub(super) fn sample_in_cores(
    here: &Core,
    cores: &[Arc<RemoteCore>],
    request: &RemoteSample<'_>,
    cancel: &CancelToken,
) -> Result<(String, RemoteSampleOutcome), CoreError> {
    in_cores(cores, cancel, |core| core.sample(here, request, cancel))
}

fn in_cores<T>(
    cores: &[Arc<RemoteCore>],
    cancel: &CancelToken,
    step: impl Fn(&RemoteCore) -> Result<T, Failure>,
) -> Result<(String, T), CoreError> {
    let mut left: Vec<&Arc<RemoteCore>> = cores.iter().collect();
    let mut last = None;
    for round in 0..ROUNDS {
        let mut absent = Vec::new();
        for core in left {
            match step(core) {
                Ok(outcome) => return Ok((core.label(), outcome)),
                Err(Failure::Cancelled(cancelled)) => return Err(cancelled.into()),
                Err(Failure::Here(error)) => return Err(error),
                Err(Failure::Refused(error)) => return Err(core.fault(error)),
                Err(Failure::Gone { begun, error }) => {
                    tracing::warn!(core = core.label(), %error, "a core could not run a step");
                    if !begun {
                        absent.push(core);
                    }
                    last = Some(core.fault(error));
                }
            }
        }
        left = absent;
        if left.is_empty() || round + 1 == ROUNDS {
            break;
        }
        std::thread::sleep(ROUND_PAUSE);
        cancel.check()?;
    }
    Err(last.unwrap_or(CoreError::Cancelled(Cancelled::ByCaller))) // there is at least one core
}

/// What a sample is taken of.
pub(super) struct RemoteSample<'a> {
    pub(super) scan: &'a Path,
    pub(super) scan_bytes: u64,
    pub(super) reader: Reader,
    pub(super) world: World,
    pub(super) mask: &'a Arc<Mask>,
    pub(super) labels: &'a [String],
    pub(super) margin_mm: f64,
    /// Exists.
    pub(super) output: &'a Path,
}

pub(super) struct RemoteSampleOutcome {
    pub(super) files: Vec<String>,
    /// Of the scan that it was taken of, in hexadecimal.
    pub(super) scan_sha256: String,
    pub(super) counters: Counters,
    pub(super) peak_rss_bytes: u64,
}

impl RemoteCore {
    pub(super) fn new(
        settings: &CoreSettings,
        root: Arc<Root>,
        exchange: Option<PathBuf>,
        timeout: Duration,
    ) -> Self {
        RemoteCore {
            name: settings.name.clone(),
            address: settings.address.clone(),
            root,
            exchange,
            timeout,
            client: OnceLock::new(),
        }
    }

    /// Name and address.
    pub(crate) fn label(&self) -> String {
        format!("{} ({})", self.name, self.address)
    }

    fn fault(&self, error: RemoteError) -> CoreError {
        CaseFault::Core {
            core: self.label(),
            code: error.code,
            message: error.message,
        }
        .into()
    }

    fn client(&self) -> Result<Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let runtime = runtime().map_err(CoreError::from)?;
        let _inside = runtime.enter(); // a connection lives in a runtime
        let client = Client::lazy(&self.address).map_err(Failure::Refused)?;
        Ok(self.client.get_or_init(|| client).clone())
    }

    fn scratch(&self) -> Result<Option<Scratch>, Failure> {
        let folder = self.exchange.as_deref();
        Ok(folder
            .map(|folder| Scratch::new(&self.root, folder))
            .transpose()
            .map_err(CoreError::from)?)
    }

    fn run(
        &self,
        here: &Core,
        request: &ModelStepRequest,
        progress: &dyn Progress,
        cancel: &CancelToken,
    ) -> Result<ModelStepOutcome, Failure> {
        let scratch = self.scratch()?;
        let folder = scratch.as_ref().map(|scratch| (scratch.folder(), scratch.path()));
        let mut outgoing = Outgoing::new(folder, "in-".to_owned(), here.limits());
        let mut send = |mask: &Arc<Mask>| send_mask(here, &mut outgoing, mask, cancel);
        let options = &request.options;
        let mut channels = Vec::new();
        for (mask, label) in &request.channels {
            channels.push(v1::MaskChannel {
                mask: Some(send(mask)?),
                label: label.clone(),
            });
        }
        let message = v1::StepServiceRunRequest {
            model: self.text(&request.model.folder)?,
            folds: match &request.model.folds {
                FoldSelection::Available => Vec::new(),
                FoldSelection::List(folds) => folds.iter().map(ToString::to_string).collect(),
            },
            checkpoint: Some(crate::grpc::wire_checkpoint(request.model.checkpoint).into()),
            scan: self.text(&request.scan)?,
            no_mirroring: !options.mirroring,
            tile_step_size: Some(options.tile_step_size),
            no_gaussian: !options.gaussian,
            numerics: Some(match options.numerics {
                Numerics::Fast => v1::Numerics::Fast.into(),
                Numerics::Reference => v1::Numerics::Reference.into(),
            }),
            postprocessing: request.postprocessing,
            crop: request.crop.as_ref().map(Into::into),
            previous_stage: request.previous_stage.as_ref().map(send).transpose()?,
            channels,
            exchange_folder: scratch
                .as_ref()
                .map_or_else(String::new, |scratch| scratch.path().display().to_string()),
            scan_bytes: request.scan_bytes.unwrap_or(0),
            world: Some(wire_warning::wire_world(request.world).into()),
        };
        let client = self.client()?;
        let deadline = self.deadline(cancel);
        let done = wait(deadline, cancel, async {
            let mut begun = false;
            let mut events = loop {
                Traffic::count_sent(&message);
                match client.run_step(timed(message.clone(), deadline)).await {
                    Ok(events) => break events,
                    // one more in its queue than fits: its turn will come
                    Err(error) if error.code == ErrorCode::Overloaded => {
                        tokio::time::sleep(BUSY_PAUSE).await;
                    }
                    Err(error) => return Err(failure(begun, error)),
                }
            };
            begun = true;
            loop {
                let event = events.next().await.map_err(|error| failure(begun, error))?;
                let message = v1::StepServiceRunResponse { event };
                Traffic::count_received(&message);
                match message.event {
                    Some(StepEvent::Done(done)) => return Ok(done),
                    Some(other) => tell(progress, &other),
                    None => {
                        return Err(Failure::Gone {
                            begun,
                            error: RemoteError {
                                code: ErrorCode::Unavailable,
                                message: "ended without a result".to_owned(),
                            },
                        });
                    }
                }
            }
        })?;
        outgoing.sent();
        let open = |path: &Path| match &scratch {
            Some(scratch) => scratch.open_file(path).map_err(Into::into),
            None => Err(nephrite_kernel::OperationError::from(
                nephrite_root::PathError::NotFound {
                    path: path.to_owned(),
                },
            )),
        };
        outcome(here, done, open, cancel)
    }

    fn sample(
        &self,
        here: &Core,
        request: &RemoteSample<'_>,
        cancel: &CancelToken,
    ) -> Result<RemoteSampleOutcome, Failure> {
        let scratch = self.scratch()?;
        let folder = scratch.as_ref().map(|scratch| (scratch.folder(), scratch.path()));
        let mut outgoing = Outgoing::new(folder, "in-".to_owned(), here.limits());
        let message = v1::SampleRequest {
            scan: self.text(request.scan)?,
            mask: Some(send_mask(here, &mut outgoing, request.mask, cancel)?),
            labels: request.labels.to_vec(),
            margin_mm: request.margin_mm,
            output: self.text(request.output)?,
            scan_bytes: request.scan_bytes,
            world: Some(wire_warning::wire_world(request.world).into()),
            reader: request.reader.name().to_owned(),
        };
        let client = self.client()?;
        let deadline = self.deadline(cancel);
        let reply = wait(deadline, cancel, async {
            loop {
                Traffic::count_sent(&message);
                match client.sample(timed(message.clone(), deadline)).await {
                    Ok(reply) => return Ok(reply),
                    Err(error) if error.code == ErrorCode::Overloaded => {
                        tokio::time::sleep(BUSY_PAUSE).await;
                    }
                    Err(error) => return Err(failure(false, error)),
                }
            }
        })?;
        Traffic::count_received(&reply);
        outgoing.sent();
        Ok(RemoteSampleOutcome {
            files: reply.files.into_iter().map(|file| file.name).collect(),
            scan_sha256: reply.scan_sha256,
            counters: reply.counters.as_ref().map(Counters::from).unwrap_or_default(),
            peak_rss_bytes: reply.peak_rss_bytes,
        })
    }

    /// As the other process knows it.
    fn text(&self, path: &Path) -> Result<String, Failure> {
        let absolute = self.root.absolute(path).map_err(CoreError::from)?;
        Ok(absolute.display().to_string())
    }

    /// Of one step: the caller's, or the configured time from now.
    fn deadline(&self, cancel: &CancelToken) -> Instant {
        let ours = Instant::now() + self.timeout;
        cancel.deadline().map_or(ours, |callers| callers.min(ours))
    }
}

/// Tells the other side how long it has.
fn timed<T>(message: T, deadline: Instant) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(deadline.saturating_duration_since(Instant::now()));
    request
}

/// Waits for a call, unless the caller cancels or the time is up.
fn wait<T>(
    deadline: Instant,
    cancel: &CancelToken,
    call: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let cancelled = async {
        loop {
            if let Err(cancelled) = cancel.check() {
                return cancelled;
            }
            tokio::time::sleep(CANCEL_INTERVAL).await;
        }
    };
    let runtime = runtime().map_err(|fault| Failure::Here(fault.into()))?;
    runtime.block_on(async {
        tokio::select! {
            done = call => done,
            cancelled = cancelled => Err(Failure::Cancelled(cancelled)),
            () = tokio::time::sleep_until(deadline.into()) => Err(Failure::Gone {
                begun: true,
                error: RemoteError {
                    code: ErrorCode::DeadlineExceeded,
                    message: "gave no result within the time for one step".to_owned(),
                },
            }),
        }
    })
}

/// A core that is not there, went away, hangs, starts or stops may be replaced by another one; one that refuses may not.
fn failure(begun: bool, mut error: RemoteError) -> Failure {
    if error.code != ErrorCode::Unavailable {
        return Failure::Refused(error);
    }
    error.message = format!("went away or does not answer: {}", error.message);
    Failure::Gone { begun, error }
}

fn tell(progress: &dyn Progress, event: &StepEvent) {
    let stage = |number: i32| Stage::try_from(v1::Stage::try_from(number).ok()?).ok();
    match event {
        StepEvent::Loading(loading) => stage(loading.stage).into_iter().for_each(|s| progress.stage(s)),
        StepEvent::Exporting(exporting) => stage(exporting.stage).into_iter().for_each(|s| progress.stage(s)),
        StepEvent::Progress(tiles) => progress.advance(tiles.tiles_done, tiles.tiles_total),
        StepEvent::Warning(warning) => {
            if let Some(warning) = wire_warning::parse(warning) {
                progress.warning(&warning);
            }
        }
        StepEvent::Accepted(_) | StepEvent::Done(_) => {}
    }
}

fn outcome(
    here: &Core,
    done: v1::StepDone,
    open: impl Fn(&Path) -> Result<std::fs::File, nephrite_kernel::OperationError>,
    cancel: &CancelToken,
) -> Result<ModelStepOutcome, Failure> {
    let broken = |what: &'static str| {
        Failure::Refused(RemoteError {
            code: ErrorCode::Internal,
            message: format!("its reply has no usable {what}"),
        })
    };
    let mask = done.mask.ok_or_else(|| broken("mask"))?;
    let mask = receive_mask(here, mask, open, cancel)?;
    let mut stages = StageSeconds::default();
    for timing in &done.stages {
        let stage = v1::Stage::try_from(timing.stage)
            .ok()
            .and_then(|stage| Stage::try_from(stage).ok());
        if let Some(stage) = stage {
            stages.add(stage, timing.seconds);
        }
    }
    let mut versions: Vec<(String, String)> = done.versions.into_iter().collect();
    versions.sort();
    Ok(ModelStepOutcome {
        mask: Arc::new(mask),
        warnings: done.warnings.iter().filter_map(wire_warning::parse).collect(),
        stages,
        tiles: done.tiles,
        provider: done.provider,
        threads: done.threads as usize,
        counters: done.counters.as_ref().map(Counters::from).unwrap_or_default(),
        scan: FileHash::from_hex(&done.scan_sha256, done.scan_bytes)
            .ok_or_else(|| broken("hash of the scan"))?,
        model_files: done
            .model_files
            .into_iter()
            .map(|file| FileRecord {
                path: file.path,
                sha256: file.sha256,
                bytes: file.bytes,
            })
            .collect(),
        folds: done.folds,
        versions,
        peak_rss_bytes: done.peak_rss_bytes,
    })
}
