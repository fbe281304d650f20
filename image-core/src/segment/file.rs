//! Scans in, a mask file out: a run whose result is written.

use std::path::PathBuf;
use std::time::Instant;

use nephrite_dicomweb::Address;
use nephrite_nnunet::Prediction;
use nephrite_root::{OutputFile, remove_file_if_same};
use nephrite_types::{CancelToken, FileIdentity, Progress, Stage, VOLUME_ENDINGS};
use nephrite_volume::write_label_map;

use super::model_run::OpenRun;
use super::objects::RunObjects;
use super::probabilities::write_probabilities;
use super::report::{OptionsReport, SegmentReport, WarningReport, count_labels};
use super::warnings::warn;
use super::{PostprocessingChoice, SegmentRequest, StageClock, StageSeconds};
use crate::core::Core;
use crate::error::CoreError;
use crate::memory::{OpenScan, peak_rss_bytes};
use crate::model::OpenModel;
use crate::series::fetch;

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
    if request.inputs.iter().any(|scan| Address::is_meant(scan)) {
        clock.stage(Stage::Read); // over the network
    }
    let fetched = fetch(core, &request.inputs, &request.output, cancel)?;
    let request = &SegmentRequest {
        inputs: fetched.paths.clone(),
        ..request.clone()
    };
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
    if let Some(objects) = &outputs.objects {
        objects.check_labels(&open.model.description)?;
    }
    let strict = request.strict_geometry || core.strict_geometry();
    for header in open.headers() {
        for warning in header.header.warnings(open.reader().world())? {
            warn(&warning, strict, clock)?;
        }
    }
    for warning in &open.oddities {
        warn(warning, strict, clock)?;
    }
    let admission = open.admit(cancel)?;
    let found = open.predict(&admission, clock, cancel)?;
    clock.stage(Stage::Write);
    cancel.check()?;
    let (frame, model) = (&open.part.frame, &open.model);
    let labels = count_labels(&found.prediction.labels, frame, &model.description.labels);
    let runtime = core.models().runtime();
    let expected_memory_bytes = runtime.process_bytes() + admission.memory.bytes();
    let probabilities = outputs.write_probabilities(&found.prediction)?;
    let labels_of_scan = found.prediction.labels;
    let written = match &outputs.objects {
        Some(objects) => objects.write((core, request), (&open, admission), labels_of_scan, clock, cancel),
        None => {
            let OutputFile {
                folder, file_name, ..
            } = &outputs.mask;
            let written = write_label_map(folder, file_name, &labels_of_scan, &open.source);
            written.map(|_| Vec::new()).map_err(CoreError::from)
        }
    };
    let objects = written.inspect_err(|_| {
        if let Some((output, file)) = &probabilities {
            // Not what somebody else has put there meanwhile. The error at hand says more than one of this.
            let _ = remove_file_if_same(&output.folder, &output.file_name, file);
        }
    })?;
    Ok(SegmentReport {
        mask: outputs.mask.path.display().to_string(),
        objects,
        probabilities: probabilities.map(|(output, _)| output.path.display().to_string()),
        labels,
        shape: frame.shape.xyz(),
        spacing: frame.spacing.xyz(),
        warnings: clock.warnings().iter().map(WarningReport::from).collect(),
        stages: StageSeconds::default(),
        total_seconds: 0.0,
        tiles: found.tiles,
        peak_rss_bytes: 0,
        expected_memory_bytes,
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

/// The files of the result.
struct Outputs {
    mask: OutputFile,
    probabilities: Option<OutputFile>,
    /// The mask again, and what lies beside it, if anything does.
    objects: Option<RunObjects>,
}

impl Outputs {
    /// Opens their folders; refuses one that would replace a file of the request.
    fn open(core: &Core, request: &SegmentRequest, cancel: &CancelToken) -> Result<Outputs, CoreError> {
        let mask = core.open_output("output", &request.output, &VOLUME_ENDINGS)?;
        let probabilities = request.save_probabilities.as_ref();
        let probabilities = probabilities
            .map(|path| core.open_output("save_probabilities", path, &[".npz"]))
            .transpose()?;
        let opened = |path: &PathBuf| core.volumes().open_scan(path, cancel);
        let inputs: Vec<OpenScan> = request.inputs.iter().map(opened).collect::<Result<_, _>>()?;
        let series = inputs.first().and_then(OpenScan::series);
        let objects = RunObjects::open(core, request, series, &mask)?;
        let previous = request.previous_stage.as_ref().map(opened).transpose()?;
        for input in inputs.iter().chain(&previous) {
            let beside = objects.iter().flat_map(RunObjects::files);
            let mut outputs = [&mask].into_iter().chain(&probabilities).chain(beside);
            let replaces = |output: &&OutputFile| input.identity().is_replaced_by(core.root(), output);
            if let Some(output) = outputs.find(replaces) {
                return Err(CoreError::OutputIsInput {
                    path: output.path.clone(),
                });
            }
        }
        Ok(Outputs {
            mask,
            probabilities,
            objects,
        })
    }

    /// Writes the probabilities, if they are wanted: before the mask, since where that is, everything is. Gives which file it was.
    fn write_probabilities(
        &self,
        prediction: &Prediction,
    ) -> Result<Option<(&OutputFile, FileIdentity)>, CoreError> {
        let probabilities = self.probabilities.as_ref().zip(prediction.probabilities.as_ref());
        let written = probabilities.map(|(output, probabilities)| {
            let written = write_probabilities(output, probabilities)?;
            Ok::<_, CoreError>((output, written))
        });
        written.transpose()
    }
}
