//! The server: the core behind gRPC.
//!
//! [`run`] starts it. How requests are admitted, handed to threads that may block and stopped when their caller goes
//! away is `nephrite_server`'s. Nothing here computes; the services decode, call what the command line
//! calls too, and encode.

mod config;
mod cuda_config;
mod dicom_config;
mod dicomweb_config;
mod error;
mod jobs_config;
mod services;
mod workers;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nephrite_jobs::JobEngine;
use nephrite_proto::v1::case_service_server::CaseServiceServer;
use nephrite_proto::v1::job_service_server::JobServiceServer;
use nephrite_proto::v1::mask_service_server::MaskServiceServer;
use nephrite_proto::v1::model_service_server::ModelServiceServer;
use nephrite_proto::v1::segmentation_service_server::SegmentationServiceServer;
use nephrite_proto::v1::step_service_server::StepServiceServer;
use nephrite_proto::v1::volume_service_server::VolumeServiceServer;
use nephrite_root::{Root, sweep_below};
use nephrite_server::{Hooks, MountState, ServerError, Services, check_mounts, mount_service};
use nephrite_types::CancelToken;
use tokio::net::TcpListener;

use crate::core::{Core, CoreSettings};
use crate::error::CoreError;
use crate::jobs::Office;
use crate::model::ModelChoice;
use crate::place::CaseServices;

use services::{Cases, Jobs, Models, Segmentation, Steps, Volumes, Work, masks};
use workers::Workers;

pub use config::ServeConfig;
pub use error::ServeError;

impl ServeConfig {
    /// The core that this configuration describes.
    pub(crate) fn core(&self, root: Root) -> Core {
        Core::new(CoreSettings {
            root,
            limits: self.limits.clone(),
            runtime: self.runtime(),
            models: self.resident,
            steps: self.steps,
        })
        .with_strict_geometry(self.strict_geometry)
        .with_series_options(self.series.clone())
        .with_dicomweb(self.dicomweb.clone())
    }
}

/// Bytes of a request for a step, whose masks take at most 1 MiB.
const MAX_STEP_BYTES: usize = (1 << 20) + (64 << 10);
/// Bytes of a request for a mask operation, as mask services have it.
const MAX_MASKS_BYTES: usize = 8 << 20;

/// Serves on `listener` until `shutdown` is ready, then drains: accepts nothing new, says NOT_SERVING, sends those away
/// who wait, lets running requests finish within the configured time, and cancels them then.
///
/// Health is NOT_SERVING, and requests are refused with UNAVAILABLE, until what dead processes left beneath the root is
/// swept away, what runs the networks has started, and the configured models are loaded and warm. While the root folder is gone, or no card is left that works, health says
/// NOT_SERVING; a root that is made again or mounted anew is found.
///
/// # Errors
/// [`ServeError`] if the root, what runs the networks, or a configured model cannot be used.
pub async fn run(
    config: ServeConfig,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    start(config, Role::Server, listener, shutdown).await
}

/// Does jobs until `shutdown` is ready, as [`run`] does with `[jobs]`, and serves nothing but its health: for a machine that
/// only works. Needs an engine that several processes share.
///
/// # Errors
/// [`ServeError::NoSharedEngine`]; as [`run`].
pub async fn work(
    mut config: ServeConfig,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    match &mut config.jobs {
        Some(jobs) if !jobs.is_of_one_process() => jobs.workers = jobs.workers.max(1),
        _ => return Err(ServeError::NoSharedEngine),
    }
    start(config, Role::Worker, listener, shutdown).await
}

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Role {
    /// It takes requests, and does jobs if it has workers.
    Server,
    /// It does jobs.
    Worker,
}

