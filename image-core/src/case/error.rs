//! What can go wrong with a case.

use std::path::PathBuf;

use nephrite_dicom::PhaseContradiction;
use nephrite_kernel::OperationError;
use nephrite_pipeline::{Fault, PipelineFault};
use nephrite_types::{Coded, ErrorCode, OutputFormat, Phase};

use super::plan::PipelineStepFault;
use crate::error::CoreError;

/// Why a case did not run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// What is no matter of cases.
    #[error(transparent)]
    Core(CoreError),
    /// The tags of a scan say that it is of another phase.
    #[error("{source}; series {}", path.display())]
    PhaseContradicted {
        /// The scan.
        path: PathBuf,
        /// What contradicts.
        source: PhaseContradiction,
    },
    /// A step failed.
    #[error("step {step}: {source}")]
    Step {
        /// Its name.
        step: String,
        /// Why.
        source: Box<CaseError>,
    },
    /// A bug in a step.
    #[error("an internal error; the log says more")]
    StepPanicked,
    /// A step of the pipeline cannot run.
    #[error("step {step}: {fault}")]
    PipelineStep {
        /// Its name.
        step: String,
        /// Why not.
        fault: PipelineStepFault,
    },
    /// The pipeline file is wrong.
    #[error("pipeline {}:{}", path.display(), nephrite_pipeline::lines(faults))]
    Pipeline {
        /// The file.
        path: PathBuf,
        /// All that is wrong, by line.
        faults: Vec<Fault>,
    },
    /// The pipeline file is no text.
    #[error("pipeline {}: not a text file", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// A list of models makes no pipeline, or a step is named that is not there.
    #[error(transparent)]
    Steps(#[from] PipelineFault),
    /// There is no scan.
    #[error("no scan: give one per contrast phase")]
    NoScans,
    /// A phase that does not exist.
    #[error("phase {found:?}: expected non_contrast, arterial, portal_venous or delayed")]
    UnknownPhase {
        /// As given.
        found: String,
    },
    /// Two scans of one phase.
    #[error("phase {phase} is given twice")]
    PhaseTwice {
        /// The phase.
        phase: Phase,
    },
    /// A model without a pipeline file, and several scans.
    #[error("model {}: on which phase does it run? There are scans of {}", model.display(), list(given))]
    ModelPhase {
        /// Its folder.
        model: PathBuf,
        /// Phases of the scans.
        given: Vec<Phase>,
    },
    /// A model that was named has an accepted phase of which there is no scan.
    #[error(
        "step {step} needs a scan of {}, given {} {}",
        phases(accepted),
        if given.len() == 1 { "is" } else { "are" },
        list(given)
    )]
    MissingPhase {
        /// The step.
        step: String,
        /// What it accepts.
        accepted: Vec<Phase>,
        /// Phases of the scans.
        given: Vec<Phase>,
    },
    /// A step was sent to a phase that its model was not made for.
    #[error(
        "step {step} does not accept phase {phase}, only {}; override it if that is meant",
        phases(accepted)
    )]
    PhaseNotAccepted {
        /// The step.
        step: String,
        /// As asked for.
        phase: Phase,
        /// What it accepts.
        accepted: Vec<Phase>,
    },
    /// A phase was chosen for a step that runs on none.
    #[error("step {step} is not a model step: it does not run on a phase")]
    NoModel {
        /// The step.
        step: String,
    },
    /// There is no scan of the phase that gives the grid of the masks.
    #[error("there is no scan of {phase}, which the pipeline names as its reference")]
    NoReference {
        /// The phase.
        phase: Phase,
    },
    /// Nothing is left to run.
    #[error("every step is left out: {}", reasons.join("; "))]
    NothingToRun {
        /// Why, step by step.
        reasons: Vec<String>,
    },
    /// Two scans that share no place in the world.
    #[error(
        "the scans of {phase} and {reference} do not overlap in the world: their frames cannot be related; files {} and {}",
        path.display(), reference_path.display()
    )]
    NoOverlap {
        /// One.
        phase: Phase,
        /// Its file.
        path: PathBuf,
        /// The other.
        reference: Phase,
        /// Its file.
        reference_path: PathBuf,
    },
    /// A mask is to become a DICOM object, and a scan that it comes from is no DICOM series.
    #[error(
        "step {step}: {file} is saved as {}, which needs scans that are DICOM series; that of {phase} is none: {}",
        OutputFormat::names_of_objects(formats), path.display()
    )]
    NoSeries {
        /// Whose mask it is.
        step: String,
        /// The label map that the objects would lie beside.
        file: String,
        /// As the pipeline has them.
        formats: Vec<OutputFormat>,
        /// Of the scan.
        phase: Phase,
        /// The scan.
        path: PathBuf,
    },
    /// A mask is to become a DICOM object, and its scans do not share a frame of reference.
    #[error(
        "step {step}: {file} cannot become a DICOM object: the frame of reference of the scan of {phase} is {:?}, that of {reference} {:?}",
        frames.0, frames.1
    )]
    OtherFrame {
        /// Whose mask it is.
        step: String,
        /// The label map that the objects would lie beside.
        file: String,
        /// Of one scan.
        phase: Phase,
        /// Of the scan that objects refer to.
        reference: Phase,
        /// FrameOfReferenceUID of both.
        frames: (String, String),
    },
    /// The result folder is there already, or another case that runs has its name.
    #[error("{}: {}", if *running { "another case writes this result folder now" } else { "the result folder exists already" },
        path.display())]
    OutputExists {
        /// As given.
        path: PathBuf,
        /// It is not there yet: a case that runs will make it.
        running: bool,
    },
    /// The result folder has no usable name.
    #[error("the result folder needs a name of its own; path {path:?} {reason}")]
    OutputName {
        /// As given.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The result folder cannot be made or kept.
    #[error("{}: {reason}", path.display())]
    Output {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The labels that a model should look around are not there.
    #[error(
        "nothing to look around: the mask of step {step} has no voxel of {}",
        names(labels)
    )]
    EmptyCrop {
        /// The step whose mask it is.
        step: String,
        /// As named; all if empty.
        labels: Vec<String>,
    },
    /// The result of a case has no mask of a step.
    #[error("{}: no mask of step {step} was kept; there {} of {}", folder.display(), if kept.len() == 1 { "is that" } else { "are those" }, kept.join(", "))]
    NoMask {
        /// The result folder.
        folder: PathBuf,
        /// As asked for.
        step: String,
        /// Steps whose masks were kept.
        kept: Vec<String>,
    },
    /// A file of a result folder is not the one that the case wrote.
    #[error("{}: the file has changed since the case was done", path.display())]
    MaskChanged {
        /// The file.
        path: PathBuf,
    },
    /// A mask that does not fit into a message.
    #[error("{}: the mask takes {found} bytes in a message, the limit is {limit}: read the file itself", path.display())]
    MaskTooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes of the encoded mask.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A scan is not the one that was handed in.
    #[error("{}: this is not the scan that was handed in: its size or its time differs; it was replaced, or this machine sees another volume", path.display())]
    OtherScan {
        /// The file.
        path: PathBuf,
    },
    /// Whoever the case ran for may not give its result a name any more.
    #[error("the result is not kept: {reason}")]
    NotOurs {
        /// Why not.
        reason: String,
    },
    /// A `record.json` that cannot be used.
    #[error("record {}: {reason}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl<E> From<E> for CaseError
