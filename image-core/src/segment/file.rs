//! Scans in, a mask file out: a run whose result is written.

use std::path::PathBuf;
use std::time::Instant;

use nephrite_nnunet::Prediction;
use nephrite_root::{OutputFile, remove_file_if_same};
use nephrite_types::{CancelToken, Progress, SegmentationOptions, Stage, VOLUME_ENDINGS};
use nephrite_volume::{SourceGeometry, write_label_map};

use super::model_run::OpenRun;
use super::previous_stage::PreviousStage;
use super::probabilities::write_probabilities;
use super::report::{OptionsReport, SegmentReport, WarningReport, count_labels};
use super::request::{ModelRun, ScanInput};
use super::warnings::warn;
use super::{PostprocessingChoice, StageClock, StageSeconds};
use crate::core::Core;
use crate::error::CoreError;
use crate::memory::peak_rss_bytes;
use crate::model::{ModelChoice, OpenModel};

/// A scan to be segmented by one model.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentRequest {
    /// The model.
    pub model: ModelChoice,
    /// One scan per channel of the model, in its order: a file, or a series of a folder of DICOM files, `folder#UID`.
    pub inputs: Vec<PathBuf>,
    /// Mask of the previous stage of a cascade, on the voxels of the first input; its axes may run another way. Without
    /// it, the previous stage is run first if its folder lies beside the model's.
    pub previous_stage: Option<PathBuf>,
    /// Where the mask goes: `.nii.gz` or `.nii`.
    pub output: PathBuf,
    /// Where the probabilities go, if wanted: `.npz`, member `probabilities`, f32 `[class, z, y, x]`.
    pub save_probabilities: Option<PathBuf>,
    /// How the mask is made.
    pub options: SegmentationOptions,
    /// What follows.
    pub postprocessing: PostprocessingChoice,
    /// Whether odd geometry (channels that lie elsewhere than the first, headers that contradict themselves) is an error; a
    /// warning otherwise.
    pub strict_geometry: bool,
}

/// Makes a mask: checks what is cheap to check, loads the model or takes the resident one, reads each scan once,
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
    let report = run(core, request, &clock, cancel);
    core.models().trim(); // the models of this request are idle again, whatever came of it
    let mut report = report?;
    report.stages = clock.stop();
    report.total_seconds = started.elapsed().as_secs_f64();
    report.peak_rss_bytes = peak_rss_bytes();
    Ok(report)
}

fn run(
    core: &Core,
    request: &SegmentRequest,
    clock: &StageClock<'_>,
    cancel: &CancelToken,
) -> Result<SegmentReport, CoreError> {
    request.options.check()?;
    let outputs = Outputs::open(core, request, cancel)?;
    let model_run = request.model_run();
    let open = OpenRun::new(core, &model_run, cancel)?;
    let strict = request.strict_geometry || core.strict_geometry();
    for header in open.headers() {
        for warning in header.header.warnings(open.reader().world())? {
            warn(&warning, strict, clock)?;
        }
    }
    for warning in &open.elsewhere {
        warn(warning, strict, clock)?;
    }
    let admission = open.admit(cancel)?;
    let found = open.predict(&admission, clock, cancel)?;
    clock.stage(Stage::Write);
    cancel.check()?;
    let (frame, model) = (&open.part.frame, &open.model);
    let labels = count_labels(&found.prediction.labels, frame, &model.description.labels);
    outputs.write(&found.prediction, &open.source)?;
    let runtime = core.models().runtime();
    Ok(SegmentReport {
        mask: outputs.mask.path.display().to_string(),
        probabilities: outputs
            .probabilities
            .map(|output| output.path.display().to_string()),
        labels,
        shape: frame.shape.xyz(),
        spacing: frame.spacing.xyz(),
        warnings: clock.warnings().iter().map(WarningReport::from).collect(),
        stages: StageSeconds::default(),
        total_seconds: 0.0,
        tiles: found.tiles,
        peak_rss_bytes: 0,
        expected_memory_bytes: runtime.process_bytes() + admission.memory.bytes(),
        provider: runtime.provider(),
        precision: found.precision,
        threads: runtime.n_threads(),
        input_bytes_read: found.counters.scan_bytes_read,
        weight_bytes_read: found.counters.weight_bytes_read,
        model: model.report(),
        previous_stage: open.previous_model().map(OpenModel::report),
        options: OptionsReport {
            segmentation: request.options,
            postprocessing: request.postprocessing != PostprocessingChoice::None,
        },
        versions: core.versions(open.models()),
    })
}

impl SegmentRequest {
    fn model_run(&self) -> ModelRun {
        let scans = self.inputs.iter().map(|path| ScanInput {
            path: path.clone(),
            bytes: None,
        });
        ModelRun {
            model: self.model.clone(),
            scans: scans.collect(),
            masks: Vec::new(),
            previous_stage: match &self.previous_stage {
                Some(path) => PreviousStage::File(path.clone()),
                None => PreviousStage::Model,
            },
            options: self.options,
            postprocessing: self.postprocessing.clone(),
            crop: None,
            world: None,
            probabilities: self.save_probabilities.is_some(),
            is_step: false,
        }
    }
}

/// The files of the result.
struct Outputs {
    mask: OutputFile,
    probabilities: Option<OutputFile>,
}

impl Outputs {
    /// Opens their folders; refuses one that would replace a file of the request.
    fn open(core: &Core, request: &SegmentRequest, cancel: &CancelToken) -> Result<Outputs, CoreError> {
        let mask = core.open_output("output", &request.output, &VOLUME_ENDINGS)?;
        let probabilities = request.save_probabilities.as_ref();
        let probabilities = probabilities
            .map(|path| core.open_output("save_probabilities", path, &[".npz"]))
            .transpose()?;
        for path in request.inputs.iter().chain(&request.previous_stage) {
            let input = core.volumes().open_scan(path, cancel)?;
            let mut outputs = std::iter::once(&mask).chain(&probabilities);
            let replaces = |output: &&OutputFile| input.identity().is_replaced_by(core.root(), output);
            if let Some(output) = outputs.find(replaces) {
                return Err(CoreError::OutputIsInput {
                    path: output.path.clone(),
                });
            }
        }
        Ok(Outputs { mask, probabilities })
    }

    /// Writes the probabilities, then the mask: where the mask is, everything is.
    fn write(&self, prediction: &Prediction, source: &SourceGeometry) -> Result<(), CoreError> {
        let probabilities = self.probabilities.as_ref().zip(prediction.probabilities.as_ref());
        let written = probabilities.map(|(output, probabilities)| {
            let written = write_probabilities(output, probabilities)?;
            Ok::<_, CoreError>((output, written))
        });
        let written = written.transpose()?;
        write_label_map(
            &self.mask.folder,
            &self.mask.file_name,
            &prediction.labels,
            source,
        )
        .inspect_err(|_| {
            if let Some((output, file)) = &written {
                // Not what somebody else has put there meanwhile. The error at hand says more than one of this.
                let _ = remove_file_if_same(&output.folder, &output.file_name, file);
            }
        })?;
        Ok(())
    }
}
