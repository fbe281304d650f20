//! What outlives a request.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use nephrite_dicom::SeriesOptions;
use nephrite_dicomweb::{Address, ServerSettings};
use nephrite_nnunet::ModelDescription;
use nephrite_root::{OutputFile, Root, sweep};
use nephrite_server::memory::{Allowance, Idle, MemoryBudget, MemoryError, Reservation};
use nephrite_types::{CancelToken, Limits};

use crate::error::CoreError;
use crate::memory::{Gate, ScanKey, ScanRules, Volumes};
use crate::model::{
    CardLease, ModelBudget, ModelChoice, ModelKey, Models, OpenModel, RuntimeSettings, loading_bytes,
};

/// What a [`Core`] is made from.
#[derive(Debug)]
pub struct CoreSettings {
    /// Where paths may lead.
    pub root: Root,
    /// What one request may cost.
    pub limits: Limits,
    /// Which provider, how many threads, which precision.
    pub runtime: RuntimeSettings,
    /// How many models may stay resident.
    pub models: ModelBudget,
    /// What requests that run beside each other may take.
    pub steps: StepBudget,
}

/// What requests, and steps of cases, that run beside each other may take.
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
    root: Arc<Root>,
    limits: Limits,
    models: Models,
    volumes: Volumes,
    /// One per network that may run.
    networks: Gate,
    /// Bytes of everything.
    memory: MemoryBudget,
    /// Odd geometry is an error for every request.
    strict_geometry: bool,
    /// DICOMweb servers that requests may name.
    dicomweb: Vec<ServerSettings>,
}

