//! Why a runtime cannot be loaded, a session not made, or a tile not run.

use std::path::PathBuf;

use nephrite_types::{Cancelled, Coded, ErrorCode};

/// What can go wrong while a network is loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No ONNX Runtime library could be loaded.
    #[error(
        "no ONNX Runtime library could be loaded; looked at {}; run `make onnxruntime`, or name one with \
         --onnxruntime FILE or ORT_DYLIB_PATH",
        if looked_at.is_empty() { "no place at all".to_owned() } else { looked_at.join(", ") }
    )]
    LibraryNotFound {
        /// Every place tried, with the reason why it did not do.
        looked_at: Vec<String>,
    },
    /// Another ONNX Runtime library was asked for than the one that this process runs already.
    #[error(
        "ONNX Runtime is loaded from {} already, {} cannot be loaded beside it",
        loaded.display(),
        wanted.display()
    )]
    LibraryAlreadyLoaded {
        /// In use since the first load.
        loaded: PathBuf,
        /// Asked for now.
        wanted: PathBuf,
    },
    /// No execution provider has this name.
    #[error("unknown execution provider {name:?}, expected one of cpu, cuda, openvino")]
    UnknownProvider {
        /// As named by the caller.
        name: String,
    },
    /// The wanted execution provider is not in this ONNX Runtime, or does not start on this machine.
    #[error("execution provider {provider} is not available: {reason}")]
    ProviderUnavailable {
        /// As named by the caller.
        provider: String,
        /// What the runtime said.
        reason: String,
    },
    /// The runtime refused the graph.
    #[error("the network could not be loaded: {reason}")]
    Load {
        /// What the runtime said.
        reason: String,
    },
    /// The runtime failed while running a tile.
    #[error("the network failed on a tile: {reason}")]
    Run {
        /// What the runtime said.
        reason: String,
    },
    /// The graph's input or output has another shape than the plans say.
    #[error("{what} has shape {found:?}, expected {expected:?} (batch, channels, patch)")]
    WrongShape {
        /// Input or output.
        what: &'static str,
        /// Batch 1, channels or classes, patch.
        expected: Vec<usize>,
        /// As in the graph; -1 where it is open.
        found: Vec<i64>,
    },
    /// A tile of the wrong length.
    #[error("{what} has {found} values, expected {expected}")]
    WrongLength {
        /// Which buffer.
        what: &'static str,
        /// Values needed.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// A card, its libraries, or a network on it.
    #[error(transparent)]
    Cuda(#[from] nephrite_cuda::CudaError),
    /// Stopped from outside while it was being built.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The thread that owned the engine has ended (it panicked, or the model was unloaded).
    #[error("the engine has stopped")]
    Stopped,
}

impl Coded for EngineError {
    fn code(&self) -> ErrorCode {
        match self {
            EngineError::UnknownProvider { .. } => ErrorCode::InvalidArgument,
            EngineError::LibraryNotFound { .. }
            | EngineError::LibraryAlreadyLoaded { .. }
            | EngineError::ProviderUnavailable { .. }
            | EngineError::Run { .. } => ErrorCode::Environment,
            EngineError::Load { .. } | EngineError::WrongShape { .. } => ErrorCode::InvalidModel,
            EngineError::WrongLength { .. } | EngineError::Stopped => ErrorCode::Internal,
            EngineError::Cuda(error) => error.code(),
            EngineError::Cancelled(cancelled) => cancelled.code(),
        }
    }
}
