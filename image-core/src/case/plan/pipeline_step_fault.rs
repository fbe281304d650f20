//! Why a step of a pipeline cannot run.

use nephrite_kernel::OperationError;
use nephrite_types::{Coded, ErrorCode, count};

use crate::error::CoreError;

/// Why a step of a pipeline cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineStepFault {
    /// The model cannot be used.
    #[error(transparent)]
    Model(Box<CoreError>),
    /// The operation is not there, or does not take what it is given.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// The network has another number of channels than scan and masks together.
    #[error("the model takes {}, scan and masks are {found}", count(*expected, "channel"))]
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
}

impl PipelineStepFault {
    /// How a caller can act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            PipelineStepFault::Model(error) => error.code(),
            PipelineStepFault::Operation(error) => error.code(),
            PipelineStepFault::Channels { .. }
            | PipelineStepFault::PreviousStage { .. }
            | PipelineStepFault::UnknownLabel { .. } => ErrorCode::InvalidArgument,
        }
    }
}
