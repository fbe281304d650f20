//! Why a sample cannot be cut or written.

use nephrite_kernel::{Coded, ErrorCode, OperationError};

/// What can go wrong with a sample, beyond what the kernel names.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// One slice alone is larger than the sample may be.
    #[error(
        "one slice of the sample has {found} voxels, parameter max_voxels is {limit}; reduce=downsample can meet it"
    )]
    SliceTooLarge {
        /// As asked for.
        limit: u64,
        /// y times x of the cropped box.
        found: u64,
    },
    /// The cropped or reduced grid cannot be: its numbers leave the range of 64-bit floats.
    #[error("the grid of the sample cannot be: {0}")]
    Geometry(#[from] nephrite_types::GeometryError),
    /// The preview cannot be packed.
    #[error("preview.png: {reason}")]
    Picture {
        /// What the encoder said.
        reason: String,
    },
}

impl Coded for SampleError {
    fn code(&self) -> ErrorCode {
        match self {
            SampleError::SliceTooLarge { .. } => ErrorCode::InvalidArgument,
            SampleError::Geometry(_) => ErrorCode::InvalidInput,
            SampleError::Picture { .. } => ErrorCode::Internal,
        }
    }
}

impl From<SampleError> for OperationError {
    fn from(error: SampleError) -> OperationError {
        OperationError::other(error)
    }
}
