use std::sync::{Mutex, PoisonError};

use nephrite_engine::{EngineError, EngineThread, LibrarySearch, OnnxRuntime, OrtEngine, Provider, TileShape};
use nephrite_nnunet::EngineFactory;

/// Which ONNX Runtime runs the networks, and how.
#[derive(Debug, Clone)]
pub struct RuntimeSettings {
    /// Where the library is looked for.
    pub library: LibrarySearch,
    /// The execution provider; never replaced by another one.
    pub provider: Provider,
    /// CPU threads of the network.
    pub threads: usize,
}

/// ONNX Runtime, loaded when first needed.
#[derive(Debug)]
pub(crate) struct Runtime {
    settings: RuntimeSettings,
    /// Loaded at most once; a failure is not remembered, so that a later request reports it again.
    library: Mutex<Option<OnnxRuntime>>,
}
