//! Models: their folders, the runtime that runs them, those that stay in memory, and what one costs on a scan.

mod cards;
mod choice;
mod cost;
mod cuda;
mod half_verdicts;
mod hashes;
mod list;
mod memory;
mod name;
mod open;
mod opened;
mod report;
mod runtime;
mod speed;
mod store;

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use nephrite_nnunet::Model;
use nephrite_root::{PathError, Root};
use nephrite_types::Precision;
use nephrite_types::{CancelToken, Limits};

use crate::error::CoreError;
use crate::memory::{ResidentEntry, changed};

pub(crate) use cards::CardLease;
pub use choice::ModelChoice;
pub(crate) use cost::{ModelCost, ModelOnScan};
pub use cuda::{CudaSettings, Device};
pub use list::ModelListing;
pub(crate) use memory::loading_bytes;
pub(crate) use name::plain_name;
pub(crate) use open::OpenModel;
pub use report::{FileRecord, ModelReport};
pub(crate) use runtime::precisions_of;
pub use runtime::{CpuSettings, RuntimeSettings};
pub use speed::{Speed, SpeedMeter, SpeedSource};
pub(crate) use store::ModelStore;
pub use store::{ModelBudget, ModelKey, ResidentKey};

use cards::Cards;
use half_verdicts::HalfVerdict;
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
    /// Those whose numbers do not fit half precision.
    single: Mutex<HashSet<ModelKey>>,
}

