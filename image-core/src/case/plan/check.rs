//! What a pipeline would run, and whether its models and operations are as it says.

use nephrite_kernel::{
    CancelToken, ExpectedLabel, ExpectedLabels, InputLabels, InputSpec, OperationDescription, OperationError,
    Parameters, check_artefacts, expected_labels,
};
use nephrite_nnunet::ModelDescription;
use nephrite_nnunet::tiles::TileGrid;
use nephrite_pipeline::{MaskStep, ModelStep, Pipeline, SampleStep, Step};
use nephrite_types::Phase;
use serde::Serialize;

use super::step_labels::{StepLabels, names};
use super::steps::model_choice;
use super::{PipelineStepFault, StepKind};
use crate::case::CaseError;
use crate::core::Core;
use crate::masks::Operations;

/// What a pipeline would run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PipelineReport {
    /// The phase whose scan gives the grid of masks; `None` is that of the first model.
    pub reference: Option<Phase>,
    /// In the order in which they run.
    pub steps: Vec<StepReport>,
    /// What is kept.
    pub save: Vec<SaveReport>,
    /// The largest that any one step needs besides its scan, as far as models say; bytes.
    pub expected_memory_bytes: Option<u64>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// Its name in the pipeline.
    pub id: String,
    /// What kind of step it is.
    pub kind: StepKind,
    /// The model's folder, the operation's name, or the folder of a sample.
    pub what: String,
    /// Phases that a model accepts; that of the scan which a sample cuts, if it names one.
    pub phases: Vec<Phase>,
    /// True if it is left out where no scan has such a phase.
    pub optional: bool,
    /// Steps whose masks it needs.
    pub needs: Vec<String>,
    /// Names of the labels of its mask; of a sample, those that it is taken around. Empty if only a run can tell.
    pub labels: Vec<String>,
    /// What a model needs besides its scan, bytes; `None` if it cannot say, and for operations.
    pub expected_memory_bytes: Option<u64>,
}

/// A mask that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SaveReport {
    /// The step that makes it.
    pub step: String,
    /// Its file.
    pub file: String,
}

/// Looks at every model and asks for every operation. Runs nothing and reads no weights.
///
/// # Errors
/// [`CaseError::PipelineStep`] with the first step that cannot run.
pub(super) fn check_pipeline(
    core: &Core,
    operations: &Operations,
    pipeline: &Pipeline,
    cancel: &CancelToken,
) -> Result<(PipelineReport, StepLabels), CaseError> {
    let mut labels = StepLabels::new();
    let mut steps = Vec::new();
    for step in pipeline.steps() {
        cancel.check()?;
        let report = match step {
            Step::Model(model) => check_model(core, model, &labels, cancel),
            Step::Mask(mask) => check_mask(operations, mask, &labels, cancel),
            Step::Sample(sample) => check_sample(sample, pipeline, &labels).map(|report| (report, None)),
        };
        let (report, of_step) = report.map_err(|fault| CaseError::PipelineStep {
            step: step.id().to_owned(),
            fault,
        })?;
        if !matches!(step, Step::Sample(_)) {
            labels.insert(step.id().to_owned(), of_step);
        }
        steps.push(report);
    }
    let save = pipeline.save.iter().flat_map(|save| {
        save.files().map(move |(_, file)| SaveReport {
            step: save.step.clone(),
            file,
        })
    });
    let report = PipelineReport {
        reference: pipeline.reference,
        expected_memory_bytes: steps.iter().filter_map(|step| step.expected_memory_bytes).max(),
        save: save.collect(),
        steps,
    };
    Ok((report, labels))
}

