//! What can go wrong.

use nephrite_types::{Coded, ErrorCode};

/// Why a network cannot be run on the CPU.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CpuError {
    /// The processor has no such instructions.
    #[error("instructions {level:?} are not there on this processor")]
    LevelMissing {
        /// As [`crate::Level::name`] gives it.
        level: &'static str,
    },
    /// No such level.
    #[error("unknown instructions {name:?}: avx512, avx2, neon, portable")]
    UnknownLevel {
        /// What was asked for.
        name: String,
    },
    /// The processor cannot compute in this precision.
    #[error(
        "precision {precision:?} is not there: it needs a processor with AVX-512 BF16, and instructions avx512"
    )]
    PrecisionMissing {
        /// As [`crate::Precision::name`] gives it.
        precision: &'static str,
    },
    /// No such precision.
    #[error("unknown precision {name:?}: f32, bf16")]
    UnknownPrecision {
        /// What was asked for.
        name: String,
    },
    /// A layer, or the way it is used, is not one that a U-Net has.
    #[error("layer {layer:?}: {reason}")]
    Unsupported {
        /// Name of the layer.
        layer: String,
        /// What is missing.
        reason: &'static str,
    },
    /// A tensor or buffer of the wrong length.
    #[error("{what}: {found} values, expected {expected}")]
    Length {
        /// Which.
        what: String,
        /// Values that it should have.
        expected: usize,
        /// Values that it has.
        found: usize,
    },
    /// The memory for weights or values cannot be had.
    #[error("{bytes} bytes of memory cannot be had: {reason}")]
    Memory {
        /// That were asked for.
        bytes: usize,
        /// What the system said.
        reason: String,
    },
    /// No thread can be started.
    #[error("no threads for the network: {reason}")]
    Threads {
        /// What the system said.
        reason: String,
    },
    /// The run was told to stop.
    #[error("stopped")]
    Stopped,
}

impl Coded for CpuError {
    fn code(&self) -> ErrorCode {
        match self {
            CpuError::UnknownLevel { .. } | CpuError::UnknownPrecision { .. } => ErrorCode::InvalidArgument,
            CpuError::LevelMissing { .. }
            | CpuError::PrecisionMissing { .. }
            | CpuError::Memory { .. }
            | CpuError::Threads { .. } => ErrorCode::Environment,
            CpuError::Unsupported { .. } => ErrorCode::InvalidModel,
            CpuError::Length { .. } | CpuError::Stopped => ErrorCode::Internal,
        }
    }
}
