use std::collections::BTreeMap;
use std::sync::Arc;

use nephrite_server::memory::{Allowance, MemoryBudget, Reservation};
use nephrite_types::{CancelToken, Limits};

use crate::estimate::PROCESS_BYTES;
use crate::file_hashes::FileHashes;
use crate::memory::{Gate, Residents};
use crate::resident::{ModelBudget, ModelKey, ModelStore, ResidentStore};
use crate::runtime::{Runtime, RuntimeSettings};
use crate::volumes::{ScanKey, VolumeStore};
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
    /// Bytes that the process may hold; what the machine allows, minus a reserve, if `None`. A request that expects to
    /// need more than is free waits; one that can never fit is refused.
    pub max_memory_bytes: Option<u64>,
}

impl Default for StepBudget {
    /// 4 GiB of volumes, one network, the memory that the machine allows.
    fn default() -> Self {
        StepBudget {
            max_volume_bytes: 4 << 30,
            max_networks: 1,
            max_memory_bytes: None,
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
    /// Bytes of everything.
    pub(crate) memory: MemoryBudget,
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
        let configured = steps.max_memory_bytes.map(Allowance::configured);
        let allowance = configured.unwrap_or_else(Allowance::of_this_process);
        Core {
            root: Arc::new(root),
            limits,
            speed: SpeedMeter::new(runtime.n_threads),
            runtime: Runtime::new(runtime),
            models: ModelStore::new(models.max_models, models.max_model_bytes),
            volumes: ResidentStore::new(usize::MAX, steps.max_volume_bytes),
            networks: Gate::new(steps.max_networks.max(1) as u64),
            memory: MemoryBudget::new(allowance, PROCESS_BYTES),
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

    /// How much memory requests may take.
    pub fn memory(&self) -> &MemoryBudget {
        &self.memory
    }

    /// The resident models.
    pub fn models(&self) -> &ModelStore {
        &self.models
    }

    /// Waits until so many bytes fit beside what others reserved. Models and the scan that the request will use, and what
    /// was made of it, stay in memory meanwhile; other idle things may have to go.
    ///
    /// # Errors
    /// [`CoreError::Memory`], at once if they can never fit.
    pub(crate) fn reserve(
        &self,
        what: &'static str,
        bytes: u64,
        wanted_models: &[&ModelKey],
        wanted_scan: Option<&ScanKey>,
        cancel: &CancelToken,
    ) -> Result<Reservation<'_>, CoreError> {
        let residents = Residents {
            models: &self.models,
            volumes: &self.volumes,
            wanted_models,
            wanted_scan,
        };
        Ok(self.memory.reserve(what, bytes, &residents, cancel)?)
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
