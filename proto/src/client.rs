use nephrite_types::ErrorCode;
use tonic::transport::{Channel, Endpoint};
use tonic::{IntoRequest, Status, Streaming, TimeoutExpired};

use crate::status::error_code;
use crate::v1::model_service_client::ModelServiceClient;
use crate::v1::segmentation_service_client::SegmentationServiceClient;
use crate::v1::volume_service_client::VolumeServiceClient;
use crate::v1::{self, RunResponse};

pub use crate::v1::run_response::Event;

/// A connection to an image core. Cheap to clone; clones share the connection.
///
/// Every method takes a message, or a [`tonic::Request`] around one to set a deadline.
#[derive(Debug, Clone)]
pub struct Client {
    segmentation: SegmentationServiceClient<Channel>,
    volume: VolumeServiceClient<Channel>,
    model: ModelServiceClient<Channel>,
}

/// What the other side refused, or why it could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RemoteError {
    /// How a caller can act on it.
    pub code: ErrorCode,
    /// What the other side said.
    pub message: String,
}

impl From<Status> for RemoteError {
    fn from(status: Status) -> Self {
        let code = match error_code(&status) {
            // tonic's own timer of a deadline, on this side, speaks of a cancel.
            ErrorCode::Cancelled if status.message() == TimeoutExpired(()).to_string() => {
                ErrorCode::DeadlineExceeded
            }
            code => code,
        };
        RemoteError {
            code,
            message: status.message().to_owned(),
        }
    }
}

impl Client {
    /// Connects to an address such as `http://127.0.0.1:7443`.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] if that is no address, [`ErrorCode::Unavailable`] if nobody answers there.
    pub async fn connect(address: &str) -> Result<Client, RemoteError> {
        let error = |code| {
            move |error: tonic::transport::Error| RemoteError {
                code,
                message: format!("{address}: {error}"),
            }
        };
        let endpoint =
            Endpoint::from_shared(address.to_owned()).map_err(error(ErrorCode::InvalidArgument))?;
        let channel = endpoint.connect().await.map_err(error(ErrorCode::Unavailable))?;
        Ok(Client::new(channel))
    }

    /// Over a channel that is there already.
    pub fn new(channel: Channel) -> Client {
        Client {
            segmentation: SegmentationServiceClient::new(channel.clone()),
            volume: VolumeServiceClient::new(channel.clone()),
            model: ModelServiceClient::new(channel),
        }
    }

    /// Segments a scan. Dropping the events cancels the run.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub async fn run(&self, request: impl IntoRequest<v1::RunRequest>) -> Result<RunEvents, RemoteError> {
        let events = self.segmentation.clone().run(request).await?.into_inner();
        Ok(RunEvents { events })
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

/// The events of a run, as they come. Dropping it cancels the run.
#[derive(Debug)]
pub struct RunEvents {
    events: Streaming<RunResponse>,
}

impl RunEvents {
    /// The next event; `None` after the last.
    ///
    /// # Errors
    /// [`RemoteError`] if the run failed.
    pub async fn next(&mut self) -> Result<Option<Event>, RemoteError> {
        loop {
            match self.events.message().await? {
                None => return Ok(None),
                Some(RunResponse { event: Some(event) }) => return Ok(Some(event)),
                Some(RunResponse { event: None }) => {} // of a kind that a newer server knows
            }
        }
    }

    /// Waits for the end and gives what was done.
    ///
    /// # Errors
    /// [`RemoteError`] if the run failed; [`ErrorCode::Internal`] if the stream ends without a result.
    pub async fn done(mut self) -> Result<v1::Done, RemoteError> {
        while let Some(event) = self.next().await? {
            if let Event::Done(done) = event {
                return Ok(done);
            }
        }
        Err(RemoteError {
            code: ErrorCode::Internal,
            message: "the stream ended without a result".to_owned(),
        })
    }
}
