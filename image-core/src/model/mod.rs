//! Models: their folders, the runtime that runs them, those that stay in memory, and what one costs on a scan.

mod choice;
mod cost;
mod hashes;
mod list;
mod memory;
mod open;
mod opened;
mod precision;
mod report;
mod runtime;
mod speed;
mod store;

use std::path::Path;
use std::sync::Arc;

use nephrite_nnunet::Model;
use nephrite_root::{PathError, Root};
use nephrite_types::{CancelToken, Limits};

use crate::error::CoreError;
use crate::memory::{ResidentEntry, changed};

pub use choice::ModelChoice;
pub(crate) use cost::{ModelCost, ModelOnScan};
pub use list::ModelListing;
pub(crate) use memory::loading_bytes;
pub(crate) use open::OpenModel;
pub(crate) use precision::PrecisionName;
pub use report::{FileRecord, ModelReport};
pub use runtime::{CpuSettings, RuntimeSettings};
pub use speed::{Speed, SpeedMeter, SpeedSource};
pub(crate) use store::ModelStore;
pub use store::{ModelBudget, ModelKey};

use hashes::FileHashes;
use opened::OpenedModels;
use runtime::Runtime;

/// Loads of a model that others change all the time.
const MAX_LOADS: usize = 3;

/// The models beneath a root.
#[derive(Debug)]
pub struct Models {
    root: Arc<Root>,
    limits: Limits,
    runtime: Runtime,
    store: ModelStore,
    hashes: FileHashes,
    opened: OpenedModels,
    speed: SpeedMeter,
}

impl Models {
    /// Loads nothing yet.
    pub(crate) fn new(
        root: Arc<Root>,
        limits: Limits,
        runtime: RuntimeSettings,
        budget: ModelBudget,
    ) -> Self {
        Models {
            root,
            limits,
            speed: SpeedMeter::new(runtime.n_threads, runtime.cpu),
            runtime: Runtime::new(runtime),
            store: ModelStore::new(budget.max_models, budget.max_model_bytes),
            hashes: FileHashes::default(),
            opened: OpenedModels::default(),
        }
    }

    /// What is resident, most recently used first.
    pub fn resident(&self) -> Vec<ResidentEntry<ModelKey>> {
        self.store.list()
    }

    /// Forgets all models of a folder (device and inode) and says how many. Requests that use one keep it until they end.
    pub fn unload(&self, folder: (u64, u64)) -> usize {
        self.store.forget(|key| key.folder == folder)
    }

    /// Model folders beneath a folder; see [`ModelListing`].
    ///
    /// # Errors
    /// [`CoreError::Path`] if `folder` itself cannot be read, [`CoreError::Cancelled`].
    pub fn list(&self, folder: &Path, cancel: &CancelToken) -> Result<Vec<ModelListing>, CoreError> {
        list::list_models(&self.root, folder, cancel)
    }

    /// How fast networks run here.
    pub fn speed(&self) -> &SpeedMeter {
        &self.speed
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Opens a model folder; reads no weights.
    pub(crate) fn open(
        &self,
        choice: &ModelChoice,
        cancel: &CancelToken,
    ) -> Result<Arc<OpenModel>, CoreError> {
        if let Some(model) = self.opened.get(&self.root, choice) {
            return Ok(model);
        }
        let networks = self.runtime.networks();
        let model = Arc::new(OpenModel::open(
            &self.root,
            choice,
            networks,
            &self.limits,
            cancel,
        )?);
        self.opened.keep(model.clone());
        Ok(model)
    }

    /// The previous stage of a cascade, which lies beside a model.
    ///
    /// # Errors
    /// [`CoreError::PreviousStageMissing`]; what opening says.
    pub(crate) fn open_beside(
        &self,
        model: &OpenModel,
        stage: &str,
        cancel: &CancelToken,
    ) -> Result<Arc<OpenModel>, CoreError> {
        let choice = model.beside(stage);
        self.open(&choice, cancel).map_err(|error| match error {
            CoreError::Path(PathError::NotFound { .. }) => CoreError::PreviousStageMissing {
                stage: stage.to_owned(),
                folder: choice.folder,
            },
            error => error,
        })
    }

    /// The model, resident or loaded now, and the weight bytes read for it now.
    ///
    /// # Errors
    /// [`CoreError::FileChanged`] if somebody changes one of its files meanwhile; what loading says.
    pub(crate) fn load(
        &self,
        model: &OpenModel,
        cancel: &CancelToken,
    ) -> Result<(Arc<Model>, u64), CoreError> {
        let name = model.choice.folder.to_string_lossy();
        for _ in 0..MAX_LOADS {
            let load = || {
                self.runtime.start_for(model)?;
                self.hashes.around(model, cancel, || {
                    let options = open::options(&model.choice);
                    let loaded = Model::load(&model.folder, &options, &self.limits, &self.runtime, cancel)?;
                    let bytes = loaded.idle_bytes();
                    Ok((loaded, bytes))
                })
            };
            let (network, loaded) = self.store.get_or_load(model.key().clone(), &name, cancel, load)?;
            if loaded.is_some() {
                let weight_bytes_read = network.weight_bytes_read();
                return Ok((network, weight_bytes_read));
            }
            if self.hashes.still_hold(model, cancel)? {
                return Ok((network, 0));
            }
            self.store.forget(|key| key == model.key());
        }
        Err(changed(&model.choice.folder))
    }

    /// Hashes of the files of a model, with their paths below its folder.
    pub(crate) fn hashes(
        &self,
        model: &OpenModel,
        cancel: &CancelToken,
    ) -> Result<Vec<FileRecord>, CoreError> {
        self.hashes.of_model(model, cancel)
    }

    /// Drops what is over the budget; called when a request has ended.
    pub(crate) fn trim(&self) {
        self.store.trim();
    }

    /// Bytes of models that nobody uses, besides those that are about to be used.
    pub(crate) fn idle_bytes(&self, wanted: &[&ModelKey]) -> u64 {
        self.store.idle_bytes(|key| wanted.contains(&key))
    }

    /// Drops what is idle, until so many bytes are gone.
    pub(crate) fn drop_idle(&self, bytes: u64, wanted: &[&ModelKey]) {
        self.store.drop_idle(bytes, |key| wanted.contains(&key));
    }
}