fn check_model(
    core: &Core,
    step: &ModelStep,
    labels: &StepLabels,
    cancel: &CancelToken,
) -> Result<(StepReport, ExpectedLabels), PipelineStepFault> {
    let model = core
        .inspect_model(&model_choice(step), cancel)
        .map_err(|error| PipelineStepFault::Model(Box::new(error)))?;
    TileGrid::check_step(&model.patch_size, step.options.tile_step_size)
        .map_err(|error| PipelineStepFault::Model(Box::new(error.into())))?;
    let found = 1 + step.channels.len();
    if model.channels.len() != found {
        return Err(PipelineStepFault::Channels {
            expected: model.channels.len(),
            found,
        });
    }
    if let (Some(stage), None) = (&step.previous_stage, &model.previous_stage) {
        return Err(PipelineStepFault::PreviousStage { step: stage.clone() });
    }
    if let Some(crop) = &step.crop {
        check_labels(&crop.step, &crop.labels, labels)?;
    }
    for channel in &step.channels {
        check_labels(&channel.step, std::slice::from_ref(&channel.label), labels)?;
    }
    let ModelDescription {
        labels,
        expected_memory_bytes,
        ..
    } = model;
    let labels = labels.into_iter().map(|label| ExpectedLabel {
        id: label.id,
        name: label.name,
    });
    let labels = Some(labels.collect());
    let report = StepReport {
        id: step.id.clone(),
        kind: StepKind::Model,
        what: step.model.display().to_string(),
        phases: step.phases.clone(),
        optional: step.optional,
        needs: owned(step.needs()),
        labels: names(&labels),
        expected_memory_bytes,
    };
    Ok((report, labels))
}

fn check_mask(
    operations: &Operations,
    step: &MaskStep,
    labels: &StepLabels,
    cancel: &CancelToken,
) -> Result<(StepReport, ExpectedLabels), PipelineStepFault> {
    let operation = operations.describe(&step.operation, cancel)?;
    check_inputs(&operation, step)?;
    let parameters = Parameters::check(&operation.parameters, &step.parameters)?;
    check_artefacts(&operation, step.artefacts)?;
    operations.check(&step.operation, &operation, &parameters, step.artefacts)?;
    let mut inputs = InputLabels::default();
    for input in &step.inputs {
        for id in &input.steps {
            inputs.add(&input.name, labels.get(id).cloned().flatten());
        }
    }
    let outputs = expected_labels(&operation, &parameters, &inputs)?;
    let labels = outputs.into_iter().next().flatten(); // the first mask is that of the step
    let report = StepReport {
        id: step.id.clone(),
        kind: StepKind::Mask,
        what: step.operation.clone(),
        phases: Vec::new(),
        optional: false,
        needs: owned(step.needs()),
        labels: names(&labels),
        expected_memory_bytes: None,
    };
    Ok((report, labels))
}

fn check_sample(
    step: &SampleStep,
    pipeline: &Pipeline,
    labels: &StepLabels,
) -> Result<StepReport, PipelineStepFault> {
    check_labels(&step.step, &step.labels, labels)?;
    let phase = step.phase.or(pipeline.reference);
    Ok(StepReport {
        id: step.id.clone(),
        kind: StepKind::Sample,
        what: format!("{}/", step.id),
        phases: phase.into_iter().collect(),
        optional: false,
        needs: owned(step.needs()),
        labels: step.labels.clone(),
        expected_memory_bytes: None,
    })
}

/// The labels of some operations' masks are known only when they have run.
fn check_labels(other: &str, named: &[String], labels: &StepLabels) -> Result<(), PipelineStepFault> {
    let Some(known) = labels.get(other).filter(|known| known.is_some()).map(names) else {
        return Ok(());
    };
    match named.iter().find(|label| !known.contains(label)) {
        Some(label) => Err(PipelineStepFault::UnknownLabel {
            step: other.to_owned(),
            label: label.clone(),
            known: known.clone(),
        }),
        None => Ok(()),
    }
}

/// As [`nephrite_kernel::check_inputs`], but before there are masks.
fn check_inputs(operation: &OperationDescription, step: &MaskStep) -> Result<(), OperationError> {
    let spec = |name: &str| operation.inputs.iter().find(|spec| spec.name == name);
    for input in &step.inputs {
        match spec(&input.name) {
            None => {
                return Err(OperationError::UnknownInput {
                    name: input.name.clone(),
                    known: operation.inputs.iter().map(|spec| spec.name.clone()).collect(),
                });
            }
            Some(InputSpec { repeated: false, .. }) if input.steps.len() > 1 => {
                return Err(OperationError::RepeatedInput {
                    name: input.name.clone(),
                    found: input.steps.len(),
                });
            }
            Some(_) => {}
        }
    }
    let given = |spec: &InputSpec| step.inputs.iter().any(|input| input.name == spec.name);
    match operation.inputs.iter().find(|spec| spec.required && !given(spec)) {
        Some(spec) => Err(OperationError::MissingInput {
            name: spec.name.clone(),
        }),
        None => Ok(()),
    }
}

fn owned(ids: Vec<&str>) -> Vec<String> {
    ids.into_iter().map(str::to_owned).collect()
}
