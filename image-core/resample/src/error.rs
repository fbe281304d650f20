//! What a resize refuses: axes, orders and grids that cannot be.

use nephrite_types::{Cancelled, Coded, ErrorCode, OutOfMemory};

/// What can go wrong while resizing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ResampleError {
    /// An axis has no voxels, or the number of voxels overflows.
    #[error("cannot resize from {from:?} to {to:?}: an axis is empty or there are too many voxels")]
    Shape {
        /// Source, in array order.
        from: [usize; 3],
        /// Target, in array order.
        to: [usize; 3],
    },
    /// The plan names an axis that a volume does not have.
    #[error("separate axis {axis} of a volume with axes 0, 1, 2")]
    SeparateAxis {
        /// As given.
        axis: usize,
    },
    /// The target grid is larger than the limits allow.
    #[error("the resized volume has {found} {unit}, the limit is {limit}")]
    OverLimit {
        /// `voxels` or `bytes`.
        unit: &'static str,
        /// What is allowed.
        limit: u64,
        /// What was asked for; `u64::MAX` if that is not countable.
        found: u64,
    },
    /// The array of a volume does not have the shape that its geometry says.
    #[error("the volume holds {found:?} voxels (z, y, x), its geometry says {expected:?}")]
    GeometryMismatch {
        /// Shape of the geometry.
        expected: [usize; 3],
        /// Shape of the array.
        found: [usize; 3],
    },
    /// There is no room for an array.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// The work was stopped from outside.
    #[error("resizing stopped: {0}")]
    Cancelled(#[from] Cancelled),
}

impl Coded for ResampleError {
    fn code(&self) -> ErrorCode {
        match self {
            ResampleError::Shape { .. } | ResampleError::SeparateAxis { .. } => ErrorCode::InvalidArgument,
            ResampleError::OverLimit { .. } => ErrorCode::LimitExceeded,
            ResampleError::OutOfMemory(error) => error.code(),
            ResampleError::GeometryMismatch { .. } => ErrorCode::Internal,
            ResampleError::Cancelled(cancelled) => cancelled.code(),
        }
    }
}
