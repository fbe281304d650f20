//! The one way in which a model runs on a scan, whoever asks for it and whatever becomes of the result.

use std::sync::Arc;

use nephrite_engine::precision_of_card;
use nephrite_nnunet::{Model, NnunetError, PredictOptions, Prediction, predict_preprocessed};
use nephrite_nnunet_folder::RemoveAllButLargest;
use nephrite_server::memory::Reservation;
use nephrite_types::{CancelToken, Numerics, Precision, Progress as _, Stage, Warning};
use nephrite_volume::{FileHash, Reader, SourceGeometry};

use super::StageClock;
use super::channels::{check_same_grid, lies_elsewhere, no_input};
use super::network_input::NetworkInputs;
use super::part::Part;
use super::postprocessing::read_postprocessing;
use super::previous_stage::{OpenPreviousStage, read_mask};
use super::request::ModelRun;
use crate::core::{CardPlace, Core};
use crate::error::CoreError;
use crate::memory::{Counters, InputLease, ScanKey, ScanLease, ScanSize, changed};
use crate::model::{FileRecord, ModelCost, ModelKey, ModelOnScan, OpenModel};

/// A run whose parts fit together; nothing large has been read.
pub(crate) struct OpenRun<'a> {
    core: &'a Core,
    run: &'a ModelRun,
    pub(crate) model: Arc<OpenModel>,
    reader: Reader,
    previous: OpenPreviousStage,
    postprocessing: Vec<RemoveAllButLargest>,
    scans: Vec<(ScanKey, ScanSize)>,
    pub(crate) part: Part,
    /// How a mask in the order of the reader is written: as the first scan.
    pub(crate) source: SourceGeometry,
    /// Channels that lie elsewhere than the first, of which nnU-Net warns and goes on; what an object was read without.
    pub(crate) oddities: Vec<Warning>,
}

/// What came of it.
pub(crate) struct ModelPrediction {
    /// Labels of the part, in the order of the reader.
    pub(crate) prediction: Prediction,
    /// In what the network computed.
    pub(crate) precision: Precision,
    /// Tile positions over folds and previous stage; mirrored copies not counted.
    pub(crate) tiles: u64,
    pub(crate) counters: Counters,
    /// What the first scan held.
    pub(crate) scan: FileHash,
    /// Of the model, if the run is a step.
    pub(crate) model_files: Vec<FileRecord>,
}

/// What a run may hold, and where its networks run, until dropped.
pub(crate) struct Admission<'a> {
    /// Of this process.
    pub(crate) memory: Reservation<'a>,
    /// `None` if its networks do not run on cards.
    card: Option<CardPlace<'a>>,
}

impl Admission<'_> {
    /// The card that a model goes to, if it goes to one.
    fn card_of(&self, core: &Core, model: &OpenModel) -> Option<usize> {
        let card = self.card.as_ref().map(|card| card.lease.at());
        card.filter(|_| core.models().runtime().is_on_card(model))
    }
}

/// What needs the memory, in messages.
const NEEDS_MEMORY: &str = "the model on this scan";

impl<'a> OpenRun<'a> {
    /// Opens the model, and reads headers of scans.
    pub(crate) fn new(core: &'a Core, run: &'a ModelRun, cancel: &CancelToken) -> Result<Self, CoreError> {
        run.options.check()?;
        let model = core.models().open(&run.model, cancel)?;
        let reader = model.reader()?;
        model.check_n_channels(run.scans.len() + run.masks.len())?;
        let previous = run.previous_stage.open(core, &model, cancel)?;
        for model in previous.model().into_iter().chain([&*model]) {
            core.models().runtime().check_for(model)?;
        }
        let postprocessing = read_postprocessing(core, &model, &run.postprocessing)?;
        let scans = run
            .scans
            .iter()
            .map(|scan| core.volumes().header(scan.file(reader), cancel));
        let scans: Vec<(ScanKey, ScanSize)> = scans.collect::<Result<_, _>>()?;
        let (_, first) = scans.first().ok_or_else(no_input)?;
        let mut oddities = Vec::new();
        for (i, (scan, (_, size))) in run.scans.iter().zip(&scans).enumerate().skip(1) {
            check_same_grid(&first.geometry, &size.geometry, &scan.path)?;
            oddities.extend(lies_elsewhere(&first.geometry, &size.geometry, i + 1, &scan.path));
        }
        let world = run.world.unwrap_or(reader.world());
        let part = Part::new(first, reader, world, run.crop.as_ref(), &run.scans[0].path)?;
        let (previous, odd) = previous.with_object(core, &part.frame, &run.scans[0].path, cancel)?;
        oddities.extend(odd);
        let source = first.header.source_of_array(reader)?;
        Ok(OpenRun {
            core,
            run,
            model,
            reader,
            previous,
            postprocessing,
            part,
            source,
            oddities,
            scans,
        })
    }

