use nephrite_types::ErrorCode;

/// What can go wrong while a network is loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No ONNX Runtime library could be loaded.
    #[error(
        "no ONNX Runtime library could be loaded; looked at {}; run `make onnxruntime`, or name one with \
         --onnxruntime FILE or ORT_DYLIB_PATH",
        looked_at.join(", ")
    )]
    LibraryNotFound {
        /// Every place tried, with the reason why it did not do.
        looked_at: Vec<String>,
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
    /// A tile of the wrong length, or a graph whose input or output has another shape than announced.
    #[error("{what} has {found} values, expected {expected}")]
    WrongLength {
        /// Which buffer.
        what: &'static str,
        /// Values needed.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// The thread that owned the engine has ended (it panicked, or the model was unloaded).
    #[error("the engine has stopped")]
    Stopped,
}

impl EngineError {
    /// How a caller can act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            EngineError::LibraryNotFound { .. } | EngineError::ProviderUnavailable { .. } => ErrorCode::Environment,
            EngineError::Load { .. } => ErrorCode::InvalidModel,
            EngineError::Run { .. } => ErrorCode::Environment,
            EngineError::WrongLength { .. } | EngineError::Stopped => ErrorCode::Internal,
        }
    }
}