where
    CoreError: From<E>,
{
    fn from(error: E) -> Self {
        CaseError::Core(error.into())
    }
}

impl CaseError {
    /// True if an operation was asked for that is known neither here nor at a service that was named.
    pub fn is_unknown_operation(&self) -> bool {
        match self {
            CaseError::Core(error) => error.is_unknown_operation(),
            CaseError::Step { source, .. } => source.is_unknown_operation(),
            CaseError::PipelineStep {
                fault: PipelineStepFault::Operation(OperationError::UnknownOperation { .. }),
                ..
            } => true,
            _ => false,
        }
    }

    /// Of a step, unless it says already of which, or nothing went wrong in it.
    pub(super) fn at(self, step: &str) -> CaseError {
        match self {
            error @ (CaseError::Core(CoreError::Cancelled(_))
            | CaseError::PipelineStep { .. }
            | CaseError::Step { .. }) => error,
            error => CaseError::Step {
                step: step.to_owned(),
                source: Box::new(error),
            },
        }
    }
}

impl Coded for CaseError {
    fn code(&self) -> ErrorCode {
        match self {
            CaseError::Core(error) => error.code(),
            CaseError::Step { source, .. } => source.code(),
            CaseError::StepPanicked => ErrorCode::Internal,
            CaseError::PipelineStep { fault, .. } => fault.code(),
            CaseError::Pipeline { .. }
            | CaseError::NotText { .. }
            | CaseError::Steps(_)
            | CaseError::NoScans
            | CaseError::UnknownPhase { .. }
            | CaseError::PhaseTwice { .. }
            | CaseError::ModelPhase { .. }
            | CaseError::PhaseNotAccepted { .. }
            | CaseError::NoModel { .. }
            // no scan is at fault: the request does not name one
            | CaseError::MissingPhase { .. }
            | CaseError::NoReference { .. }
            | CaseError::NothingToRun { .. }
            | CaseError::NoSeries { .. }
            | CaseError::OutputName { .. } => ErrorCode::InvalidArgument,
            CaseError::OutputExists { .. } => ErrorCode::AlreadyExists,
            CaseError::NoMask { .. } => ErrorCode::NotFound,
            CaseError::MaskTooLarge { .. } => ErrorCode::LimitExceeded,
            CaseError::PhaseContradicted { .. }
            | CaseError::MaskChanged { .. }
            | CaseError::OtherScan { .. }
            | CaseError::NoOverlap { .. }
            | CaseError::OtherFrame { .. }
            | CaseError::EmptyCrop { .. }
            | CaseError::Record { .. } => ErrorCode::InvalidInput,
            CaseError::Output { .. } => ErrorCode::Environment,
            CaseError::NotOurs { .. } => ErrorCode::Unavailable,
        }
    }
}

fn phases(phases: &[Phase]) -> String {
    let names: Vec<&str> = phases.iter().map(|phase| phase.name()).collect();
    names.join(" or ")
}

/// What there is, and not a choice.
fn list(phases: &[Phase]) -> String {
    let names: Vec<&str> = phases.iter().map(|phase| phase.name()).collect();
    names.join(", ")
}

fn names(labels: &[String]) -> String {
    if labels.is_empty() {
        "any label".to_owned()
    } else {
        labels.join(", ")
    }
}