/// Models that are remembered not to do in half precision.
const MAX_SINGLE: usize = 1024;

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
            speed: SpeedMeter::new(
                runtime.provider,
                runtime.precision(),
                runtime.n_threads,
                runtime.cpu,
            ),
            runtime: Runtime::new(runtime),
            store: ModelStore::new(budget.max_models, budget.max_model_bytes),
            hashes: FileHashes::default(),
            opened: OpenedModels::default(),
            single: Mutex::default(),
        }
    }

    /// What is resident, most recently used first.
    pub fn resident(&self) -> Vec<ResidentEntry<ResidentKey>> {
        self.store.list()
    }

    /// What a card of this process is called: `cuda:0`.
    pub fn device(&self, card: usize) -> Option<String> {
        let mut cards = self.runtime.open_cards()?.list();
        cards.nth(card).map(|card| card.info().device())
    }

    /// The cards of this process, if they are open.
    pub(crate) fn cards(&self) -> impl Iterator<Item = &nephrite_cuda::Card> {
        self.runtime.open_cards().into_iter().flat_map(Cards::list)
    }

    /// Forgets all models of a folder (device and inode) and says how many. Requests that use one keep it until they end.
    pub fn unload(&self, folder: (u64, u64)) -> usize {
        self.store.forget(|key| key.model.folder == folder)
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
        let networks = self.runtime.networks(self.runtime.precision_of(choice));
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

    /// In what the networks of a model compute: as it was asked for, or f32 if half did not do for it before.
    pub(crate) fn precision(&self, model: &OpenModel) -> Precision {
        let single = self.single.lock().unwrap_or_else(PoisonError::into_inner);
        match self.runtime.precision_of(&model.choice) {
            Precision::Half if single.contains(model.key()) => Precision::F32,
            precision => precision,
        }
    }

    /// Remembers that half precision will not do for a model in this state of its files.
    pub(crate) fn remember_single(&self, model: &OpenModel) {
        let mut single = self.single.lock().unwrap_or_else(PoisonError::into_inner);
        if single.len() >= MAX_SINGLE {
            single.clear(); // they are found out again
        }
        single.insert(model.key().clone());
    }

    /// What tells a model in memory from all others: what it is, in what it computes, and on which card.
    pub(crate) fn resident_key(
        &self,
        model: &OpenModel,
        precision: Precision,
        card: Option<usize>,
    ) -> ResidentKey {
        ResidentKey {
            model: model.key().clone(),
            precision,
            card,
        }
    }

    /// The model, resident or loaded now, and the weight bytes read for it now. `card` is where it goes, if it goes to one.
    ///
    /// # Errors
    /// [`CoreError::FileChanged`] if somebody changes one of its files meanwhile; what loading says.
    pub(crate) fn load(
        &self,
        model: &OpenModel,
        precision: Precision,
        card: Option<usize>,
        cancel: &CancelToken,
    ) -> Result<(Arc<Model>, u64), CoreError> {
        let name = model.choice.folder.to_string_lossy();
        let key = self.resident_key(model, precision, card);
        for _ in 0..MAX_LOADS {
            let load = || {
                self.runtime.start_for(model)?;
                self.hashes.around(model, cancel, || {
                    let options = open::options(&model.choice);
                    let verdict = card.and_then(|card| self.half_verdict(model, precision, card));
                    let is_known = verdict.as_ref().is_some_and(HalfVerdict::is_known);
                    let factory = self.runtime.factory(precision, card, !is_known);
                    let loaded = Model::load(&model.folder, &options, &self.limits, &factory, cancel)?;
                    if precision == Precision::Half
                        && loaded.card_precision() == Some(nephrite_cuda::Precision::Single)
                    {
                        self.remember_single(model);
                    }
                    if let Some(verdict) = verdict.filter(|_| !is_known)
                        && loaded.card_precision() == Some(nephrite_cuda::Precision::Half)
                    {
                        verdict.keep();
                    }
                    let bytes = loaded.idle_bytes();
                    Ok((loaded, bytes))
                })
            };
            let (network, loaded) = self.store.get_or_load(key.clone(), &name, cancel, load)?;
            if loaded.is_some() {
                let weight_bytes_read = network.weight_bytes_read();
                return Ok((network, weight_bytes_read));
            }
            if self.hashes.still_hold(model, cancel)? {
                return Ok((network, 0));
            }
            self.store.forget(|key| key.model == *model.key());
        }
        Err(changed(&model.choice.folder))
    }

    /// What is remembered of a model in half precision on a card; `None` if it is not to be looked at, or its files could change
    /// without showing it.
    fn half_verdict(&self, model: &OpenModel, precision: Precision, card: usize) -> Option<HalfVerdict> {
        let settings = self.runtime.cuda();
        let check = settings.half_check.filter(|_| precision == Precision::Half)?;
        let info = self.runtime.open_cards()?.card(card).info();
        let is_settled = model.is_settled(SystemTime::now());
        is_settled.then(|| HalfVerdict::of(settings.cache.as_deref(), model.key(), info, &check))
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
        self.store.idle_bytes(|key| wanted.contains(&&key.model))
    }

    /// Drops what is idle, until so many bytes are gone.
    pub(crate) fn drop_idle(&self, bytes: u64, wanted: &[&ModelKey]) {
        self.store.drop_idle(bytes, |key| wanted.contains(&&key.model));
    }

    /// Bytes on a card of models that nobody uses, besides those that are about to be used.
    pub(crate) fn idle_card_bytes(&self, card: usize, wanted: &[&ModelKey]) -> u64 {
        let stays = |key: &ResidentKey| key.card != Some(card) || wanted.contains(&&key.model);
        self.store.idle_sum(stays, |model, _| model.card_bytes())
    }

    /// Drops models from a card that nobody uses, until so many of its bytes are gone.
    pub(crate) fn drop_from_card(&self, card: usize, bytes: u64, wanted: &[&ModelKey]) {
        let stays = |key: &ResidentKey| key.card != Some(card) || wanted.contains(&&key.model);
        self.store.drop_sum(bytes, stays, |model, _| model.card_bytes());
    }

    /// Bytes on a card of all models that are there.
    pub(crate) fn card_bytes(&self, card: usize) -> u64 {
        self.store.sum(|key, model| {
            if key.card == Some(card) {
                model.card_bytes()
            } else {
                0
            }
        })
    }

    /// True if models are on a card in this precision already.
    pub(crate) fn are_on_card<'m>(
        &self,
        models: impl IntoIterator<Item = &'m OpenModel>,
        card: usize,
    ) -> bool {
        let is_there = |model: &OpenModel| {
            let precision = self.precision(model);
            self.store.has(&self.resident_key(model, precision, Some(card)))
        };
        models.into_iter().all(is_there)
    }
}
