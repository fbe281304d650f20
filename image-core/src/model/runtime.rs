//! What runs the networks: our own kernels or ONNX Runtime, and the engines that they make.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use nephrite_cpu::{CpuError, CpuOptions, Level, Precision, Threads};
use nephrite_engine::{
    CpuEngine, EngineError, EngineOptions, EngineThread, InferenceEngine, LibrarySearch, OnnxRuntime,
    OrtEngine, Provider, TileShape, thread_count_from_cgroup,
};
use nephrite_nnunet::{CpuKernels, EngineFactory, EngineNetwork, NetworkRuntime};
use nephrite_server::usable_threads;
use nephrite_types::CancelToken;

use super::OpenModel;
use crate::error::CoreError;
use crate::memory::{ONNX_RUNTIME_BYTES, PROCESS_BYTES};

/// How our own kernels compute, which run the networks that nephrite builds on provider `cpu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuSettings {
    /// In what the factors of the products are held.
    pub precision: Precision,
    /// The best of this processor if `None`.
    pub instructions: Option<Level>,
    /// Each thread of the networks stays on one core of those that the process may use.
    pub pin_threads: bool,
}

impl CpuSettings {
    /// As the kernels take it.
    pub fn options(&self) -> CpuOptions {
        CpuOptions {
            level: self.instructions.unwrap_or_else(Level::best),
            precision: self.precision,
        }
    }
}

/// What runs the networks, and how.
#[derive(Debug, Clone)]
pub struct RuntimeSettings {
    /// Where the library is looked for.
    pub library: LibrarySearch,
    /// What runs the networks; never replaced by another provider.
    pub provider: Provider,
    /// CPU threads that work on one tile, at least 1.
    pub n_threads: usize,
    /// How our own kernels compute; the default with any other provider than `cpu`.
    pub cpu: CpuSettings,
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
            cpu: CpuSettings::default(),
        }
    }

    /// What the process holds besides its requests. An exported graph on provider `cpu` loads ONNX Runtime too, which the guess
    /// of such a network covers.
    pub(crate) fn process_bytes(&self) -> u64 {
        match self.provider {
            Provider::Cpu => PROCESS_BYTES,
            _ => PROCESS_BYTES + ONNX_RUNTIME_BYTES,
        }
    }

    /// Refuses settings that no network can be run with here. For programs, before they read anything.
    ///
    /// # Errors
    /// [`CoreError::Field`] if our own kernels are set up, and another provider runs the networks; [`CoreError::Cpu`] if this
    /// processor lacks what they need.
    pub fn check(&self) -> Result<(), CoreError> {
        let CpuSettings {
            precision,
            instructions,
            pin_threads,
        } = self.cpu;
        if self.provider == Provider::Cpu {
            return Ok(nephrite_cpu::check(self.cpu.options())?);
        }
        let (field, expected, found) = if precision != Precision::default() {
            let expected = "f32 with any provider but cpu";
            ("precision", expected, precision.to_string())
        } else if let Some(level) = instructions {
            let expected = "none with any provider but cpu";
            ("instructions", expected, level.to_string())
        } else if pin_threads {
            let expected = "false with any provider but cpu";
            ("pin_threads", expected, pin_threads.to_string())
        } else {
            return Ok(());
        };
        Err(CoreError::Field {
            field,
            expected,
            found,
        })
    }
}

/// Builds the engines of all models. ONNX Runtime is loaded, and the threads of our own kernels are started, when first needed.
#[derive(Debug)]
pub(crate) struct Runtime {
    settings: RuntimeSettings,
    /// Loaded once. A failure is not kept: the next request tries again and reports it.
    library: Mutex<Option<OnnxRuntime>>,
    /// Those of our own kernels, for all networks; started when first needed.
    threads: Mutex<Option<Threads>>,
}

/// Tiles that may wait at an engine: enough that it never waits for the tile loop, few enough to cost little memory.
const TILE_QUEUE: usize = 2;

impl Runtime {
    pub(crate) fn new(settings: RuntimeSettings) -> Self {
        Runtime {
            settings,
            library: Mutex::new(None),
            threads: Mutex::new(None),
        }
    }

    /// As [`RuntimeSettings::process_bytes`].
    pub(crate) fn process_bytes(&self) -> u64 {
        self.settings.process_bytes()
    }

    /// Starts what runs every network of this provider: our own kernels on `cpu`, ONNX Runtime on any other.
    pub(crate) fn start(&self) -> Result<(), CoreError> {
        self.settings.check()?;
        match self.settings.provider {
            Provider::Cpu => drop(self.threads()?),
            _ => drop(self.library()?),
        }
        Ok(())
    }

    /// Starts what runs this model, so that what is missing is named as such, and not as a fault of the model.
    pub(crate) fn start_for(&self, model: &OpenModel) -> Result<(), CoreError> {
        self.check_for(model)?;
        match self.has_kernels_for(model) {
            true => drop(self.threads()?),
            false => drop(self.library()?),
        }
        Ok(())
    }

