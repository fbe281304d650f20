//! Scans as files.

use std::sync::Arc;

use nephrite_proto::convert::path;
use nephrite_proto::v1::volume_service_server::VolumeService;
use nephrite_proto::v1::{self, ResizeResponse, VolumeServiceInspectRequest, VolumeServiceInspectResponse};
use nephrite_server::{Deadline, Refusal};
use nephrite_types::NoProgress;
use tonic::{Request, Response, Status};

use super::Work;
use crate::resize::{ResizeRequest, resize};
use crate::series::list_series;
use crate::wire::{description, series};

/// `VolumeService`.
#[derive(Debug)]
pub(crate) struct Volumes {
    work: Arc<Work>,
}

impl Volumes {
    pub(crate) fn new(work: Arc<Work>) -> Self {
        Volumes { work }
    }
}

#[tonic::async_trait]
impl VolumeService for Volumes {
    async fn inspect(
        &self,
        request: Request<VolumeServiceInspectRequest>,
    ) -> Result<Response<VolumeServiceInspectResponse>, Status> {
        let deadline = Deadline::of(&request);
        let input = path("input", &request.into_inner().input).map_err(Refusal::from)?;
        let info = self
            .work
            .light_until(deadline, move |core, cancel| core.volumes().info(&input, cancel));
        Ok(Response::new(description::volume(info.await?)))
    }

    async fn list_series(
        &self,
        request: Request<v1::ListSeriesRequest>,
    ) -> Result<Response<v1::ListSeriesResponse>, Status> {
        let deadline = Deadline::of(&request);
        let folder = path("folder", &request.into_inner().folder).map_err(Refusal::from)?;
        let listing = self
            .work
            .light_until(deadline, move |core, cancel| list_series(core, &folder, cancel));
        Ok(Response::new(series::listing(listing.await?)))
    }

    async fn resize(&self, request: Request<v1::ResizeRequest>) -> Result<Response<ResizeResponse>, Status> {
        let deadline = Deadline::of(&request);
        let request = ResizeRequest::try_from(request.into_inner()).map_err(Refusal::from)?;
        let report = self.work.heavy(deadline, move |core, cancel| {
            resize(core, &request, &NoProgress, cancel)
        });
        Ok(Response::new(description::resized(report.await?)))
    }
}