    /// The model of the previous stage, if it is run first.
    pub(crate) fn previous_model(&self) -> Option<&OpenModel> {
        self.previous.model()
    }

    /// The header of each scan.
    pub(crate) fn headers(&self) -> impl Iterator<Item = &ScanSize> {
        self.scans.iter().map(|(_, size)| size)
    }

    /// Whose rules read it.
    pub(crate) fn reader(&self) -> Reader {
        self.reader
    }

    /// What the run holds at its peak, from headers and plans; refuses too many tiles.
    fn cost(&self) -> Result<ModelCost, CoreError> {
        let grid = self.part.grid()?;
        let of_scans = self.headers().fold(0u64, |n, size| n.saturating_add(size.bytes));
        let of_masks = (self.run.masks.len() as u64).saturating_mul(grid.shape.n_voxels() as u64);
        let previous = self.previous_model().map(|model| &model.description);
        let on_scan = ModelOnScan {
            scan_bytes: of_scans
                .saturating_add(of_masks)
                .saturating_add(self.previous.held_bytes()),
            ..self.run.on_grid(&self.model.description, previous, &grid)
        };
        let cost = on_scan.cost(self.core.models().runtime().n_threads(), self.core.limits());
        cost.map_err(|error| self.on_scan(error))
    }

    /// Refuses a run that this process can never do.
    pub(crate) fn check_memory(&self) -> Result<(), CoreError> {
        let needed = self.cost()?;
        self.core.memory().check(NEEDS_MEMORY, needed.peak_bytes)?;
        match self.core.models().runtime().open_cards() {
            Some(cards) => cards.check(NEEDS_MEMORY, needed.card_bytes),
            None => Ok(()),
        }
    }