    /// Refuses a model that cannot be run as the settings say. Starts nothing.
    pub(crate) fn check_for(&self, model: &OpenModel) -> Result<(), CoreError> {
        self.settings.check()?;
        let precision = self.settings.cpu.precision;
        if precision == Precision::default() || self.has_kernels_for(model) {
            return Ok(());
        }
        Err(CoreError::PrecisionOfExported {
            precision: precision.name(),
            network: model.description.network.clone(),
            model: model.choice.folder.clone(),
        })
    }

    /// True if our own kernels run this model; ONNX Runtime runs all others.
    fn has_kernels_for(&self, model: &OpenModel) -> bool {
        self.settings.provider == Provider::Cpu && model.description.network_is_built_in
    }

    /// What runs this model, with its version: instructions of our own kernels, or the build of the library.
    pub(crate) fn version_for(&self, model: &OpenModel) -> Option<(&'static str, &'static str)> {
        match self.has_kernels_for(model) {
            true => Some(("kernels", self.settings.cpu.options().level.name())),
            false => Some(("onnxruntime", self.build_info()?)),
        }
    }

    /// The threads of our own kernels, started now if need be.
    fn threads(&self) -> Result<Threads, CpuError> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        match &*threads {
            Some(threads) => Ok(threads.clone()),
            None => {
                let started = Threads::new(self.settings.n_threads, self.settings.cpu.pin_threads)?;
                Ok(threads.insert(started).clone())
            }
        }
    }

    /// The library, loaded now if need be.
    fn library(&self) -> Result<OnnxRuntime, EngineError> {
        let mut library = self.library.lock().unwrap_or_else(PoisonError::into_inner);
        match &*library {
            Some(library) => Ok(library.clone()),
            None => Ok(library.insert(OnnxRuntime::load(&self.settings.library)?).clone()),
        }
    }

    /// Version and build of the library, if it is loaded.
    fn build_info(&self) -> Option<&'static str> {
        let library = self.library.lock().unwrap_or_else(PoisonError::into_inner);
        library.as_ref().map(OnnxRuntime::build_info)
    }

    /// What runs the networks that nephrite builds, as the settings say; what these take is said for it.
    pub(crate) fn networks(&self) -> NetworkRuntime {
        match self.settings.provider {
            Provider::Cpu => NetworkRuntime::Kernels {
                options: self.settings.cpu.options(),
                n_threads: self.settings.n_threads,
            },
            Provider::Cuda | Provider::OpenVino => NetworkRuntime::OnnxRuntime,
        }
    }

    pub(crate) fn provider(&self) -> Provider {
        self.settings.provider
    }

    pub(crate) fn precision(&self) -> Precision {
        self.settings.cpu.precision
    }

    pub(crate) fn n_threads(&self) -> usize {
        self.settings.n_threads
    }
}

impl EngineFactory for Runtime {
    fn cpu_kernels(&self) -> Result<Option<CpuKernels>, EngineError> {
        if self.settings.provider != Provider::Cpu {
            return Ok(None);
        }
        let threads = self.threads().map_err(|error| EngineError::Run {
            reason: error.to_string(),
        })?;
        Ok(Some(CpuKernels {
            options: self.settings.cpu.options(),
            threads,
        }))
    }

    fn build(
        &self,
        name: &str,
        network: EngineNetwork,
        shape: TileShape,
        cancel: &CancelToken,
    ) -> Result<EngineThread, EngineError> {
        let cancel = cancel.clone();
        match (network, self.cpu_kernels()?) {
            (EngineNetwork::Cpu(network), Some(CpuKernels { threads, .. })) => {
                EngineThread::spawn(name, TILE_QUEUE, move || {
                    let engine = CpuEngine::build(&network, &threads, shape)?;
                    Ok(Box::new(engine) as Box<dyn InferenceEngine>)
                })
            }
            (EngineNetwork::Cpu(_), None) => Err(EngineError::Load {
                reason: "made for the CPU, but another provider runs networks here".to_owned(),
            }),
            (EngineNetwork::Onnx(onnx), _) => {
                let library = self.library()?;
                let options = EngineOptions {
                    provider: self.settings.provider,
                    n_threads: self.settings.n_threads,
                };
                EngineThread::spawn(name, TILE_QUEUE, move || {
                    let engine = OrtEngine::build(&library, onnx, shape, &options, &cancel)?;
                    Ok(Box::new(engine) as Box<dyn InferenceEngine>)
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_of_onnx_runtime_is_counted_where_it_runs_all_networks() {
        let of = |provider| RuntimeSettings::new(provider, None, None, None).process_bytes();
        assert_eq!(of(Provider::OpenVino) - of(Provider::Cpu), ONNX_RUNTIME_BYTES);
        assert_eq!(of(Provider::Cuda), of(Provider::OpenVino));
    }
}
