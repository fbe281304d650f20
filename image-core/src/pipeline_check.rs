//! What a pipeline would run, and whether its models and operations are as it says.

use std::collections::BTreeMap;
use std::path::Path;

use nephrite_kernel::{CancelToken, InputSpec, OperationDescription, OperationError, Parameters};
use nephrite_nnunet::ModelDescription;
use nephrite_nnunet::tiles::TileGrid;
use nephrite_pipeline::{MaskStep, ModelStep, Pipeline, SampleStep, Step};
use nephrite_types::{ErrorCode, Phase};
use serde::Serialize;

use crate::masks::Operations;
use crate::{Core, CoreError, ModelChoice, inspect_model};

/// What a pipeline would run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PipelineReport {
    /// The phase whose scan gives the grid of masks; `None` is that of the first model.
    pub reference: Option<&'static str>,
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
    /// `model`, `mask` or `sample`.
    pub kind: &'static str,
    /// The model's folder, the operation's name, or the folder of a sample.
    pub what: String,
    /// Where it runs.
    pub place: String,
    /// Phases that a model accepts; that of the scan which a sample cuts, if it names one.
    pub phases: Vec<&'static str>,
    /// True if it is left out where no scan has such a phase.
    pub optional: bool,
    /// Steps whose masks it needs.
    pub needs: Vec<String>,
    /// Names of a model's labels.
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

/// Why a step of a pipeline cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepFault {
    /// The model cannot be used.
    #[error(transparent)]
    Model(Box<CoreError>),
    /// The operation is not there, or does not take what it is given.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// The network has another number of channels than scan and masks together.
    #[error("the model takes {expected} channel(s), scan and masks are {found}")]
    Channels {
        /// Of the model.
        expected: usize,
        /// One scan, and the masks of the step.
        found: usize,
    },
    /// A previous stage was named for a model that has none.
    #[error("the model has no previous stage, but step {step} is named as one")]
    PreviousStage {
        /// The step named.
        step: String,
    },
    /// A label of another step's model is named that it does not have.
    #[error("step {step} has no label {label:?}, but {}", known.join(", "))]
    UnknownLabel {
        /// The other step.
        step: String,
        /// As named.
        label: String,
        /// What there is.
        known: Vec<String>,
    },
    /// No scan is of a phase that the model accepts.
    #[error("no scan of {} is given, but {}", names(accepted, " or "), names(given, ", "))]
    MissingPhase {
        /// By the step.
        accepted: Vec<Phase>,
        /// Of the scans.
        given: Vec<Phase>,
    },
}

fn names(phases: &[Phase], between: &str) -> String {
    let names: Vec<&str> = phases.iter().map(|phase| phase.name()).collect();
    names.join(between)
}

impl StepFault {
    /// How a caller can act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            StepFault::Model(error) => error.code(),
            StepFault::Operation(error) => error.code(),
            StepFault::Channels { .. }
            | StepFault::PreviousStage { .. }
            | StepFault::UnknownLabel { .. }
            | StepFault::MissingPhase { .. } => ErrorCode::InvalidArgument,
        }
    }
}

/// Looks at every model and asks for every operation. Runs nothing and reads no weights. Paths of models are relative to
/// `folder`.
///
/// # Errors
/// [`CoreError::PipelineStep`] with the first step that cannot run.
pub fn check_pipeline(
    core: &Core,
    operations: &Operations,
    pipeline: &Pipeline,
    folder: &Path,
    cancel: &CancelToken,
) -> Result<PipelineReport, CoreError> {
    let mut labels: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut steps = Vec::new();
    for step in pipeline.steps() {
        cancel.check()?;
        let report = match step {
            Step::Model(model) => check_model(core, model, folder, &labels, cancel),
            Step::Mask(mask) => check_mask(operations, mask, cancel),
            Step::Sample(sample) => check_sample(sample, pipeline, &labels),
        };
        let report = report.map_err(|fault| CoreError::PipelineStep {
            step: step.id().to_owned(),
            fault,
        })?;
        if matches!(step, Step::Model(_)) {
            labels.insert(step.id(), report.labels.clone());
        }
        steps.push(report);
    }
    let save = pipeline.save.iter().map(|save| SaveReport {
        step: save.step.clone(),
        file: save.file.clone(),
    });
    Ok(PipelineReport {
        reference: pipeline.reference.map(Phase::name),
        expected_memory_bytes: steps.iter().filter_map(|step| step.expected_memory_bytes).max(),
        save: save.collect(),
        steps,
    })
}

