//! Why an algorithm on runs gives no result.

use nephrite_mask_codec::MaskError;
use nephrite_types::{Cancelled, Coded, ErrorCode};

/// Why an algorithm on masks gives an error instead of a result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RunsError {
    /// The result cannot be, or two masks have different shapes.
    #[error("mask: {0}")]
    Mask(#[from] MaskError),
    /// A radius that is no distance.
    #[error("radius is {found} mm, expected a finite number of at least 0")]
    Radius {
        /// As given.
        found: f64,
    },
    /// A step on the way needs more than a limit allows.
    #[error("{what} needs {found} voxels, the limit is {limit}")]
    Limit {
        /// What was to be made.
        what: &'static str,
        /// Needed.
        found: u64,
        /// Allowed.
        limit: u64,
    },
    /// The work was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Coded for RunsError {
    fn code(&self) -> ErrorCode {
        match self {
            RunsError::Mask(error) => error.code(),
            RunsError::Radius { .. } => ErrorCode::InvalidArgument,
            RunsError::Limit { .. } => ErrorCode::LimitExceeded,
            RunsError::Cancelled(cancelled) => cancelled.code(),
        }
    }
}