impl Core {
    /// Starts nothing yet: what runs the networks is started by the first model, or by [`Core::start_runtime`].
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
        let root = Arc::new(root);
        Core {
            memory: MemoryBudget::new(allowance, runtime.process_bytes()),
            models: Models::new(
                root.clone(),
                limits.clone(),
                runtime.with_networks(steps.max_networks),
                models,
            ),
            volumes: Volumes::new(root.clone(), limits.clone(), steps.max_volume_bytes),
            networks: Gate::new(steps.max_networks.max(1) as u64),
            strict_geometry: false,
            dicomweb: Vec::new(),
            root,
            limits,
        }
    }

    /// Makes odd geometry an error for every request, whatever the request says.
    #[must_use]
    pub fn with_strict_geometry(mut self, strict: bool) -> Self {
        self.strict_geometry = strict;
        self
    }

    /// How irregular DICOM series may be.
    #[must_use]
    pub fn with_series_options(mut self, series: SeriesOptions) -> Self {
        let rules = ScanRules {
            series,
            ..self.volumes.rules().clone()
        };
        self.volumes.set_rules(rules);
        self
    }

    /// DICOMweb servers that requests may name, and no others.
    #[must_use]
    pub fn with_dicomweb(mut self, servers: Vec<ServerSettings>) -> Self {
        self.dicomweb = servers;
        self
    }

    pub(crate) fn dicomweb(&self) -> &[ServerSettings] {
        &self.dicomweb
    }

    /// Starts what runs the networks of the provider: our own kernels on `cpu`, the cards on `cuda`, ONNX Runtime on any other. A server calls it
    /// before it listens.
    ///
    /// # Errors
    /// As [`RuntimeSettings::check`]; [`CoreError::Engine`] without the library.
    pub fn start_runtime(&self) -> Result<(), CoreError> {
        self.models.runtime().start()
    }

    /// Whether requests can be served now: the root is there, and a card if networks run on cards.
    ///
    /// # Errors
    /// [`CoreError::Path`], [`CoreError::CardsLost`].
    pub(crate) fn check_health(&self) -> Result<(), CoreError> {
        self.root.check()?;
        match self.models.runtime().open_cards() {
            Some(cards) => cards.check_health(),
            None => Ok(()),
        }
    }

    /// Where paths may lead.
    pub fn root(&self) -> &Arc<Root> {
        &self.root
    }

    /// A path as records and other processes know it: absolute. The address of a scan at a DICOMweb server is that everywhere.
    pub(crate) fn absolute_text(&self, path: &Path) -> String {
        let is_address = Address::is_meant(path);
        let whole = (!is_address).then(|| self.root.absolute(path).ok()).flatten();
        whole.as_deref().unwrap_or(path).display().to_string()
    }

    /// What one request may cost.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How much memory requests may take.
    pub fn memory(&self) -> &MemoryBudget {
        &self.memory
    }

    /// What the process holds besides its requests.
    pub(crate) fn process_bytes(&self) -> u64 {
        self.models.runtime().process_bytes()
    }

    /// The models: those on disk, and those in memory.
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// What a model folder is: channels, labels, spacing, patch, network, parameters, folds, mirroring, memory with the runtime
    /// of this core. Builds no network and reads no weights.
    ///
    /// # Errors
    /// [`CoreError`]
    pub fn inspect_model(
        &self,
        choice: &ModelChoice,
        cancel: &CancelToken,
    ) -> Result<ModelDescription, CoreError> {
        Ok(self.models.open(choice, cancel)?.description.clone())
    }

    /// Loads a model for later requests, once there is room for it.
    ///
    /// # Errors
    /// [`CoreError`]
    pub(crate) fn warm_up(&self, choice: &ModelChoice, cancel: &CancelToken) -> Result<WarmModel, CoreError> {
        let model = self.models.open(choice, cancel)?;
        let needed = loading_bytes(&model.description);
        let _memory = self.reserve("the model", needed, &[model.key()], None, cancel)?;
        let on_card = model.description.on_card.unwrap_or_default();
        let on_card = on_card.weights.saturating_add(on_card.arena);
        let card = self.place_on_card("the model", on_card, &[&*model], cancel)?;
        let precision = self.models.runtime().precision_of(choice);
        let at = card.as_ref().map(|card| card.lease.at());
        let (_, weight_bytes_read) = self.models.load(&model, precision, at, cancel)?;
        Ok(WarmModel {
            weight_bytes_read,
            folds: model.description.folds.clone(),
        })
    }

    /// Opens the folder of an output whose name ends as its format wants. What dead processes left in that folder goes.
    pub(crate) fn open_output(
        &self,
        field: &'static str,
        path: &Path,
        endings: &'static [&'static str],
    ) -> Result<OutputFile, CoreError> {
        let output = self.root.open_output(path)?;
        if endings
            .iter()
            .any(|ending| output.file_name.len() > ending.len() && output.file_name.ends_with(ending))
        {
            sweep(&output.folder);
            return Ok(output);
        }
        let expected = endings.join(" or ");
        Err(CoreError::OutputName {
            field,
            expected,
            path: path.to_owned(),
        })
    }

    pub(crate) fn volumes(&self) -> &Volumes {
        &self.volumes
    }

    pub(crate) fn networks(&self) -> &Gate {
        &self.networks
    }

    pub(crate) fn strict_geometry(&self) -> bool {
        self.strict_geometry
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
            core: self,
            wanted_models,
            wanted_scan,
        };
        Ok(self.memory.reserve(what, bytes, &residents, cancel)?)
    }

    /// As [`Core::reserve`], for what uses no model and no scan.
    ///
    /// # Errors
    /// [`MemoryError`], at once if they can never fit.
    pub(crate) fn reserve_bytes(
        &self,
        what: &'static str,
        bytes: u64,
        cancel: &CancelToken,
    ) -> Result<Reservation<'_>, MemoryError> {
        let residents = Residents {
            core: self,
            wanted_models: &[],
            wanted_scan: None,
        };
        self.memory.reserve(what, bytes, &residents, cancel)
    }

    /// A place on a card for those models that run on cards, once so many bytes fit there; `None` if none does.
    ///
    /// # Errors
    /// [`CoreError::CardMemory`] at once if they can never fit; [`CoreError::CardsLost`]; what opening the cards says.
    pub(crate) fn place_on_card(
        &self,
        what: &'static str,
        bytes: u64,
        models: &[&OpenModel],
        cancel: &CancelToken,
    ) -> Result<Option<CardPlace<'_>>, CoreError> {
        let runtime = self.models.runtime();
        let mut models = models.to_vec();
        models.retain(|model| runtime.is_on_card(model));
        if models.is_empty() {
            return Ok(None);
        }
        let is_there = |at| self.models.are_on_card(models.iter().copied(), at);
        let lease = runtime.cards()?.lease(is_there)?;
        let idle = CardResidents {
            core: self,
            lease: &lease,
            wanted_models: &models.iter().map(|model| model.key()).collect::<Vec<_>>(),
        };
        let _memory = lease.reserve(what, bytes, &idle, cancel)?;
        Ok(Some(CardPlace { lease, _memory }))
    }

    /// Versions of what takes part when these models run, for reports.
    pub(crate) fn versions<'m>(
        &self,
        models: impl IntoIterator<Item = &'m OpenModel>,
    ) -> BTreeMap<&'static str, String> {
        let runtime = self.models.runtime();
        let of_models = models.into_iter().flat_map(|model| runtime.versions_for(model));
        std::iter::once(("nephrite", env!("CARGO_PKG_VERSION").to_owned()))
            .chain(of_models)
            .collect()
    }
}

