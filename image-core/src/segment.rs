//! One request: checks, model, scan, mask, report.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nephrite_nnunet::{
    NnunetError, Numerics, PredictOptions, Prediction, predict, predict_preprocessed, preprocess,
};
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection, Postprocessing, RemoveAllButLargest};
use nephrite_root::{remove_file_if_same, sweep};
use nephrite_server::memory::Reservation;
use nephrite_types::{CancelToken, Geometry, Labels, Limits, Progress, Stage, Volume};
use nephrite_volume::{
    Orientation, Reader, SourceGeometry, World, displacement, labels_from_volume, read_label_volume,
    same_voxels, write_label_map,
};

use crate::case_world::warn;
use crate::channels::{Channels, OpenScan, no_input, read_channels};
use crate::estimate::{PROCESS_BYTES, network_runs};
use crate::memory::StepMemory;
use crate::open_model::OpenModel;
use crate::probabilities::write_probabilities;
use crate::report::{OptionsReport, StageSeconds, WarningReport, count_labels};
use crate::stage_clock::StageClock;
use crate::volumes::{changed, header_of, identity};
use crate::{Core, CoreError, ModelKey, OutputFile, PathError, SegmentReport, peak_rss_bytes};

/// Which model, and what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelChoice {
    /// The folder `<Trainer>__<Plans>__<Configuration>`.
    pub folder: PathBuf,
    /// Which folds; their logits are averaged.
    pub folds: FoldSelection,
    /// Which checkpoint of each fold.
    pub checkpoint: CheckpointKind,
}

/// How a mask is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SegmentOptions {
    /// Average over mirrored copies, along the axes that the model was trained for.
    pub mirroring: bool,
    /// Distance of tiles as a fraction of the patch, in (0, 1].
    pub tile_step_size: f64,
    /// Weight tiles by a Gaussian.
    pub gaussian: bool,
    /// nephrite's own arithmetic, or nnU-Net's half-precision rounding.
    pub numerics: Numerics,
}

impl Default for SegmentOptions {
    /// As nnU-Net: mirroring, half a patch, Gaussian.
    fn default() -> Self {
        SegmentOptions {
            mirroring: true,
            tile_step_size: 0.5,
            gaussian: true,
            numerics: Numerics::Fast,
        }
    }
}

/// Which postprocessing follows the mask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PostprocessingChoice {
    /// None, as nnU-Net's own prediction.
    #[default]
    None,
    /// What cross-validation found for these folds, from the model's folder.
    FromModel,
    /// A `postprocessing.json` or `.pkl`.
    File(PathBuf),
}

/// A scan to be segmented by one model.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentRequest {
    /// The model.
    pub model: ModelChoice,
    /// One NIfTI file per channel of the model, in its order.
    pub inputs: Vec<PathBuf>,
    /// Mask of the previous stage of a cascade, on the voxels of the first input; its axes may run another way. Without
    /// it, the previous stage is run first if its folder lies beside the model's.
    pub previous_stage: Option<PathBuf>,
    /// Where the mask goes: `.nii.gz` or `.nii`.
    pub output: PathBuf,
    /// Where the probabilities go, if wanted: `.npz`, member `probabilities`, f32 `[class, z, y, x]`.
    pub save_probabilities: Option<PathBuf>,
    /// How the mask is made.
    pub options: SegmentOptions,
    /// What follows.
    pub postprocessing: PostprocessingChoice,
    /// Whether odd geometry (channels that lie elsewhere than the first, headers that contradict themselves) is an error; a
    /// warning otherwise.
    pub strict_geometry: bool,
}

