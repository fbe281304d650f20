//! One model on one scan, from memory to memory: the step of a case, here or for another process.

use std::path::PathBuf;
use std::sync::Arc;

use nephrite_kernel::{LabelEntry, LabelStatus, LabelTable, Mask, Run, RunMask, RunMaskBuilder};
use nephrite_merge::{Interpolation, resample_mask};
use nephrite_nnunet::pipeline::Pipeline as Recipe;
use nephrite_nnunet::{
    LabelDescription, Model, NetworkInput, PredictOptions, Prediction, predict_preprocessed, preprocess,
};
use nephrite_server::memory::Reservation;
use nephrite_types::{
    BoundingBox, CancelToken, Geometry, IntensityScale, Labels, Progress, Stage, Volume, Voxels, Warning,
};
use nephrite_volume::{FileHash, Orientation, Reader, World};

use crate::estimate::network_runs;
use crate::memory::StepMemory;
use crate::open_model::OpenModel;
use crate::segment::{numerics_name, on_scan, read_postprocessing};
use crate::stage_clock::StageClock;
use crate::volumes::{self, InputKey, InputLease, ScanKey, ScanLease};
use crate::world_box::WorldBox;
use crate::{
    Core, CoreError, Counters, FileRecord, ModelChoice, ModelKey, PostprocessingChoice, SegmentOptions,
    StageSeconds,
};

/// What a model step is.
#[derive(Debug, Clone)]
pub(crate) struct ModelStepRequest {
    pub(crate) model: ModelChoice,
    pub(crate) scan: PathBuf,
    /// Size of the scan's file as the process that runs the case sees it.
    pub(crate) scan_bytes: Option<u64>,
    /// Places the scan among other files: its frame in this world is what masks and boxes of the same file lie on.
    pub(crate) world: World,
    pub(crate) options: SegmentOptions,
    /// Apply the postprocessing file in the model's folder.
    pub(crate) postprocessing: bool,
    /// Look only here; all of the scan if `None`.
    pub(crate) crop: Option<WorldBox>,
    /// Mask of the cascade's previous stage, on any grid.
    pub(crate) previous_stage: Option<Arc<Mask>>,
    /// Labels of masks that are channels after the scan, on any grid.
    pub(crate) channels: Vec<(Arc<Mask>, String)>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) struct ModelStepOutcome {
    /// On the frame of the scan.
    pub(crate) mask: Arc<Mask>,
    /// What was odd.
    pub(crate) warnings: Vec<Warning>,
    pub(crate) stages: StageSeconds,
    /// Tile positions over folds; mirrored copies not counted.
    pub(crate) tiles: u64,
    pub(crate) provider: String,
    pub(crate) threads: usize,
    pub(crate) counters: Counters,
    pub(crate) scan: FileHash,
    pub(crate) model_files: Vec<FileRecord>,
    pub(crate) folds: Vec<String>,
    pub(crate) versions: Vec<(String, String)>,
    pub(crate) peak_rss_bytes: u64,
}