async fn start(
    mut config: ServeConfig,
    role: Role,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    config.runtime().check().map_err(ServeError::Start)?;
    let root = Root::beneath(&config.root)?;
    let core = config.core(root);
    let work = Arc::new(Work::new(
        core,
        config.max_concurrent_runs,
        config.max_waiting_runs,
    ));
    let limit = config.max_message_bytes;
    let places = Arc::new(CaseServices::new(&config.services(), work.shared().root()));
    let capabilities = config.capabilities();
    config.jobs = config.jobs.map(|jobs| jobs.with_capabilities(capabilities));
    let engine = open_jobs(&config).await?;
    let stopping = CancelToken::new();
    let mut services =
        Services::new(nephrite_proto::FILE_DESCRIPTOR_SET).with(mount_service(Root::beneath(&config.root)?));
    if role == Role::Server {
        let office = engine.as_ref().zip(config.jobs.as_ref()).map(|(engine, jobs)| {
            let settings = jobs.settings.clone();
            Arc::new(Office::new(engine.clone(), settings, jobs.is_of_one_process()))
        });
        let segmentation = SegmentationServiceServer::new(Segmentation::new(work.clone()));
        let volumes = VolumeServiceServer::new(Volumes::new(work.clone()));
        let models = ModelServiceServer::new(Models::new(work.clone()));
        let cases = CaseServiceServer::new(Cases::new(work.clone(), places.clone(), office.clone()));
        let steps = StepServiceServer::new(Steps::new(work.clone()));
        services = services
            .with(segmentation.max_decoding_message_size(limit))
            .with(volumes.max_decoding_message_size(limit))
            .with(models.max_decoding_message_size(limit))
            .with(cases.max_decoding_message_size(limit))
            .with(steps.max_decoding_message_size(limit.max(MAX_STEP_BYTES)));
        if let Some(office) = office {
            let jobs = Jobs::new(work.clone(), places.clone(), office, stopping.clone());
            services = services.with(JobServiceServer::new(jobs).max_decoding_message_size(limit));
        }
        if let Some(masks) = masks(work.clone(), places.operations()) {
            let masks = MaskServiceServer::new(masks);
            services = services.with(masks.max_decoding_message_size(limit.max(MAX_MASKS_BYTES)));
        }
    }
    let drain_timeout = config.drain_timeout;
    let workers = engine.clone().map(|engine| Workers {
        work: work.clone(),
        services: places.clone(),
        engine,
        stopping: stopping.clone(),
        threads: Arc::default(),
    });
    let working = workers.clone();
    let hooks = Hooks {
        warm_up: move |core: &Core, cancel: &CancelToken| {
            sweep_root(core.root())?;
            check_common_volume(core.root(), &places, config.operations.exchange.as_deref())?;
            warm_up(core, &config.models, cancel)?;
            if let (Some(workers), Some(jobs)) = (&workers, &config.jobs) {
                // They end by themselves: the drain waits for their jobs.
                workers.start(&config, jobs).map_err(ServerError::System)?;
            }
            Ok(())
        },
        healthy: Core::check_health,
    };
    let stopping_of_workers = stopping.clone();
    let shutdown = async {
        shutdown.await;
        stopping.cancel();
    };
    let served = nephrite_server::run(work, services, drain_timeout, listener, hooks, shutdown).await;
    stopping_of_workers.cancel(); // also if the server broke down
    if let Some(workers) = working {
        let _ = tokio::task::spawn_blocking(move || workers.wait()).await; // a panic there is no reason to fail
    }
    served
}

/// Opens what keeps the jobs, on a thread that may block.
async fn open_jobs(config: &ServeConfig) -> Result<Option<Arc<dyn JobEngine>>, ServeError> {
    let Some(jobs) = config.jobs.clone() else {
        return Ok(None);
    };
    let opened = tokio::task::spawn_blocking(move || jobs.open()).await;
    let opened = opened.map_err(|_| ServerError::Panicked)?; // the panic hook has written where
    Ok(Some(opened?))
}

/// Entries beneath the root that a sweep looks at, and how long it may look. What it does not come to is swept when a
/// request writes there.
const SWEEP: (usize, Duration) = (200_000, Duration::from_secs(5));

/// Removes what dead processes left beneath the root.
fn sweep_root(root: &Root) -> Result<(), ServeError> {
    let folder = root.open_folder(Path::new("."))?;
    let (entries, time) = SWEEP;
    let swept = sweep_below(&folder, entries, Instant::now() + time);
    if swept.removed > 0 {
        tracing::info!(swept.removed, "what dead processes left was removed");
    }
    tracing::debug!(swept.seen, swept.complete, "the root was swept");
    Ok(())
}

/// Refuses to start beside a process that sees another volume at this path: every request would fail there, or worse, find
/// another patient's file. One that is not there yet, or does not say, is for the requests that need it.
fn check_common_volume(
    root: &Root,
    places: &CaseServices,
    exchange: Option<&Path>,
) -> Result<(), ServeError> {
    let folder = exchange.unwrap_or(Path::new("."));
    let findings = match check_mounts(places.endpoints(), root, folder, MOUNT_PATIENCE) {
        Ok(findings) => findings,
        Err(error) if exchange.is_none() => {
            tracing::warn!(%error, "whether all processes see the same shared volume is not known");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    for finding in findings {
        match finding.state {
            MountState::Same => tracing::info!("{finding}"),
            MountState::Other { .. } => return Err(ServeError::OtherVolume { finding }),
            _ => tracing::warn!("{finding}"),
        }
    }
    Ok(())
}

/// For processes that start beside this one.
const MOUNT_PATIENCE: Duration = Duration::from_secs(5);

/// Starts what runs the networks, so that what is missing is found now, and loads the configured models.
fn warm_up(core: &Core, models: &[ModelChoice], cancel: &CancelToken) -> Result<(), ServeError> {
    core.start_runtime()?;
    let allowance = core.memory().allowance();
    tracing::info!(bytes = allowance.bytes, bound = %allowance.source, "memory that this process may hold");
    for choice in models {
        cancel.check().map_err(CoreError::from)?;
        let started = std::time::Instant::now();
        let weight_bytes_read = core.warm_up(choice, cancel)?.weight_bytes_read;
        let (model, seconds) = (choice.folder.display(), started.elapsed().as_secs_f64());
        tracing::info!(%model, weight_bytes_read, seconds, "model is warm");
    }
    Ok(())
}
