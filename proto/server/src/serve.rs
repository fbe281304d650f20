//! A server from its start to its end.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use nephrite_types::CancelToken;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};
use tower::Service;

use crate::edge::EdgeLayer;
use crate::{ServerError, Work};

/// A caller that vanished without a word is noticed after twice this.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Calls of one connection at a time; the rest waits in the caller.
const MAX_STREAMS: u32 = 256;
/// Bytes that a caller may send before the server has read them: a message of the usual size travels in one go.
const WINDOW_BYTES: u32 = 4 << 20;
/// After running requests were cancelled: time to finish what cannot be interrupted.
const LAST_STEP: Duration = Duration::from_secs(10);
/// After the last request: time for callers to close their connections.
const GOODBYE: Duration = Duration::from_secs(2);
/// How often it is looked whether what requests need is there, and how long the look may take.
const LOOK: Duration = Duration::from_millis(250);
const LOOK_PATIENCE: Duration = Duration::from_secs(5);

/// What a server does besides serving; both may block.
#[derive(Debug)]
pub struct Hooks<W, H> {
    /// Once, before the first request is let in; its error ends the server.
    pub warm_up: W,
    /// Several times a second: what requests need that may go away, such as the root folder, is there. As long as it is
    /// not, the server says NOT_SERVING; requests are let in, and say themselves what is missing.
    pub healthy: H,
}

/// What a server serves, health and reflection aside.
#[derive(Debug)]
pub struct Services {
    routes: Routes,
    /// The empty name is the server as a whole.
    names: Vec<&'static str>,
    descriptors: &'static [u8],
}

impl Services {
    /// None yet. `descriptors` is the encoded `FileDescriptorSet` that reflection answers from.
    pub fn new(descriptors: &'static [u8]) -> Self {
        Services {
            routes: Routes::default(),
            names: vec![""],
            descriptors,
        }
    }

    /// One more. Its health is told under its name.
    #[must_use]
    pub fn with<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.routes = self.routes.add_service(service);
        self.names.push(S::NAME);
        self
    }

    async fn set_health(&self, health: &HealthReporter, status: ServingStatus) {
        for name in &self.names {
            health.set_service_status(*name, status).await;
        }
    }

    /// Ends the streams of those who watch the health; they would keep their connections open.
    async fn end_watches(&self, mut health: HealthReporter) {
        for name in &self.names {
            health.clear_service_status(name).await;
        }
    }
}

/// Serves on `listener` until `shutdown` is ready, then drains: accepts nothing new, says NOT_SERVING, sends those away
/// who wait, lets running requests finish within `drain_timeout`, and cancels them then.
///
/// Health is NOT_SERVING, and requests are refused with UNAVAILABLE, until the warm-up is done; then it is what
/// [`Hooks::healthy`] says.
///
/// # Errors
/// What the warm-up says; [`ServerError::Transport`], [`ServerError::Panicked`].
pub async fn run<T, E, F>(
    work: Arc<Work<T>>,
    services: Services,
    drain_timeout: Duration,
    listener: TcpListener,
    hooks: Hooks<
        impl FnOnce(&T, &CancelToken) -> Result<(), E> + Send + 'static,
        impl Fn(&T) -> Result<(), F> + Send + Sync + 'static,
    >,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), E>
where
    T: Send + Sync + 'static,
    E: From<ServerError> + Send + 'static,
    F: Error + Send + 'static,
{
    let Hooks { warm_up, healthy } = hooks;
    let (health, health_service) = health_reporter();
    services.set_health(&health, ServingStatus::NotServing).await;
    let descriptors = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(services.descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let built_in = "the descriptors are built in, and a test asks for them";
    let reflection = descriptors().build_v1().expect(built_in);
    let reflection_alpha = descriptors().build_v1alpha().expect(built_in);

    let router = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .layer(EdgeLayer)
        .add_routes(services.routes.clone())
        .add_service(health_service)
        .add_service(reflection)
        .add_service(reflection_alpha);
    let (stop_accepting, accepting_stopped) = oneshot::channel::<()>();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let mut server = tokio::spawn(router.serve_with_incoming_shutdown(incoming, async {
        let _ = accepting_stopped.await; // a dropped sender means stop, too
    }));

    let mut shutdown = std::pin::pin!(shutdown);
    let warming = CancelToken::new();
    let mut warm_up = std::pin::pin!({
        let (work, warming) = (work.clone(), warming.clone());
        tokio::task::spawn_blocking(move || warm_up(work.shared(), &warming))
    });
    let warmed = tokio::select! {
        warmed = &mut warm_up => Some(warmed.unwrap_or_else(|_| Err(ServerError::Panicked.into()))),
        () = &mut shutdown => None,
    };
    match warmed {
        Some(Ok(())) => {
            work.open();
            services.set_health(&health, ServingStatus::Serving).await;
            tracing::info!("serving");
            tokio::select! {
                () = shutdown => {}
                ended = &mut server => return flatten(ended),
                never = tell_health(&work, &services, &health, Arc::new(healthy)) => match never {},
            }
        }
        Some(Err(error)) => {
            server.abort();
            return Err(error);
        }
        None => warming.cancel(),
    }

    tracing::info!("draining");
    services.set_health(&health, ServingStatus::NotServing).await;
    work.close();
    drop(stop_accepting);
    if tokio::time::timeout(drain_timeout, work.idle()).await.is_err() {
        tracing::warn!("running requests did not finish within the drain timeout and are cancelled");
        work.stop();
        let _ = tokio::time::timeout(LAST_STEP, work.idle()).await;
    }
    services.end_watches(health).await;
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

/// Tells the health as long as the server serves.
async fn tell_health<T: Send + Sync + 'static, F: Error + Send + 'static>(
    work: &Arc<Work<T>>,
    services: &Services,
    health: &HealthReporter,
    healthy: Arc<impl Fn(&T) -> Result<(), F> + Send + Sync + 'static>,
) -> Infallible {
    let mut was_healthy = true;
    loop {
        tokio::time::sleep(LOOK).await;
        let look = tokio::task::spawn_blocking({
            let (work, healthy) = (work.clone(), healthy.clone());
            move || healthy(work.shared()).map_err(|error| error.to_string())
        });
        let mut look = std::pin::pin!(look);
        let found = match tokio::time::timeout(LOOK_PATIENCE, &mut look).await {
            Ok(looked) => looked.unwrap_or_else(|_| Err("a bug in nephrite".to_owned())),
            Err(_) => Err("the file system does not answer".to_owned()),
        };
        let hangs = found.is_err() && !look.is_finished();
        match &found {
            Ok(()) if !was_healthy => {
                services.set_health(health, ServingStatus::Serving).await;
                tracing::info!("serving again");
            }
            Err(reason) if was_healthy => {
                services.set_health(health, ServingStatus::NotServing).await;
                tracing::error!(reason, "not serving");
            }
            _ => {}
        }
        was_healthy = found.is_ok();
        if hangs {
            let _ = look.await; // one look at a time
        }
    }
}

fn flatten<E: From<ServerError>>(
    ended: Result<Result<(), tonic::transport::Error>, tokio::task::JoinError>,
) -> Result<(), E> {
    match ended {
        Ok(ended) => Ok(ended.map_err(ServerError::from)?),
        Err(_) => Err(ServerError::Panicked.into()),
    }
}