/// A model step, in this process. Waits until its memory and the network are free.
pub(crate) fn run_model_step(
    core: &Core,
    request: &ModelStepRequest,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<ModelStepOutcome, CoreError> {
    let clock = StageClock::new(progress);
    let outcome = run(core, request, &clock, cancel);
    core.models.trim(); // what this step used is idle again, whatever came of it
    core.volumes.trim();
    let mut outcome = outcome?;
    outcome.stages = clock.stop();
    outcome.peak_rss_bytes = crate::peak_rss_bytes();
    outcome.warnings = clock.warnings();
    Ok(outcome)
}

fn run(
    core: &Core,
    request: &ModelStepRequest,
    clock: &StageClock<'_>,
    cancel: &CancelToken,
) -> Result<ModelStepOutcome, CoreError> {
    let mut counters = Counters::default();
    let model = OpenModel::open(core, &request.model, cancel)?;
    let reader = model.reader()?;
    model.check_n_channels(1 + request.channels.len())?;
    let postprocessing = if request.postprocessing {
        PostprocessingChoice::FromModel
    } else {
        PostprocessingChoice::None
    };
    let postprocessing = read_postprocessing(core, &model, &postprocessing)?;
    let previous = match (
        model.description.previous_stage.as_deref(),
        &request.previous_stage,
    ) {
        (Some(stage), None) => Some(model.open_beside(core, stage, cancel)?),
        (None, Some(_)) => {
            return Err(CoreError::PreviousStageUnexpected {
                model: request.model.folder.clone(),
            });
        }
        (Some(_), Some(_)) | (None, None) => None,
    };

    let _memory = admit(core, request, &model, previous.as_ref(), reader, cancel)?;
    clock.stage(Stage::Read);
    let scan = volumes::scan(
        core,
        &request.scan,
        reader,
        request.scan_bytes,
        &mut counters,
        cancel,
    )?;
    let frame = scan.get().scan.header.frame(request.world)?;
    let orientation = scan.get().scan.source.orientation();
    let in_file = match &request.crop {
        None => BoundingBox::full(frame.shape.zyx()),
        Some(crop) => crop.on(&frame).ok_or_else(|| CoreError::CropOutside {
            path: request.scan.clone(),
        })?,
    };
    clock.stage(Stage::LoadModel);
    let network = load(core, &model, &mut counters, cancel)?;
    let model_files = core.file_hashes.of_model(&model, cancel)?;
    let previous_network = match &previous {
        Some(stage) => Some(load(core, stage, &mut counters, cancel)?),
        None => None,
    };

    clock.stage(Stage::Preprocess);
    let mut options = PredictOptions {
        mirroring: request.options.mirroring,
        tile_step_size: request.options.tile_step_size,
        gaussian: request.options.gaussian,
        numerics: request.options.numerics,
        probabilities: false,
        postprocessing: Vec::new(),
    };
    let part = Part {
        core,
        scan: &scan,
        frame,
        in_file,
        bounds: orientation.box_to_ras(&in_file, frame.shape.zyx()),
        orientation,
        name: &request.scan,
    };
    let mut tiles = 0;
    let mut previous_labels = match &request.previous_stage {
        Some(mask) => Some(part.labels_of(mask, &mut counters, cancel)?),
        None => None,
    };
    if let Some(network) = &previous_network {
        let input = part.input(network, &[], None, &options, &mut counters, cancel)?;
        let first = predict_alone(core, network, &input, &options, clock, cancel)?;
        tiles += first.n_tiles;
        previous_labels = Some(first.labels);
        clock.stage(Stage::Preprocess);
    }
    let masks = request
        .channels
        .iter()
        .map(|(mask, label)| part.channel_of(mask, label, &mut counters, cancel))
        .collect::<Result<Vec<_>, _>>()?;
    let input = part.input(
        &network,
        &masks,
        previous_labels.as_ref(),
        &options,
        &mut counters,
        cancel,
    )?;
    drop((masks, previous_labels));
    options.postprocessing = postprocessing;
    let prediction = predict_alone(core, &network, &input, &options, clock, cancel)?;
    tiles += prediction.n_tiles;
    if let (Some(multiply_adds), None) = (model.description.multiply_adds_per_tile, &previous) {
        let flips = if options.mirroring {
            model.description.mirroring_axes.len()
        } else {
            0
        };
        let runs = (prediction.n_tiles * network.n_folds() as u64) << flips;
        core.speed
            .observe(multiply_adds.saturating_mul(runs), clock.so_far().inference);
    }
    cancel.check()?;
    let runs = part.whole_mask(prediction.labels)?;
    Ok(ModelStepOutcome {
        mask: Arc::new(Mask::new(runs, label_table(&model.description.labels)?).map_err(mask_error)?),
        warnings: Vec::new(),
        stages: StageSeconds::default(),
        tiles,
        provider: core.runtime.provider().name().to_owned(),
        threads: core.runtime.n_threads(),
        counters,
        scan: scan.get().hash,
        model_files,
        folds: model.description.folds.clone(),
        versions: core
            .versions()
            .into_iter()
            .map(|(name, version)| (name.to_owned(), version))
            .collect(),
        peak_rss_bytes: 0,
    })
}

/// Waits until what the step will hold at its peak fits.
fn admit<'a>(
    core: &'a Core,
    request: &ModelStepRequest,
    model: &OpenModel,
    previous: Option<&OpenModel>,
    reader: Reader,
    cancel: &CancelToken,
) -> Result<Reservation<'a>, CoreError> {
    let (key, needed) = needed_bytes(core, request, model, previous, reader)?;
    let models: Vec<&ModelKey> = previous.into_iter().chain([model]).map(OpenModel::key).collect();
    core.reserve(NEEDS_MEMORY, needed, &models, Some(&key), cancel)
}