/// Makes a mask: checks what is cheap to check, loads the model or takes the resident one, reads the scan once,
/// predicts, and writes the mask under its final name only when it is whole.
///
/// # Errors
/// [`CoreError`]; no output file is left then.
pub fn segment(
    core: &Core,
    request: &SegmentRequest,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<SegmentReport, CoreError> {
    let started = Instant::now();
    let clock = StageClock::new(progress);
    clock.stage(Stage::LoadModel);
    let mut case = Case::open(core, request, cancel)?;
    let memory = case.admit(core, request, cancel)?;
    let outcome = case.run(core, request, &clock, cancel);
    let expected_memory_bytes = PROCESS_BYTES + memory.bytes();
    drop(memory);
    core.models.trim(); // the models of this request are idle again, whatever came of it
    let mut report = outcome?;
    report.stages = clock.stop();
    report.total_seconds = started.elapsed().as_secs_f64();
    report.peak_rss_bytes = peak_rss_bytes();
    report.expected_memory_bytes = expected_memory_bytes;
    Ok(report)
}

/// A request whose files are all open and whose parts fit together; nothing large has been read.
struct Case {
    model: OpenModel,
    reader: Reader,
    inputs: Vec<OpenScan>,
    previous: PreviousStage,
    output: OutputFile,
    save_probabilities: Option<OutputFile>,
    /// Steps; empty if none were asked for.
    postprocessing: Vec<RemoveAllButLargest>,
}

/// Where the mask of a cascade's first stage comes from.
enum PreviousStage {
    /// The model is no second stage.
    NotNeeded,
    /// A file of the request.
    Mask(OpenScan),
    /// The model beside this one, run first.
    Run(Box<OpenModel>),
}

impl Case {
    fn open(core: &Core, request: &SegmentRequest, cancel: &CancelToken) -> Result<Case, CoreError> {
        check_step_size(request.options.tile_step_size)?;
        let output = open_output(core, "--output", &request.output, &[".nii.gz", ".nii"])?;
        let save_probabilities = request.save_probabilities.as_ref();
        let save_probabilities = save_probabilities
            .map(|path| open_output(core, "--save-probabilities", path, &[".npz"]))
            .transpose()?;
        let inputs = request.inputs.iter().map(|path| OpenScan::open(&core.root, path));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let mask = request.previous_stage.as_ref();
        let mask = mask.map(|path| OpenScan::open(&core.root, path)).transpose()?;
        for scan in inputs.iter().chain(&mask) {
            let mut outputs = std::iter::once(&output).chain(&save_probabilities);
            if let Some(output) = outputs.find(|output| output.is_same_file(&scan.file)) {
                return Err(CoreError::OutputIsInput {
                    path: output.path.clone(),
                });
            }
        }

        let model = OpenModel::open(core, &request.model, cancel)?;
        let reader = model.reader()?;
        model.check_n_channels(inputs.len())?;
        let previous = match (model.description.previous_stage.as_deref(), mask) {
            (None, None) => PreviousStage::NotNeeded,
            (None, Some(_)) => {
                return Err(CoreError::PreviousStageUnexpected {
                    model: request.model.folder.clone(),
                });
            }
            (Some(_), Some(mask)) => PreviousStage::Mask(mask),
            (Some(stage), None) => PreviousStage::Run(Box::new(model.open_beside(core, stage, cancel)?)),
        };
        let postprocessing = read_postprocessing(core, &model, &request.postprocessing)?;
        Ok(Case {
            model,
            reader,
            inputs,
            previous,
            output,
            save_probabilities,
            postprocessing,
        })
    }

    /// Waits until what the request will hold at its peak fits; refuses what can never fit, and too many tiles, from headers
    /// alone.
    fn admit<'a>(
        &mut self,
        core: &'a Core,
        request: &SegmentRequest,
        cancel: &CancelToken,
    ) -> Result<Reservation<'a>, CoreError> {
        let mut scan = None;
        let mut scan_bytes = 0u64;
        for input in &mut self.inputs {
            let header = header_of(&mut input.file, &input.path, self.reader, &core.limits)?;
            scan_bytes = scan_bytes.saturating_add(header.bytes);
            scan.get_or_insert(header.geometry);
        }
        let scan = scan.ok_or_else(no_input)?;
        let first = self.inputs[0].path.clone();
        let previous = match &self.previous {
            PreviousStage::Run(model) => Some(&**model),
            PreviousStage::NotNeeded | PreviousStage::Mask(_) => None,
        };
        let options = request.options;
        for model in previous.into_iter().chain([&self.model]) {
            let SegmentOptions {
                mirroring,
                tile_step_size,
                ..
            } = options;
            let runs = network_runs(&model.description, &scan, mirroring, tile_step_size, &core.limits);
            runs.map_err(|error| on_scan(error, &first))?;
        }
        let step = StepMemory {
            model: &self.model.description,
            previous: previous.map(|model| &model.description),
            scan: &scan,
            scan_bytes,
            scan_stays: false,
            numerics: options.numerics,
            probabilities: self.save_probabilities.is_some(),
        };
        let needed = step.peak_bytes(core.runtime.n_threads(), &core.limits);
        let needed = needed.map_err(|error| on_scan(error, &first))?;
        let models = previous.into_iter().chain([&self.model]);
        let models: Vec<&ModelKey> = models.map(OpenModel::key).collect();
        core.reserve("the model on this scan", needed, &models, None, cancel)
    }

    fn run(
        self,
        core: &Core,
        request: &SegmentRequest,
        clock: &StageClock<'_>,
        cancel: &CancelToken,
    ) -> Result<SegmentReport, CoreError> {
        let Case {
            model,
            reader,
            inputs,
            previous,
            output,
            save_probabilities,
            postprocessing,
        } = self;
        let limits = &core.limits;
        let (network, mut weight_bytes_read) = model.load(core, cancel)?;
        let mut previous_report = None;
        let mut previous_network = None;
        if let PreviousStage::Run(stage) = &previous {
            let (network, bytes) = stage.load(core, cancel)?;
            weight_bytes_read += bytes;
            previous_report = Some(stage.report());
            previous_network = Some(network);
        }

        clock.stage(Stage::Read);
        let first_input = inputs.first().map(|input| input.path.clone()).unwrap_or_default();
        let Channels {
            volumes,
            source,
            header,
            warnings,
            bytes_read,
        } = read_channels(inputs, reader, limits, cancel)?;
        let strict = request.strict_geometry || core.strict_geometry;
        for warning in &warnings {
            warn(warning, strict, clock)?;
        }
        let frame = header.frame(reader.world())?;
        let mut input_bytes_read = bytes_read;
        let mut n_tiles = 0;
        let mut previous_labels = None;
        if let PreviousStage::Mask(mask) = previous {
            let scan = (&frame, source.orientation());
            let (labels, bytes) = read_mask(mask, scan, reader.world(), limits, cancel)?;
            previous_labels = Some(labels);
            input_bytes_read += bytes;
        }

        let channels: Vec<&Volume> = volumes.iter().collect();
        let mut options = PredictOptions {
            mirroring: request.options.mirroring,
            tile_step_size: request.options.tile_step_size,
            gaussian: request.options.gaussian,
            numerics: request.options.numerics,
            probabilities: false,
            postprocessing: Vec::new(),
        };
        let on_scan = |error| on_scan(error, &first_input);
        if let Some(network) = previous_network {
            let first = predict(&network, &channels, None, &options, limits, clock, cancel);
            let first = first.map_err(on_scan)?;
            n_tiles += first.n_tiles;
            previous_labels = Some(first.labels);
        }
        options.probabilities = save_probabilities.is_some();
        options.postprocessing = postprocessing;
        clock.stage(Stage::Preprocess);
        let previous_labels = previous_labels.as_ref();
        let input = preprocess(
            &network,
            &channels,
            previous_labels,
            options.numerics,
            limits,
            cancel,
        )
        .map_err(on_scan)?;
        drop(volumes); // hundreds of megabytes that only preprocessing needs
        let prediction = predict_preprocessed(&network, &input, &options, limits, clock, cancel)?;
        drop(input);
        n_tiles += prediction.n_tiles;

        clock.stage(Stage::Write);
        cancel.check()?;
        let labels = count_labels(&prediction.labels, &frame, &model.description.labels);
        write_outputs(&output, save_probabilities.as_ref(), &prediction, &source)?;
        Ok(SegmentReport {
            mask: output.path.display().to_string(),
            probabilities: save_probabilities.map(|output| output.path.display().to_string()),
            labels,
            shape: frame.shape.xyz(),
            spacing: frame.spacing.xyz(),
            warnings: clock.warnings().iter().map(WarningReport::from).collect(),
            stages: StageSeconds::default(),
            total_seconds: 0.0,
            tiles: n_tiles,
            peak_rss_bytes: 0,
            expected_memory_bytes: 0,
            provider: core.runtime.provider().name().to_owned(),
            threads: core.runtime.n_threads(),
            input_bytes_read,
            weight_bytes_read,
            model: model.report(),
            previous_stage: previous_report,
            options: OptionsReport {
                mirroring: options.mirroring,
                tile_step_size: options.tile_step_size,
                gaussian: options.gaussian,
                numerics: numerics_name(options.numerics).to_owned(),
                postprocessing: request.postprocessing != PostprocessingChoice::None,
            },
            versions: core.versions(),
        })
    }
}

