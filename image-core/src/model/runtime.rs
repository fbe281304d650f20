//! ONNX Runtime, and the engines that it makes.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use nephrite_engine::{
    EngineError, EngineOptions, EngineThread, InferenceEngine, LibrarySearch, OnnxRuntime, OrtEngine,
    Provider, TileShape, thread_count_from_cgroup,
};
use nephrite_nnunet::{EngineFactory, Lowering};
use nephrite_server::usable_threads;
use nephrite_types::CancelToken;

/// Which ONNX Runtime runs the networks, and how.
#[derive(Debug, Clone)]
pub struct RuntimeSettings {
    /// Where the library is looked for.
    pub library: LibrarySearch,
    /// What runs the networks; never replaced by another provider.
    pub provider: Provider,
    /// CPU threads that work on one tile, at least 1.
    pub n_threads: usize,
}

impl RuntimeSettings {
    /// The library as [`LibrarySearch::standard`] finds it; `n_threads` as the cgroup grants them unless given, and never
    /// more than that.
    ///
    /// `library` is a file or folder that the user named, `ort_dylib_path` the value of the environment variable of
    /// that name.
    pub fn new(
        provider: Provider,
        n_threads: Option<usize>,
        library: Option<PathBuf>,
        ort_dylib_path: Option<PathBuf>,
    ) -> Self {
        RuntimeSettings {
            library: LibrarySearch::standard(library, ort_dylib_path, provider),
            provider,
            n_threads: n_threads
                .and_then(NonZeroUsize::new)
                .map_or_else(thread_count_from_cgroup, usable_threads),
        }
    }
}

/// ONNX Runtime, loaded when first needed; builds the engines of all models.
#[derive(Debug)]
pub(crate) struct Runtime {
    settings: RuntimeSettings,
    /// Loaded once. A failure is not kept: the next request tries again and reports it.
    library: Mutex<Option<OnnxRuntime>>,
}

/// Tiles that may wait at an engine: enough that it never waits for the tile loop, few enough to cost little memory.
const TILE_QUEUE: usize = 2;

impl Runtime {
    pub(crate) fn new(settings: RuntimeSettings) -> Self {
        Runtime {
            settings,
            library: Mutex::new(None),
        }
    }

    /// The library, loaded now if need be.
    pub(crate) fn start(&self) -> Result<OnnxRuntime, EngineError> {
        let mut library = self.library.lock().unwrap_or_else(PoisonError::into_inner);
        match &*library {
            Some(library) => Ok(library.clone()),
            None => Ok(library.insert(OnnxRuntime::load(&self.settings.library)?).clone()),
        }
    }

    /// Version and build of the library, if it is loaded.
    pub(crate) fn build_info(&self) -> Option<&'static str> {
        let library = self.library.lock().unwrap_or_else(PoisonError::into_inner);
        library.as_ref().map(OnnxRuntime::build_info)
    }

    pub(crate) fn provider(&self) -> Provider {
        self.settings.provider
    }

    pub(crate) fn n_threads(&self) -> usize {
        self.settings.n_threads
    }
}

impl EngineFactory for Runtime {
    fn lowering(&self) -> Lowering {
        match self.settings.provider {
            Provider::Cpu => Lowering::OwnConv,
            Provider::Cuda | Provider::OpenVino => Lowering::Plain,
        }
    }

    fn build(
        &self,
        name: &str,
        onnx: Vec<u8>,
        shape: TileShape,
        cancel: &CancelToken,
    ) -> Result<EngineThread, EngineError> {
        let library = self.start()?;
        let options = EngineOptions {
            provider: self.settings.provider,
            n_threads: self.settings.n_threads,
        };
        let cancel = cancel.clone();
        EngineThread::spawn(name, TILE_QUEUE, move || {
            let engine = OrtEngine::build(&library, onnx, shape, &options, &cancel)?;
            Ok(Box::new(engine) as Box<dyn InferenceEngine>)
        })
    }
}
