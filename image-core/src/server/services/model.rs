//! Which models there are.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use cap_std::fs::MetadataExt as _;
use nephrite_proto::convert::{optional_path, path};
use nephrite_proto::v1::model_service_server::ModelService;
use nephrite_proto::v1::{
    ListRequest, ListResponse, LoadRequest, LoadResponse, ModelServiceInspectRequest,
    ModelServiceInspectResponse, UnloadRequest, UnloadResponse,
};
use nephrite_root::PathError;
use nephrite_server::{Deadline, Refusal};
use nephrite_types::CancelToken;
use tonic::{Request, Response, Status};

use super::Work;
use crate::core::WarmModel;
use crate::error::CoreError;
use crate::wire::description;
use crate::wire::model_choice::model_choice;

/// The token of short work, with its caller's deadline.
fn until(cancel: &CancelToken, deadline: Option<Deadline>) -> CancelToken {
    match deadline {
        Some(Deadline(deadline)) => cancel.clone().with_deadline(deadline.into()),
        None => cancel.clone(),
    }
}

/// `ModelService`.
#[derive(Debug)]
pub(crate) struct Models {
    work: Arc<Work>,
}

impl Models {
    pub(crate) fn new(work: Arc<Work>) -> Self {
        Models { work }
    }
}

#[tonic::async_trait]
impl ModelService for Models {
    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let deadline = Deadline::of(&request);
        let root = optional_path("root", &request.into_inner().root).map_err(Refusal::from)?;
        let root = root.unwrap_or_else(|| PathBuf::from("."));
        let listed = self.work.light(move |core, cancel| {
            let models = core.models().list(&root, &until(cancel, deadline))?;
            let resident = core.models().resident().into_iter();
            let resident = resident.map(|model| {
                let device = model.key.card.and_then(|card| core.models().device(card));
                description::resident(model, device)
            });
            let cards = core.models().cards().map(description::card);
            Ok::<_, CoreError>((models, resident.collect(), cards.collect()))
        });
        let (models, resident, cards) = listed.await?;
        Ok(Response::new(ListResponse {
            models: models.into_iter().map(description::listing).collect(),
            resident,
            cards,
        }))
    }

    async fn inspect(
        &self,
        request: Request<ModelServiceInspectRequest>,
    ) -> Result<Response<ModelServiceInspectResponse>, Status> {
        let deadline = Deadline::of(&request);
        let ModelServiceInspectRequest {
            model,
            folds,
            checkpoint,
            precision,
        } = request.into_inner();
        let folder = path("model", &model).map_err(Refusal::from)?;
        let choice = model_choice(folder, &folds, checkpoint, precision).map_err(Refusal::from)?;
        let description = self
            .work
            .light(move |core, cancel| core.inspect_model(&choice, &until(cancel, deadline)));
        Ok(Response::new(description::model(description.await?)))
    }

    async fn load(&self, request: Request<LoadRequest>) -> Result<Response<LoadResponse>, Status> {
        let deadline = Deadline::of(&request);
        let LoadRequest {
            model,
            folds,
            checkpoint,
            precision,
        } = request.into_inner();
        let folder = path("model", &model).map_err(Refusal::from)?;
        let choice = model_choice(folder, &folds, checkpoint, precision).map_err(Refusal::from)?;
        let loaded = self.work.heavy(deadline, move |core, cancel| {
            let started = Instant::now();
            let WarmModel {
                weight_bytes_read,
                folds,
            } = core.warm_up(&choice, cancel)?;
            let seconds = started.elapsed().as_secs_f64();
            tracing::info!(weight_bytes_read, seconds, "model is warm");
            Ok::<_, CoreError>(LoadResponse {
                weight_bytes_read,
                seconds,
                folds,
            })
        });
        Ok(Response::new(loaded.await?))
    }

    async fn unload(&self, request: Request<UnloadRequest>) -> Result<Response<UnloadResponse>, Status> {
        let folder = path("model", &request.into_inner().model).map_err(Refusal::from)?;
        let unloaded = self.work.light(move |core, _| {
            let dir = core.root().open_folder(&folder)?;
            let metadata = dir.dir_metadata().map_err(|source| PathError::Io {
                path: folder.clone(),
                source,
            })?;
            Ok::<_, CoreError>(core.models().unload((metadata.dev(), metadata.ino())))
        });
        let unloaded = u32::try_from(unloaded.await?).unwrap_or(u32::MAX);
        tracing::info!(unloaded, "models unloaded");
        Ok(Response::new(UnloadResponse { unloaded }))
    }
}