    /// Waits until what the run will hold at its peak fits, here and on a card if it runs on one.
    pub(crate) fn admit(&self, cancel: &CancelToken) -> Result<Admission<'a>, CoreError> {
        let needed = self.cost()?;
        let keys: Vec<&ModelKey> = self.models().map(OpenModel::key).collect();
        let scan = self.run.is_step.then_some(&self.scans[0].0);
        let memory = self
            .core
            .reserve(NEEDS_MEMORY, needed.peak_bytes, &keys, scan, cancel)?;
        let models: Vec<&OpenModel> = self.models().collect();
        let card = self
            .core
            .place_on_card(NEEDS_MEMORY, needed.card_bytes, &models, cancel)?;
        Ok(Admission { memory, card })
    }

    /// Loads the models or takes the resident ones, reads each scan once, and predicts when the network is free.
    pub(crate) fn predict(
        &self,
        admission: &Admission<'_>,
        clock: &StageClock<'_>,
        cancel: &CancelToken,
    ) -> Result<ModelPrediction, CoreError> {
        let mut counters = Counters::default();
        clock.stage(Stage::LoadModel);
        let network = self.load(&self.model, admission, &mut counters, cancel)?;
        let model_files = match self.run.is_step {
            true => self.core.models().hashes(&self.model, cancel)?,
            false => Vec::new(),
        };
        let first_network = self
            .previous_model()
            .map(|stage| self.load(stage, admission, &mut counters, cancel));
        let first_network = first_network.transpose()?;

        clock.stage(Stage::Read);
        let scans = self.read(&mut counters, cancel)?;
        let scan = scans[0].get().hash;
        let mut options = PredictOptions::from(self.run.options);
        let mut inputs = NetworkInputs {
            core: self.core,
            run: self.run,
            part: &self.part,
            scans,
            counters: &mut counters,
            cancel,
        };
        let mut tiles = 0;
        let mut previous = match &self.previous {
            OpenPreviousStage::NotNeeded | OpenPreviousStage::Model(_) => None,
            OpenPreviousStage::Mask(mask) | OpenPreviousStage::Object(mask) => Some(inputs.labels_of(mask)?),
            OpenPreviousStage::File(path) => {
                let scan = (&self.part.frame, self.part.orientation);
                let (labels, bytes) = read_mask(self.core, path, scan, self.reader.world(), cancel)?;
                inputs.counters.scan_bytes_read += bytes;
                Some(labels)
            }
        };
        clock.stage(Stage::Preprocess);
        if let Some(network) = &first_network {
            let input = inputs.of_scans_alone(network)?;
            let stage = (self.previous_model().unwrap_or(&self.model), &**network);
            let (first, _) = self.predict_alone(stage, admission, &input, &options, clock, cancel)?;
            tiles += first.n_tiles;
            previous = Some(first.labels);
            clock.stage(Stage::Preprocess);
        }
        let input = inputs.of_all(&network, previous)?;
        drop(inputs); // hundreds of megabytes that only preprocessing needs
        options.probabilities = self.run.probabilities;
        options.postprocessing = self.postprocessing.clone();
        let model = (&*self.model, &*network);
        let (prediction, precision) =
            self.predict_alone(model, admission, &input, &options, clock, cancel)?;
        tiles += prediction.n_tiles;
        if first_network.is_none() {
            self.observe_speed(&network, &prediction, clock);
        }
        Ok(ModelPrediction {
            prediction,
            precision,
            tiles,
            counters,
            scan,
            model_files,
        })
    }

    /// What runs: the previous stage, if it is run first, and the model.
    pub(crate) fn models(&self) -> impl Iterator<Item = &OpenModel> {
        self.previous_model().into_iter().chain([&*self.model])
    }

    /// Every scan. Its header is still the one that the run was planned with.
    fn read(&self, counters: &mut Counters, cancel: &CancelToken) -> Result<Vec<ScanLease>, CoreError> {
        let mut leases = Vec::new();
        for (scan, (key, size)) in self.run.scans.iter().zip(&self.scans) {
            let file = scan.file(self.reader);
            let lease = match self.run.is_step {
                true => self.core.volumes().scan(file, counters, cancel)?,
                false => self.core.volumes().private_scan(file, counters, cancel)?,
            };
            let is_touched = lease.key != *key; // which alone changes nothing
            if is_touched && lease.get().scan.header != size.header {
                return Err(changed(&scan.path));
            }
            leases.push(lease);
        }
        Ok(leases)
    }

    /// Predicts when the network is free: networks share the threads of the runtime, or a card, so one after the other is faster. A
    /// model whose numbers do not fit half precision runs in f32, if it may.
    fn predict_alone(
        &self,
        (model, network): (&OpenModel, &Model),
        admission: &Admission<'_>,
        input: &InputLease,
        options: &PredictOptions,
        clock: &StageClock<'_>,
        cancel: &CancelToken,
    ) -> Result<(Prediction, Precision), CoreError> {
        clock.wait(); // for others is no stage of this run
        let _network = match &admission.card {
            Some(card) if network.card().is_some() => card.lease.enter(cancel)?,
            _ => self.core.networks().enter(1, cancel)?,
        };
        let models = self.core.models();
        let precision = |network: &Model| match network.card_precision() {
            Some(precision) => precision_of_card(precision),
            None => models.runtime().precision_without_card(&model.choice),
        };
        let predict = |network: &Model| {
            let predicted =
                predict_preprocessed(network, input.get(), options, self.core.limits(), clock, cancel);
            predicted.map(|prediction| (prediction, precision(network)))
        };
        let error = match predict(network) {
            Err(error) if models.runtime().may_fall_back() && network.may_succeed_in_single(&error) => error,
            predicted => return predicted.map_err(|error| self.on_scan(error)),
        };
        tracing::warn!(%error, "half precision will not do: the model runs in f32");
        models.remember_single(model);
        let (single, _) = models.load(model, Precision::F32, admission.card_of(self.core, model), cancel)?;
        predict(&single).map_err(|error| self.on_scan(error))
    }

    /// In what the networks of a model compute. nnU-Net's own rounding means nothing on top of half precision, unless that is asked for.
    fn precision(&self, model: &OpenModel) -> Precision {
        let models = self.core.models();
        let is_reference = self.run.options.numerics == Numerics::Reference;
        match model.choice.precision {
            None if is_reference && models.runtime().is_on_card(model) => Precision::F32,
            _ => models.precision(model),
        }
    }

    /// Tells the meter what the network took.
    fn observe_speed(&self, network: &Model, prediction: &Prediction, clock: &StageClock<'_>) {
        let description = &self.model.description;
        let Some(multiply_adds) = description.multiply_adds_per_tile else {
            return;
        };
        let flips = match self.run.options.mirroring {
            true => description.mirroring_axes.len(),
            false => 0,
        };
        let runs = (prediction.n_tiles * network.n_folds() as u64) << flips;
        let seconds = clock.so_far().inference;
        (self.core.models().speed()).observe(multiply_adds.saturating_mul(runs), seconds);
    }

    /// What a scan does not fit names the scan; what a model does wrong names the model itself.
    fn on_scan(&self, error: NnunetError) -> CoreError {
        CoreError::of_network(error, &self.run.scans[0].path)
    }

    fn load(
        &self,
        model: &OpenModel,
        admission: &Admission<'_>,
        counters: &mut Counters,
        cancel: &CancelToken,
    ) -> Result<Arc<Model>, CoreError> {
        let precision = self.precision(model);
        let at = admission.card_of(self.core, model);
        let (network, bytes) = self.core.models().load(model, precision, at, cancel)?;
        if bytes == 0 {
            counters.model_cache_hits += 1;
        } else {
            counters.model_loads += 1;
            counters.weight_bytes_read += bytes;
        }
        Ok(network)
    }
}
