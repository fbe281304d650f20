//! What the convolution refuses: arrays that do not have the length that their shape says.

use nephrite_types::{Coded, ErrorCode};

/// What can be wrong with a convolution.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvError {
    /// Only 3×3×3 and 1×3×3 are computed here.
    #[error("convolution kernel {found:?} is not supported, expected [3, 3, 3] or [1, 3, 3]")]
    Kernel {
        /// z, y, x.
        found: [usize; 3],
    },
    /// A buffer does not fit the sizes given with it.
    #[error("{what} has {found} values, expected {expected}")]
    Length {
        /// Which buffer.
        what: &'static str,
        /// Values needed; `usize::MAX` if their number overflows.
        expected: usize,
        /// Values given.
        found: usize,
    },
}

impl Coded for ConvError {
    fn code(&self) -> ErrorCode {
        match self {
            ConvError::Kernel { .. } => ErrorCode::InvalidModel,
            ConvError::Length { .. } => ErrorCode::Internal,
        }
    }
}