pub(crate) fn check_step_size(found: f64) -> Result<(), CoreError> {
    if found > 0.0 && found <= 1.0 {
        return Ok(());
    }
    let expected = "above 0 and at most 1";
    Err(CoreError::Option {
        option: "--tile-step-size",
        expected,
        found: found.to_string(),
    })
}

/// Opens the folder of an output whose name ends as its format wants. What dead processes left in that folder goes.
pub(crate) fn open_output(
    core: &Core,
    option: &'static str,
    path: &Path,
    endings: &'static [&'static str],
) -> Result<OutputFile, CoreError> {
    let output = core.root.open_output(path)?;
    if endings
        .iter()
        .any(|ending| output.file_name.len() > ending.len() && output.file_name.ends_with(ending))
    {
        sweep(&output.folder);
        return Ok(output);
    }
    let expected = endings.join(" or ");
    Err(CoreError::OutputName {
        option,
        expected,
        path: path.to_owned(),
    })
}

/// What a scan does not fit names the scan; what a model does wrong names the model itself.
pub(crate) fn on_scan(error: NnunetError, path: &Path) -> CoreError {
    match error {
        NnunetError::EmptyGrid { .. } | NnunetError::Normalization { .. } | NnunetError::OverLimit { .. } => {
            CoreError::Preprocess {
                source: Box::new(error),
                path: path.to_owned(),
            }
        }
        error => error.into(),
    }
}