/// A model that was loaded for later requests.
pub(crate) struct WarmModel {
    /// Read now; 0 if it was in memory already.
    pub(crate) weight_bytes_read: u64,
    /// `fold_0` …, in order.
    pub(crate) folds: Vec<String>,
}

/// A request's place on a card, and what it may take there; given back when dropped.
#[derive(Debug)]
pub(crate) struct CardPlace<'a> {
    pub(crate) lease: CardLease<'a>,
    _memory: Reservation<'a>,
}

/// What stays on a card between requests, as its budget sees it.
struct CardResidents<'a> {
    core: &'a Core,
    lease: &'a CardLease<'a>,
    wanted_models: &'a [&'a ModelKey],
}

impl CardResidents<'_> {
    /// What is neither a model nor anybody's: values between layers, and scans.
    fn bytes_beside_models(&self) -> u64 {
        if !self.lease.is_alone() {
            return 0; // those that use them have reserved them
        }
        let of_models = self.core.models.card_bytes(self.lease.at());
        self.lease.card().used_bytes().saturating_sub(of_models)
    }
}

impl Idle for CardResidents<'_> {
    fn bytes(&self) -> u64 {
        let of_models = self
            .core
            .models
            .idle_card_bytes(self.lease.at(), self.wanted_models);
        of_models.saturating_add(self.bytes_beside_models())
    }

    fn drop_bytes(&self, bytes: u64) {
        let before = self.bytes_beside_models();
        if before > 0 {
            self.core.volumes.leave_cards();
            self.lease.card().rest();
        }
        let left = bytes.saturating_sub(before);
        if left > 0 {
            (self.core.models).drop_from_card(self.lease.at(), left, self.wanted_models);
        }
    }
}

/// What stays in memory between requests, as the budget sees it; what the asking request will use is left alone.
struct Residents<'a> {
    core: &'a Core,
    wanted_models: &'a [&'a ModelKey],
    /// With what was made of it.
    wanted_scan: Option<&'a ScanKey>,
}

impl Idle for Residents<'_> {
    fn bytes(&self) -> u64 {
        let models = self.core.models.idle_bytes(self.wanted_models);
        models.saturating_add(self.core.volumes.idle_bytes(self.wanted_scan))
    }

    fn drop_bytes(&self, bytes: u64) {
        // Volumes first: reading a scan again costs less than making a network again.
        let dropped = self.core.volumes.drop_idle(bytes, self.wanted_scan);
        let left = bytes.saturating_sub(dropped);
        if left > 0 {
            self.core.models.drop_idle(left, self.wanted_models);
        }
    }
}
