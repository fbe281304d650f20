//! The server: the core behind gRPC.
//!
//! [`run`] starts it. Requests are admitted or refused at once (`admission`), work on threads that may block (`work`),
//! and end within one tile when their caller goes away. Nothing here computes; the services in `crate::grpc` decode, call
//! what the command line calls too, and encode.

mod admission;
mod config;
mod config_section;
mod edge;
mod error;
mod refusal;
mod work;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use nephrite_proto::v1::model_service_server::ModelServiceServer;
use nephrite_proto::v1::segmentation_service_server::SegmentationServiceServer;
use nephrite_proto::v1::volume_service_server::VolumeServiceServer;
use nephrite_types::CancelToken;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};

use crate::grpc::{Models, Segmentation, Volumes};
use crate::open_model::OpenModel;
use crate::{Core, CoreError, CoreSettings, Root, RuntimeSettings};

pub use config::ServeConfig;
pub use config_section::ConfigFault;
pub use error::ServeError;

pub(crate) use admission::Place;
pub(crate) use edge::Deadline;
pub(crate) use refusal::Refusal;
pub(crate) use work::{Work, token};

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// A caller that vanished without a word is noticed after twice this.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Calls of one connection at a time; the rest waits in the caller.
const MAX_STREAMS: u32 = 256;
/// After running requests were cancelled: time to finish their tile.
const LAST_TILE: Duration = Duration::from_secs(10);
/// After the last request: time for callers to close their connections.
const GOODBYE: Duration = Duration::from_secs(2);

impl ServeConfig {
    /// The core that this configuration describes.
    pub(crate) fn core(&self, root: Root) -> Core {
        Core::new(CoreSettings {
            root,
            limits: self.limits.clone(),
            runtime: RuntimeSettings::new(
                self.provider,
                self.threads.map(|n| n.get()),
                self.onnxruntime.clone(),
                self.ort_dylib_path.clone(),
            ),
            models: self.resident,
        })
    }
}

/// Serves on `listener` until `shutdown` is ready, then drains: accepts nothing new, says NOT_SERVING, sends those away
/// who wait, lets running requests finish within the configured time, and cancels them then.
///
/// Health is NOT_SERVING, and requests are refused with UNAVAILABLE, until ONNX Runtime and the configured models are
/// loaded and warm.
///
/// # Errors
/// [`ServeError`] if the root, ONNX Runtime or a configured model cannot be used.
pub async fn run(
    config: ServeConfig,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let root = Root::beneath(&config.root)?;
    let work = Arc::new(Work::new(config.core(root), &config));
    let (health, health_service) = health_reporter();
    set_health(&health, ServingStatus::NotServing).await;
    let descriptors = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(nephrite_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let built_in = "the descriptors are built in, and a test asks for them";
    let reflection = descriptors().build_v1().expect(built_in);
    let reflection_alpha = descriptors().build_v1alpha().expect(built_in);

    let limit = config.max_message_bytes;
    let router = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_concurrent_streams(MAX_STREAMS)
        .layer(edge::EdgeLayer)
        .add_service(health_service)
        .add_service(reflection)
        .add_service(reflection_alpha)
        .add_service(
            SegmentationServiceServer::new(Segmentation::new(work.clone())).max_decoding_message_size(limit),
        )
        .add_service(VolumeServiceServer::new(Volumes::new(work.clone())).max_decoding_message_size(limit))
        .add_service(ModelServiceServer::new(Models::new(work.clone())).max_decoding_message_size(limit));
    let (stop_accepting, accepting_stopped) = oneshot::channel::<()>();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let mut server = tokio::spawn(router.serve_with_incoming_shutdown(incoming, async {
        let _ = accepting_stopped.await; // a dropped sender means stop, too
    }));

    let mut shutdown = std::pin::pin!(shutdown);
    let warming = CancelToken::new();
    let warmed = tokio::select! {
        warmed = warm_up(work.core.clone(), &config, warming.clone()) => Some(warmed),
        () = &mut shutdown => None,
    };
    match warmed {
        Some(Ok(())) => {
            work.open();
            set_health(&health, ServingStatus::Serving).await;
            tracing::info!(models = config.models.len(), provider = %config.provider, "serving");
            tokio::select! {
                () = shutdown => {}
                ended = &mut server => return flatten(ended),
            }
        }
        Some(Err(error)) => {
            server.abort();
            return Err(error);
        }
        None => warming.cancel(),
    }

    tracing::info!("draining");
    set_health(&health, ServingStatus::NotServing).await;
    work.close();
    drop(stop_accepting);
    if tokio::time::timeout(config.drain_timeout, work.idle())
        .await
        .is_err()
    {
        tracing::warn!("running requests did not finish within the drain timeout and are cancelled");
        work.stop();
        let _ = tokio::time::timeout(LAST_TILE, work.idle()).await;
    }
    end_watches(health).await;
    let outcome = match tokio::time::timeout(GOODBYE, &mut server).await {
        Ok(ended) => flatten(ended),
        Err(_) => {
            server.abort(); // callers that keep their connection open
            Ok(())
        }
    };
    tracing::info!("stopped");
    outcome
}

/// Loads ONNX Runtime, so that a missing one is found now, and the configured models.
async fn warm_up(core: Arc<Core>, config: &ServeConfig, cancel: CancelToken) -> Result<(), ServeError> {
    let models = config.models.clone();
    let warmed = tokio::task::spawn_blocking(move || {
        core.start_runtime()?;
        for choice in &models {
            cancel.check()?;
            let started = std::time::Instant::now();
            let (_, weight_bytes_read) = OpenModel::open(&core, choice)?.load(&core, &cancel)?;
            let (model, seconds) = (choice.folder.display(), started.elapsed().as_secs_f64());
            tracing::info!(%model, weight_bytes_read, seconds, "model is warm");
        }
        Ok::<(), CoreError>(())
    });
    match warmed.await {
        Ok(warmed) => Ok(warmed?),
        Err(_) => Err(ServeError::Panicked),
    }
}

/// The services whose health is told; the empty name is the server as a whole.
const HEALTH_NAMES: [&str; 4] = [
    "",
    SegmentationServiceServer::<Segmentation>::NAME,
    VolumeServiceServer::<Volumes>::NAME,
    ModelServiceServer::<Models>::NAME,
];

async fn set_health(health: &HealthReporter, status: ServingStatus) {
    for name in HEALTH_NAMES {
        health.set_service_status(name, status).await;
    }
}

/// Ends the streams of those who watch the health; they would keep their connections open.
async fn end_watches(mut health: HealthReporter) {
    for name in HEALTH_NAMES {
        health.clear_service_status(name).await;
    }
}

fn flatten(
    ended: Result<Result<(), tonic::transport::Error>, tokio::task::JoinError>,
) -> Result<(), ServeError> {
    match ended {
        Ok(ended) => Ok(ended?),
        Err(_) => Err(ServeError::Panicked),
    }
}