/// The mask of a previous stage in the order of the reader's array. `scan` is the frame of the scan's file and how its axes
/// become those of the array.
///
/// The mask lies where the world says, on the voxels of the scan: its axes may run another way in its own file. nnU-Net takes
/// it by index, wherever it lies; a mask of other voxels is refused here, since none was trained with one.
fn read_mask(
    mask: OpenScan,
    (frame, orientation): (&Geometry, Orientation),
    world: World,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<(Labels, u64), CoreError> {
    let name = mask.path.to_string_lossy();
    let read = read_label_volume(mask.file, &name, world.plain_reader(), limits, cancel)?;
    let there = read.header.frame(world)?;
    let turn = same_voxels(&there, frame).ok_or_else(|| CoreError::PreviousStageElsewhere {
        expected: frame.shape,
        found: there.shape,
        apart: (there.shape == frame.shape).then(|| displacement(frame, &there).millimetres),
        path: mask.path.clone(),
    })?;
    let labels = labels_from_volume(&read.volume).map_err(|source| CoreError::NotAMask {
        path: mask.path.clone(),
        source,
    })?;
    let in_file_order = turn.labels_to_ras(labels);
    Ok((orientation.labels_to_ras(in_file_order), read.bytes_read))
}

/// Writes the probabilities, then the mask: where the mask is, everything is.
fn write_outputs(
    output: &OutputFile,
    save_probabilities: Option<&OutputFile>,
    prediction: &Prediction,
    source: &SourceGeometry,
) -> Result<(), CoreError> {
    let probabilities = save_probabilities.zip(prediction.probabilities.as_ref());
    let written = probabilities.map(|(output, probabilities)| {
        let written = write_probabilities(output, probabilities)?;
        Ok::<_, CoreError>((output, written))
    });
    let written = written.transpose()?;
    write_label_map(&output.folder, &output.file_name, &prediction.labels, source).inspect_err(|_| {
        if let Some((output, file)) = &written {
            // Not what somebody else has put there meanwhile. The error at hand says more than one of this.
            let _ = remove_file_if_same(&output.folder, &output.file_name, file);
        }
    })?;
    Ok(())
}

/// The steps that were asked for; read before the work begins.
pub(crate) fn read_postprocessing(
    core: &Core,
    model: &OpenModel,
    choice: &PostprocessingChoice,
) -> Result<Vec<RemoveAllButLargest>, CoreError> {
    let postprocessing = match choice {
        PostprocessingChoice::None => return Ok(Vec::new()),
        PostprocessingChoice::FromModel => {
            let folds = model
                .folder
                .select_folds(&model.choice.folds, model.choice.checkpoint)?;
            model.folder.postprocessing(&folds)?
        }
        PostprocessingChoice::File(path) => {
            let name = path.to_string_lossy();
            let is_pickle = path.extension().is_some_and(|extension| extension == "pkl");
            let limit = if is_pickle {
                core.limits.max_pickle_bytes
            } else {
                core.limits.max_json_bytes
            };
            let bytes = read_small_file(core, path, limit)?;
            if is_pickle {
                Postprocessing::from_pickle(&name, bytes)?
            } else {
                Postprocessing::from_json(&name, &bytes)?
            }
        }
    };
    Ok(postprocessing.steps)
}

/// Reads a whole file that a request names, of at most `limit` bytes.
///
/// # Errors
/// [`CoreError::Path`], [`CoreError::FileTooLarge`]; [`CoreError::FileChanged`] if somebody writes to it meanwhile.
pub fn read_small_file(core: &Core, path: &Path, limit: u64) -> Result<Vec<u8>, CoreError> {
    let file = core.root.open_file(path)?;
    let before = identity(&file, path)?;
    let failed = |source| PathError::Io {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    (&file)
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if identity(&file, path)? != before {
        return Err(changed(path));
    }
    if bytes.len() as u64 > limit {
        return Err(CoreError::FileTooLarge {
            limit,
            path: path.to_owned(),
        });
    }
    Ok(bytes)
}

/// As on the command line.
pub(crate) fn numerics_name(numerics: Numerics) -> &'static str {
    match numerics {
        Numerics::Fast => "fast",
        Numerics::Reference => "reference",
    }
}