/// What needs the memory, in messages.
const NEEDS_MEMORY: &str = "the model on this scan";

/// Refuses a step that this process can never run: too many tiles, more memory than there is. Reads headers only. What looks
/// at a part of the scan passes: how large that is comes out later.
pub(crate) fn check_model_step(
    core: &Core,
    request: &ModelStepRequest,
    cancel: &CancelToken,
) -> Result<(), CoreError> {
    if request.crop.is_some() {
        return Ok(());
    }
    let model = OpenModel::open(core, &request.model, cancel)?;
    let (_, needed) = needed_bytes(core, request, &model, None, model.reader()?)?;
    Ok(core.memory.check(NEEDS_MEMORY, needed)?)
}

/// Which scan it is, and what the step holds at its peak, from headers and plans.
fn needed_bytes(
    core: &Core,
    request: &ModelStepRequest,
    model: &OpenModel,
    previous: Option<&OpenModel>,
    reader: Reader,
) -> Result<(ScanKey, u64), CoreError> {
    let (key, size) = volumes::header(core, &request.scan, reader)?;
    let part = match &request.crop {
        None => size.geometry,
        Some(crop) => {
            let frame = size.header.frame(request.world)?;
            let in_file = crop.on(&frame).ok_or_else(|| CoreError::CropOutside {
                path: request.scan.clone(),
            })?;
            let orientation = size.header.orientation(reader)?;
            let bounds = orientation.box_to_ras(&in_file, frame.shape.zyx());
            size.geometry.crop(&bounds).map_err(outside)?
        }
    };
    let SegmentOptions {
        mirroring,
        tile_step_size,
        numerics,
        ..
    } = request.options;
    for model in previous.into_iter().chain([model]) {
        // so that too many tiles are refused before anything is read
        let runs = network_runs(&model.description, &part, mirroring, tile_step_size, &core.limits);
        runs.map_err(|error| on_scan(error, &request.scan))?;
    }
    let step = StepMemory {
        model: &model.description,
        previous: previous.map(|model| &model.description),
        scan: &part,
        scan_bytes: size.bytes + request.channels.len() as u64 * part.shape.n_voxels() as u64,
        scan_stays: true,
        numerics,
        probabilities: false,
    };
    let needed = step.peak_bytes(core.runtime.n_threads(), &core.limits);
    Ok((key, needed.map_err(|error| on_scan(error, &request.scan))?))
}

fn load(
    core: &Core,
    model: &OpenModel,
    counters: &mut Counters,
    cancel: &CancelToken,
) -> Result<Arc<Model>, CoreError> {
    let (network, bytes) = model.load(core, cancel)?;
    if bytes == 0 {
        counters.model_cache_hits += 1;
    } else {
        counters.model_loads += 1;
        counters.weight_bytes_read += bytes;
    }
    Ok(network)
}

/// Predicts when the network is free: networks share the threads of the runtime, so one after the other is faster.
fn predict_alone(
    core: &Core,
    network: &Model,
    input: &InputLease,
    options: &PredictOptions,
    clock: &StageClock<'_>,
    cancel: &CancelToken,
) -> Result<Prediction, CoreError> {
    clock.wait(); // for others is no stage of this step
    let _network = core.networks.enter(1, cancel)?;
    Ok(predict_preprocessed(
        network,
        input.get(),
        options,
        &core.limits,
        clock,
        cancel,
    )?)
}

/// What a model's labels are called. That of a model that was not run says so.
pub(crate) fn label_table_with(
    labels: &[LabelDescription],
    status: LabelStatus,
) -> Result<LabelTable, CoreError> {
    let entries = labels
        .iter()
        .filter(|label| label.id != 0)
        .map(|label| LabelEntry {
            id: label.id,
            name: label.name.clone(),
            status,
        });
    LabelTable::new(entries.collect()).map_err(mask_error)
}

