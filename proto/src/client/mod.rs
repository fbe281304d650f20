//! A typed client.

mod error;
mod events;

use std::fmt::Display;
use std::time::Duration;

use nephrite_types::ErrorCode;
use tonic::IntoRequest;
use tonic::transport::{Channel, Endpoint};

use crate::server_address;
use crate::v1;
use crate::v1::case_service_client::CaseServiceClient;
use crate::v1::job_service_client::JobServiceClient;
use crate::v1::model_service_client::ModelServiceClient;
use crate::v1::segmentation_service_client::SegmentationServiceClient;
use crate::v1::step_service_client::StepServiceClient;
use crate::v1::volume_service_client::VolumeServiceClient;

pub use crate::v1::case_service_run_response::Event as CaseEvent;
pub use crate::v1::run_response::Event;
pub use crate::v1::step_service_run_response::Event as StepEvent;
pub use error::RemoteError;
pub use events::{CaseEvents, EventMessage, Events, JobEvents, RunEvents, StepEvents};

/// For a connection to be there.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// A server that hangs, or whose machine vanished, is noticed after twice this: it is asked for a sign of life as often,
/// while a call is open, and given as long to answer. Our servers answer however busy their work is.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// Bytes of one reply; a mask inside it has at most 1 MiB.
const MAX_REPLY_BYTES: usize = 8 << 20;

/// A connection to an image core. Cheap to clone; clones share the connection, which is made again when it broke.
///
/// Every method takes a message, or a [`tonic::Request`] around one to set a deadline. While a call is open, a server
/// that died, hangs or vanished is noticed within half a minute.
///
/// ```no_run
/// # async fn run() -> Result<(), nephrite_proto::RemoteError> {
/// use nephrite_proto::{CaseEvent, Client, v1};
///
/// let core = Client::connect("http://127.0.0.1:7443").await?;
/// let scan = |phase: v1::Phase, path: &str| v1::PhaseScan { phase: phase.into(), path: path.into() };
/// let request = v1::CaseServiceRunRequest {
///     pipeline: "pipelines/kidney.toml".into(),
///     scans: vec![scan(v1::Phase::Arterial, "cases/17/a.nii.gz"), scan(v1::Phase::Delayed, "cases/17/d.nii.gz")],
///     output: "results/17".into(),
///     ..Default::default()
/// };
/// let mut events = core.run_case(request).await?;
/// while let Some(event) = events.next().await? {
///     match event {
///         CaseEvent::Progress(step) => println!("{}: {}/{}", step.step, step.tiles_done, step.tiles_total),
///         CaseEvent::Done(done) => println!("{}", done.record),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    segmentation: SegmentationServiceClient<Channel>,
    volume: VolumeServiceClient<Channel>,
    model: ModelServiceClient<Channel>,
    case: CaseServiceClient<Channel>,
    step: StepServiceClient<Channel>,
    job: JobServiceClient<Channel>,
}

impl Client {
    /// Connects to an address such as `http://127.0.0.1:7443`.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] if that is no address, [`ErrorCode::Unavailable`] if nobody answers there.
    pub async fn connect(address: &str) -> Result<Client, RemoteError> {
        let channel = endpoint(address, KEEPALIVE)?.connect().await;
        Ok(Client::new(
            channel.map_err(error(address, ErrorCode::Unavailable))?,
        ))
    }

    /// The same, but connects when it is first used: a server need not be there yet. Needs a runtime of tokio around it.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] if that is no address.
    pub fn lazy(address: &str) -> Result<Client, RemoteError> {
        Ok(Client::new(endpoint(address, KEEPALIVE)?.connect_lazy()))
    }

    /// Over a channel that is there already, with the patience that it has.
    pub fn new(channel: Channel) -> Client {
        Client {
            segmentation: SegmentationServiceClient::new(channel.clone()),
            volume: VolumeServiceClient::new(channel.clone()),
            model: ModelServiceClient::new(channel.clone()),
            case: CaseServiceClient::new(channel.clone()).max_decoding_message_size(MAX_REPLY_BYTES),
            step: StepServiceClient::new(channel.clone()).max_decoding_message_size(MAX_REPLY_BYTES),
            job: JobServiceClient::new(channel).max_decoding_message_size(MAX_REPLY_BYTES),
        }
    }

