use std::collections::BTreeMap;
use std::sync::Arc;

use nephrite_types::Limits;

use crate::model_store::{ModelBudget, ModelStore};
use crate::runtime::{Runtime, RuntimeSettings};
use crate::{CoreError, Root};

/// What a [`Core`] is made from.
#[derive(Debug)]
pub struct CoreSettings {
    /// Where paths may lead.
    pub root: Root,
    /// What one request may cost.
    pub limits: Limits,
    /// Which ONNX Runtime, which provider, how many threads.
    pub runtime: RuntimeSettings,
    /// How much may stay resident.
    pub models: ModelBudget,
}

/// What outlives a request. Shared by all requests of a process.
#[derive(Debug)]
pub struct Core {
    pub(crate) root: Arc<Root>,
    pub(crate) limits: Limits,
    pub(crate) runtime: Runtime,
    pub(crate) models: ModelStore,
}

impl Core {
    /// Loads nothing yet: ONNX Runtime is loaded by the first model, or by [`Core::start_runtime`].
    pub fn new(settings: CoreSettings) -> Self {
        let CoreSettings {
            root,
            limits,
            runtime,
            models,
        } = settings;
        Core {
            root: Arc::new(root),
            limits,
            runtime: Runtime::new(runtime),
            models: ModelStore::new(models),
        }
    }

    /// Loads ONNX Runtime and checks that the wanted provider starts. A server calls it before it listens.
    ///
    /// # Errors
    /// [`CoreError::Engine`]
    pub fn start_runtime(&self) -> Result<(), CoreError> {
        self.runtime.start()?;
        Ok(())
    }

    /// Where paths may lead.
    pub fn root(&self) -> &Arc<Root> {
        &self.root
    }

    /// What one request may cost.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The resident models.
    pub fn models(&self) -> &ModelStore {
        &self.models
    }

    /// Versions of what takes part, for reports.
    pub(crate) fn versions(&self) -> BTreeMap<&'static str, String> {
        let mut versions = BTreeMap::from([("nephrite", env!("CARGO_PKG_VERSION").to_owned())]);
        if let Some(info) = self.runtime.build_info() {
            versions.insert("onnxruntime", info.to_owned());
        }
        versions
    }
}