fn check_model(
    core: &Core,
    step: &ModelStep,
    folder: &Path,
    labels: &BTreeMap<&str, Vec<String>>,
    cancel: &CancelToken,
) -> Result<StepReport, StepFault> {
    let choice = ModelChoice {
        folder: folder.join(&step.model),
        folds: step.folds.clone(),
        checkpoint: step.checkpoint,
    };
    let model = inspect_model(core, &choice, cancel);
    let model = model.map_err(|error| StepFault::Model(Box::new(error)))?;
    TileGrid::check_step(&model.patch_size, step.options.tile_step_size)
        .map_err(|error| StepFault::Model(Box::new(error.into())))?;
    let found = 1 + step.channels.len();
    if model.channels.len() != found {
        return Err(StepFault::Channels {
            expected: model.channels.len(),
            found,
        });
    }
    if let (Some(stage), None) = (&step.previous_stage, &model.previous_stage) {
        return Err(StepFault::PreviousStage { step: stage.clone() });
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
    Ok(StepReport {
        id: step.id.clone(),
        kind: "model",
        what: step.model.display().to_string(),
        place: "in process".to_owned(),
        phases: step.phases.iter().map(|phase| phase.name()).collect(),
        optional: step.optional,
        needs: needs(&Step::Model(step.clone())),
        labels: labels.into_iter().map(|label| label.name).collect(),
        expected_memory_bytes,
    })
}

fn check_mask(
    operations: &Operations,
    step: &MaskStep,
    cancel: &CancelToken,
) -> Result<StepReport, StepFault> {
    let operation = operations.describe(&step.operation, cancel)?;
    check_inputs(&operation, step)?;
    Parameters::check(&operation.parameters, &step.parameters)?;
    if step.artefacts && !operation.artefacts {
        return Err(StepFault::Operation(OperationError::Artefacts {
            reason: "this operation writes no files",
        }));
    }
    Ok(StepReport {
        id: step.id.clone(),
        kind: "mask",
        what: step.operation.clone(),
        place: operations.place(&step.operation),
        phases: Vec::new(),
        optional: false,
        needs: needs(&Step::Mask(step.clone())),
        labels: Vec::new(),
        expected_memory_bytes: None,
    })
}

fn check_sample(
    step: &SampleStep,
    pipeline: &Pipeline,
    labels: &BTreeMap<&str, Vec<String>>,
) -> Result<StepReport, StepFault> {
    check_labels(&step.step, &step.labels, labels)?;
    let phase = step.phase.or(pipeline.reference);
    Ok(StepReport {
        id: step.id.clone(),
        kind: "sample",
        what: format!("{}/", step.id),
        place: "in process".to_owned(),
        phases: phase.into_iter().map(Phase::name).collect(),
        optional: false,
        needs: needs(&Step::Sample(step.clone())),
        labels: step.labels.clone(),
        expected_memory_bytes: None,
    })
}

/// The labels of an operation's mask are known only when it has run.
fn check_labels(
    other: &str,
    named: &[String],
    labels: &BTreeMap<&str, Vec<String>>,
) -> Result<(), StepFault> {
    let Some(known) = labels.get(other) else {
        return Ok(());
    };
    match named.iter().find(|label| !known.contains(label)) {
        Some(label) => Err(StepFault::UnknownLabel {
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

fn needs(step: &Step) -> Vec<String> {
    step.needs().into_iter().map(str::to_owned).collect()
}
