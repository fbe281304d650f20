//! A model step in the core that owns the model: paths and small masks go there, a mask comes back.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nephrite_kernel::grpc::{Outgoing, Scratch, is_in_file};
use nephrite_kernel::{Artefact, Mask, Traffic};
use nephrite_proto::{Client, RemoteError, StepEvent, v1};
use nephrite_root::Root;
use nephrite_types::{CancelToken, Cancelled, ErrorCode, Progress, Stage};
use prost::Message as _;
use tonic::Request;

use super::remote_runtime::runtime;
use super::settings::RemoteCoreSettings;
use crate::core::Core;
use crate::error::CoreError;
use crate::masks::{StepPlace, send_mask};
use crate::memory::Counters;
use crate::samples::{SampleOutcome, SampleStep};
use crate::segment::{ModelRun, ModelStepOutcome};
use crate::wire;
use crate::wire::step::ReplyError;

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
pub(super) enum Failure {
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

/// Runs a step in the first of these cores that can. Says in which, too.
///
/// A core that went away, hangs or is not there hands over to the next one; one that refuses the request does not.
pub(super) fn in_cores<T>(
    cores: &[Arc<RemoteCore>],
    cancel: &CancelToken,
    step: impl Fn(&RemoteCore) -> Result<T, Failure>,
) -> Result<(StepPlace, T), CoreError> {
    let mut left: Vec<&Arc<RemoteCore>> = cores.iter().collect();
    let mut last = None;
    for round in 0..ROUNDS {
        let mut absent = Vec::new();
        for core in left {
            match step(core) {
                Ok(outcome) => return Ok((core.place(), outcome)),
                Err(Failure::Cancelled(cancelled)) => return Err(cancelled.into()),
                Err(Failure::Here(error)) => return Err(error),
                Err(Failure::Refused(error)) => return Err(core.fault(error)),
                Err(Failure::Gone { begun, error }) => {
                    tracing::warn!(core = %core.place(), %error, "a core could not run a step");
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

impl RemoteCore {
    pub(super) fn new(
        settings: &RemoteCoreSettings,
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

    pub(crate) fn place(&self) -> StepPlace {
        StepPlace::Core {
            name: self.name.clone(),
            address: self.address.clone(),
        }
    }

    fn fault(&self, error: RemoteError) -> CoreError {
        CoreError::Remote {
            core: self.place().to_string(),
            code: error.code,
            message: error.message,
        }
    }

    fn client(&self) -> Result<Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let runtime = runtime()?;
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

    pub(super) fn run(
        &self,
        here: &Core,
        run: &ModelRun,
        progress: &dyn Progress,
        cancel: &CancelToken,
    ) -> Result<ModelStepOutcome, Failure> {
        let scratch = self.scratch()?;
        let folder = scratch.as_ref().map(|scratch| (scratch.folder(), scratch.path()));
        let mut outgoing = Outgoing::new(folder, "in-".to_owned(), here.limits());
        let send = |mask: &Arc<Mask>| send_mask(here, &mut outgoing, mask, cancel);
        let exchange = folder.map(|(_, path)| path);
        let message = wire::step::request(run, exchange, |path| self.text(path), send)?;
        let client = self.client()?;
        let deadline = self.deadline(cancel);
        let mut traffic = Traffic::default();
        let done = wait(deadline, cancel, async {
            let mut begun = false;
            let mut events = loop {
                traffic += Traffic::of_sent(message.encoded_len());
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
                traffic += Traffic::of_received(message.encoded_len());
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
        let is_received = done.mask.as_ref().is_some_and(is_in_file);
        traffic += Traffic::of_files(outgoing.n_files() + usize::from(is_received));
        outgoing.sent();
        let open = |path: &Path| match &scratch {
            Some(scratch) => scratch.open_file(path).map(Into::into).map_err(Into::into),
            None => Err(nephrite_kernel::OperationError::from(
                nephrite_root::PathError::NotFound {
                    path: path.to_owned(),
                },
            )),
        };
        let mut outcome = wire::step::outcome(here, done, open, cancel).map_err(|error| match error {
            ReplyError::Broken(error) => Failure::Refused(error),
            ReplyError::Mask(error) => Failure::Here(error),
        })?;
        outcome.counters.add_traffic(&traffic);
        Ok(outcome)
    }

    pub(super) fn sample(
        &self,
        here: &Core,
        sample: &SampleStep,
        output: &Path,
        cancel: &CancelToken,
    ) -> Result<SampleOutcome, Failure> {
        let scratch = self.scratch()?;
        let folder = scratch.as_ref().map(|scratch| (scratch.folder(), scratch.path()));
        let mut outgoing = Outgoing::new(folder, "in-".to_owned(), here.limits());
        let message = v1::SampleRequest {
            scan: self.text(&sample.scan)?,
            mask: Some(send_mask(here, &mut outgoing, &sample.mask, cancel)?),
            labels: sample.labels.clone(),
            margin_mm: sample.margin_mm,
            output: self.text(output)?,
            scan_bytes: sample.scan_bytes.unwrap_or(0),
            world: Some(wire::warning::wire_world(sample.world).into()),
            reader: sample.reader.name().to_owned(),
        };
        let client = self.client()?;
        let deadline = self.deadline(cancel);
        let mut traffic = Traffic::default();
        let reply = wait(deadline, cancel, async {
            loop {
                traffic += Traffic::of_sent(message.encoded_len());
                match client.sample(timed(message.clone(), deadline)).await {
                    Ok(reply) => return Ok(reply),
                    Err(error) if error.code == ErrorCode::Overloaded => {
                        tokio::time::sleep(BUSY_PAUSE).await;
                    }
                    Err(error) => return Err(failure(false, error)),
                }
            }
        })?;
        traffic += Traffic::of_received(reply.encoded_len());
        traffic += Traffic::of_files(outgoing.n_files());
        outgoing.sent();
        let mut counters = reply.counters.as_ref().map(Counters::from).unwrap_or_default();
        counters.add_traffic(&traffic);
        let files = reply.files.into_iter().map(|file| Artefact {
            path: file.path.into(),
            name: file.name,
            media_type: file.media_type,
        });
        Ok(SampleOutcome {
            files: files.collect(),
            scan_sha256: reply.scan_sha256,
            counters,
            peak_rss_bytes: reply.peak_rss_bytes,
        })
    }

    /// As the other process knows it.
    fn text(&self, path: &Path) -> Result<String, CoreError> {
        Ok(self.root.absolute(path)?.display().to_string())
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
    let runtime = runtime()?;
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
            if let Some(warning) = nephrite_proto::convert::warning(warning) {
                progress.warning(&warning);
            }
        }
        StepEvent::Accepted(_) | StepEvent::Done(_) => {}
    }
}
