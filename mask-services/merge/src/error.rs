//! What is wrong with the parameters of a merge, down to the place within a step.

use nephrite_kernel::{Coded, ErrorCode, OperationError, StepFault};

/// What a request to merge can have wrong, beyond what its description says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// An entry of `labels` that is no `name=id`.
    #[error("parameter labels has {text:?}, expected name=id with an id from 1 to 65535")]
    LabelForm {
        /// As given.
        text: String,
    },
    /// A name or an id that occurs twice in `labels` or `priority`.
    #[error("parameter {parameter} has {what} twice")]
    Twice {
        /// Which parameter.
        parameter: &'static str,
        /// The name or the id.
        what: String,
    },
    /// A step that cannot be read.
    #[error("parameter steps has {step:?}: {reason}")]
    Step {
        /// As given.
        step: String,
        /// What is wrong with it.
        reason: StepFault,
    },
    /// More names than ids.
    #[error("the masks and steps name {found} labels, a label map holds 65535")]
    TooManyLabels {
        /// Different names.
        found: usize,
    },
    /// Two grids so far apart in scale or place that no number tells where a voxel lies.
    #[error("mask {mask} lies nowhere on the reference grid: the map between their voxels is not finite")]
    Unmappable {
        /// Position in `masks`, from 0.
        mask: usize,
    },
}

impl Coded for MergeError {
    fn code(&self) -> ErrorCode {
        match self {
            MergeError::LabelForm { .. } | MergeError::Twice { .. } | MergeError::Step { .. } => {
                ErrorCode::InvalidArgument
            }
            MergeError::TooManyLabels { .. } => ErrorCode::LimitExceeded,
            MergeError::Unmappable { .. } => ErrorCode::InvalidInput,
        }
    }
}

impl From<MergeError> for OperationError {
    fn from(error: MergeError) -> OperationError {
        OperationError::other(error)
    }
}