    /// Segments a scan. Dropping the events cancels the run.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn run(&self, request: impl IntoRequest<v1::RunRequest>) -> Result<RunEvents, RemoteError> {
        let messages = self.segmentation.clone().run(request).await?;
        Ok(Events::new(messages.into_inner()))
    }

    /// Runs a case. Dropping the events cancels it.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn run_case(
        &self,
        request: impl IntoRequest<v1::CaseServiceRunRequest>,
    ) -> Result<CaseEvents, RemoteError> {
        let messages = self.case.clone().run(request).await?;
        Ok(Events::new(messages.into_inner()))
    }

    /// What a case would run, where, and what it would cost.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn estimate_case(
        &self,
        request: impl IntoRequest<v1::CaseServiceEstimateRequest>,
    ) -> Result<v1::CaseServiceEstimateResponse, RemoteError> {
        Ok(self.case.clone().estimate(request).await?.into_inner())
    }

    /// A mask of a case that is done.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn get_mask(
        &self,
        request: impl IntoRequest<v1::GetMaskRequest>,
    ) -> Result<v1::GetMaskResponse, RemoteError> {
        Ok(self.case.clone().get_mask(request).await?.into_inner())
    }

    /// Hands a case in. The answer comes when the job is on disk.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn submit(
        &self,
        request: impl IntoRequest<v1::SubmitRequest>,
    ) -> Result<v1::SubmitResponse, RemoteError> {
        Ok(self.job.clone().submit(request).await?.into_inner())
    }

    /// A job as it is now.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn get_job(
        &self,
        request: impl IntoRequest<v1::GetJobRequest>,
    ) -> Result<v1::GetJobResponse, RemoteError> {
        Ok(self.job.clone().get(request).await?.into_inner())
    }

    /// A page of jobs, the youngest first.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn list_jobs(
        &self,
        request: impl IntoRequest<v1::ListJobsRequest>,
    ) -> Result<v1::ListJobsResponse, RemoteError> {
        Ok(self.job.clone().list(request).await?.into_inner())
    }

    /// What happens to a job until it has ended. Dropping the stream leaves the job alone; watching goes on with the number of
    /// the last event that came.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn watch_job(
        &self,
        request: impl IntoRequest<v1::WatchRequest>,
    ) -> Result<JobEvents, RemoteError> {
        Ok(JobEvents::new(
            self.job.clone().watch(request).await?.into_inner(),
        ))
    }

    /// Takes a job from the queue, or stops it.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn cancel_job(
        &self,
        request: impl IntoRequest<v1::CancelRequest>,
    ) -> Result<v1::CancelResponse, RemoteError> {
        Ok(self.job.clone().cancel(request).await?.into_inner())
    }

    /// Puts a job that did not succeed into the queue again.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn retry_job(
        &self,
        request: impl IntoRequest<v1::RetryRequest>,
    ) -> Result<v1::RetryResponse, RemoteError> {
        Ok(self.job.clone().retry(request).await?.into_inner())
    }

    /// Forgets jobs that have ended.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn purge_jobs(
        &self,
        request: impl IntoRequest<v1::PurgeRequest>,
    ) -> Result<v1::PurgeResponse, RemoteError> {
        Ok(self.job.clone().purge(request).await?.into_inner())
    }

    /// Result folders without a job, and jobs without a result folder.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn find_orphans(
        &self,
        request: impl IntoRequest<v1::FindOrphansRequest>,
    ) -> Result<v1::FindOrphansResponse, RemoteError> {
        Ok(self.job.clone().find_orphans(request).await?.into_inner())
    }

    /// Workers that were heard of not long ago.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn list_workers(
        &self,
        request: impl IntoRequest<v1::ListWorkersRequest>,
    ) -> Result<v1::ListWorkersResponse, RemoteError> {
        Ok(self.job.clone().list_workers(request).await?.into_inner())
    }

    /// Runs a model on a scan, for a case that runs elsewhere. Dropping the events cancels it.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn run_step(
        &self,
        request: impl IntoRequest<v1::StepServiceRunRequest>,
    ) -> Result<StepEvents, RemoteError> {
        let messages = self.step.clone().run(request).await?;
        Ok(Events::new(messages.into_inner()))
    }

    /// Takes a sample of a scan, for a case that runs elsewhere.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn sample(
        &self,
        request: impl IntoRequest<v1::SampleRequest>,
    ) -> Result<v1::SampleResponse, RemoteError> {
        Ok(self.step.clone().sample(request).await?.into_inner())
    }

    /// The header of a scan.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn inspect_volume(
        &self,
        request: impl IntoRequest<v1::VolumeServiceInspectRequest>,
    ) -> Result<v1::VolumeServiceInspectResponse, RemoteError> {
        Ok(self.volume.clone().inspect(request).await?.into_inner())
    }

    /// Brings a scan or a label map to another grid.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn resize(
        &self,
        request: impl IntoRequest<v1::ResizeRequest>,
    ) -> Result<v1::ResizeResponse, RemoteError> {
        Ok(self.volume.clone().resize(request).await?.into_inner())
    }

    /// Model folders and resident models.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn list_models(
        &self,
        request: impl IntoRequest<v1::ListRequest>,
    ) -> Result<v1::ListResponse, RemoteError> {
        Ok(self.model.clone().list(request).await?.into_inner())
    }

    /// What a model folder is.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn inspect_model(
        &self,
        request: impl IntoRequest<v1::ModelServiceInspectRequest>,
    ) -> Result<v1::ModelServiceInspectResponse, RemoteError> {
        Ok(self.model.clone().inspect(request).await?.into_inner())
    }

    /// Makes a model resident.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn load_model(
        &self,
        request: impl IntoRequest<v1::LoadRequest>,
    ) -> Result<v1::LoadResponse, RemoteError> {
        Ok(self.model.clone().load(request).await?.into_inner())
    }

    /// Forgets the models of a folder.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn unload_model(
        &self,
        request: impl IntoRequest<v1::UnloadRequest>,
    ) -> Result<v1::UnloadResponse, RemoteError> {
        Ok(self.model.clone().unload(request).await?.into_inner())
    }
}

fn endpoint(address: &str, keepalive: Duration) -> Result<Endpoint, RemoteError> {
    let uri = server_address(address).map_err(error(address, ErrorCode::InvalidArgument))?;
    Ok(Endpoint::from(uri)
        .connect_timeout(CONNECT_PATIENCE)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(keepalive))
        .http2_keep_alive_interval(keepalive)
        .keep_alive_timeout(keepalive))
}

fn error<E: Display>(address: &str, code: ErrorCode) -> impl FnOnce(E) -> RemoteError {
    move |error| RemoteError {
        code,
        message: format!("{address}: {error}"),
    }
}

#[cfg(test)]
mod tests;