fn label_table(labels: &[LabelDescription]) -> Result<LabelTable, CoreError> {
    label_table_with(labels, LabelStatus::Present)
}

fn mask_error(error: nephrite_kernel::MaskError) -> CoreError {
    CoreError::Operation(error.into())
}

/// The part of a scan that a step looks at.
struct Part<'a> {
    core: &'a Core,
    scan: &'a ScanLease,
    /// What masks of the scan lie on: the voxels in the order of the file, in the world of the case.
    frame: Geometry,
    /// The part, `[z, y, x]` of the file.
    in_file: BoundingBox,
    /// The same, `[z, y, x]` of the reader.
    bounds: BoundingBox,
    /// From the file's axes to the reader's.
    orientation: Orientation,
    name: &'a std::path::Path,
}

impl Part<'_> {
    fn volume(&self) -> &Volume {
        &self.scan.get().scan.volume
    }

    fn is_whole(&self) -> bool {
        self.bounds == BoundingBox::full(self.volume().voxels.shape())
    }

    /// The network's input: shared with other steps unless masks went into it.
    fn input(
        &self,
        network: &Model,
        masks: &[Volume],
        previous: Option<&Labels>,
        options: &PredictOptions,
        counters: &mut Counters,
        cancel: &CancelToken,
    ) -> Result<InputLease, CoreError> {
        let make = || -> Result<NetworkInput, CoreError> {
            let cropped = (!self.is_whole())
                .then(|| self.volume().crop(&self.bounds))
                .transpose()
                .map_err(outside)?;
            let mut channels = vec![cropped.as_ref().unwrap_or(self.volume())];
            channels.extend(masks);
            let limits = &self.core.limits;
            let input = preprocess(network, &channels, previous, options.numerics, limits, cancel);
            input.map_err(|error| on_scan(error, self.name))
        };
        if !masks.is_empty() || previous.is_some() {
            return Ok(volumes::private_input(make()?, counters));
        }
        let key = InputKey {
            scan: self.scan.key.clone(),
            content: self.scan.get().hash,
            crop: InputKey::crop(&self.bounds),
            recipe: recipe(network.pipeline(), options),
        };
        volumes::network_input(
            self.core,
            key,
            &self.name.to_string_lossy(),
            counters,
            cancel,
            make,
        )
    }

    /// A mask in the order of the reader, cut to this part: from the frame of this file by voxel, from other grids by world
    /// coordinates.
    fn labels_of(
        &self,
        mask: &Arc<Mask>,
        counters: &mut Counters,
        cancel: &CancelToken,
    ) -> Result<Labels, CoreError> {
        let mask = self.on_part(mask, counters, cancel)?;
        Ok(self
            .orientation
            .labels_to_ras(mask.runs().try_to_labels().map_err(mask_error)?))
    }

    /// A mask on this part of the frame.
    fn on_part(
        &self,
        mask: &Arc<Mask>,
        counters: &mut Counters,
        cancel: &CancelToken,
    ) -> Result<Arc<Mask>, CoreError> {
        let limits = &self.core.limits;
        let mask = on_grid(mask, &self.frame, limits, counters, cancel)?;
        if self.is_whole() {
            return Ok(mask);
        }
        let runs = nephrite_sample::crop(mask.runs(), &self.in_file, limits)?;
        Ok(Arc::new(
            Mask::new(runs, mask.labels().clone()).map_err(mask_error)?,
        ))
    }

    /// One label of a mask as a channel, 1 inside and 0 outside.
    fn channel_of(
        &self,
        mask: &Arc<Mask>,
        label: &str,
        counters: &mut Counters,
        cancel: &CancelToken,
    ) -> Result<Volume, CoreError> {
        let id = nephrite_kernel::label_ids(mask, "channels", &[label.to_owned()])?;
        // as the network sees the scan: its spacing is the reader's
        let geometry = self.volume().geometry.crop(&self.bounds).map_err(outside)?;
        let moved = self.on_part(mask, counters, cancel)?;
        let only = moved.runs().relabel(|_, run| u16::from(id.contains(&run.label)));
        let array = match self
            .orientation
            .labels_to_ras(only.try_to_labels().map_err(mask_error)?)
        {
            Labels::U8(array) => array,
            Labels::U16(array) => array.mapv(|value| value as u8), // 0 or 1
        };
        Ok(Volume {
            voxels: Voxels::U8(array),
            scale: IntensityScale::IDENTITY,
            geometry,
        })
    }

    /// The prediction for this part as a mask on the whole frame.
    fn whole_mask(&self, labels: Labels) -> Result<RunMask, CoreError> {
        let limits = &self.core.limits;
        let geometry = self.frame;
        let labels = self.orientation.labels_to_file(labels);
        if self.is_whole() {
            return RunMask::from_labels(&labels, &geometry, limits).map_err(mask_error);
        }
        let part_geometry = geometry.crop(&self.in_file).map_err(outside)?;
        let part = RunMask::from_labels(&labels, &part_geometry, limits).map_err(mask_error)?;
        let mut builder = RunMaskBuilder::new(geometry, limits).map_err(mask_error)?;
        let ny = geometry.shape.zyx()[1];
        let [_, part_ny, _] = part.shape();
        let [z0, y0, x0] = self.in_file.start;
        for (row, runs) in part.rows().enumerate() {
            if runs.is_empty() {
                continue;
            }
            let (z, y) = (row / part_ny + z0, row % part_ny + y0);
            let moved = runs.iter().map(|run| Run {
                start: run.start + x0 as u32, // a mask's rows fit
                end: run.end + x0 as u32,
                label: run.label,
            });
            builder.skip_to_row(z * ny + y).map_err(mask_error)?;
            builder.push_row(moved).map_err(mask_error)?;
        }
        builder.skip_to_row(part_rows(&geometry)).map_err(mask_error)?;
        builder.finish().map_err(mask_error)
    }
}

