use std::collections::BTreeMap;
use std::sync::Arc;

use nephrite_types::Limits;

use crate::file_hashes::FileHashes;
use crate::gate::Gate;
use crate::resident::{ModelBudget, ModelStore, ResidentStore};
use crate::runtime::{Runtime, RuntimeSettings};
use crate::volumes::VolumeStore;
use crate::{CoreError, Root, SpeedMeter};

/// What a [`Core`] is made from.
#[derive(Debug)]
pub struct CoreSettings {
    /// Where paths may lead.
    pub root: Root,
    /// What one request may cost.
    pub limits: Limits,
    /// Which ONNX Runtime, which provider, how many threads.
    pub runtime: RuntimeSettings,
    /// How many models may stay resident.
    pub models: ModelBudget,
    /// What steps that run beside each other may take.
    pub steps: StepBudget,
}

/// What steps that run beside each other may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepBudget {
    /// Bytes of scans and network inputs that may stay in memory between steps and requests. What is in use is never
    /// dropped.
    pub max_volume_bytes: u64,
    /// Networks that run at once; they share the threads of the runtime.
    pub max_networks: usize,
    /// Bytes of weights, activations and network inputs that model steps may expect to need together; a step that needs
    /// more runs alone.
    pub max_model_step_bytes: u64,
}

impl Default for StepBudget {
    /// 4 GiB of volumes, one network, 8 GiB of model steps.
    fn default() -> Self {
        StepBudget {
            max_volume_bytes: 4 << 30,
            max_networks: 1,
            max_model_step_bytes: 8 << 30,
        }
    }
}

/// What outlives a request. Shared by all requests of a process.
#[derive(Debug)]
pub struct Core {
    pub(crate) root: Arc<Root>,
    pub(crate) limits: Limits,
    pub(crate) runtime: Runtime,
    pub(crate) models: ModelStore,
    pub(crate) volumes: VolumeStore,
    /// One per network that may run.
    pub(crate) networks: Gate,
    /// Bytes of model steps.
    pub(crate) model_steps: Gate,
    pub(crate) file_hashes: FileHashes,
    /// How fast networks run here.
    pub(crate) speed: SpeedMeter,
    /// Odd geometry is an error for every request.
    pub(crate) strict_geometry: bool,
}

impl Core {
    /// Loads nothing yet: ONNX Runtime is loaded by the first model, or by [`Core::start_runtime`].
    pub fn new(settings: CoreSettings) -> Self {
        let CoreSettings {
            root,
            limits,
            runtime,
            models,
            steps,
        } = settings;
        Core {
            root: Arc::new(root),
            limits,
            speed: SpeedMeter::new(runtime.n_threads),
            runtime: Runtime::new(runtime),
            models: ModelStore::new(models.max_models, models.max_weight_bytes),
            volumes: ResidentStore::new(usize::MAX, steps.max_volume_bytes),
            networks: Gate::new(steps.max_networks.max(1) as u64),
            model_steps: Gate::new(steps.max_model_step_bytes.max(1)),
            file_hashes: FileHashes::default(),
            strict_geometry: false,
        }
    }

    /// Makes odd geometry an error for every request, whatever the request says.
    #[must_use]
    pub fn with_strict_geometry(mut self, strict: bool) -> Self {
        self.strict_geometry = strict;
        self
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