fn part_rows(geometry: &Geometry) -> usize {
    let [nz, ny, _] = geometry.shape.zyx();
    nz * ny
}

/// A mask on another grid, by world coordinates; itself if it lies there already.
pub(crate) fn on_grid(
    mask: &Arc<Mask>,
    geometry: &Geometry,
    limits: &nephrite_types::Limits,
    counters: &mut Counters,
    cancel: &CancelToken,
) -> Result<Arc<Mask>, CoreError> {
    if mask.runs().geometry() == geometry {
        return Ok(mask.clone());
    }
    if nephrite_kernel::grid_difference(geometry, mask.runs().geometry()).is_some() {
        counters.mask_resamples += 1;
    }
    Ok(Arc::new(resample_mask(
        mask,
        geometry,
        Interpolation::Nearest,
        limits,
        cancel,
    )?))
}

/// All that a network input depends on besides its scan, written out; numbers to the last bit.
fn recipe(pipeline: &Recipe, options: &PredictOptions) -> String {
    format!(
        "{:?} {:?} {:?} {:?} {}",
        pipeline.transpose_forward,
        pipeline
            .channels
            .iter()
            .map(|channel| &channel.normalization)
            .collect::<Vec<_>>(),
        pipeline.spacing,
        pipeline.data_resampling,
        numerics_name(options.numerics),
    )
}

fn outside(_: nephrite_types::GeometryError) -> CoreError {
    CoreError::CropOutside { path: PathBuf::new() } // bounds are within the scan and not empty
}

impl OpenModel {
    /// nnU-Net's reader that the plans name.
    pub(crate) fn reader(&self) -> Result<Reader, CoreError> {
        Reader::from_name(&self.description.reader).map_err(|source| CoreError::Reader {
            model: self.choice.folder.clone(),
            source,
        })
    }

    /// # Errors
    /// [`CoreError::ChannelCount`]
    pub(crate) fn check_n_channels(&self, found: usize) -> Result<(), CoreError> {
        let expected = self.description.channels.len();
        if found == expected {
            return Ok(());
        }
        Err(CoreError::ChannelCount {
            expected,
            found,
            model: self.choice.folder.clone(),
        })
    }
}
