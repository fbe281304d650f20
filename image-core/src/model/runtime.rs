//! What runs the networks: our own kernels on the CPU and on NVIDIA cards, or ONNX Runtime, and the engines that they make.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use nephrite_cpu::{CpuError, CpuOptions, Level, Threads};
use nephrite_engine::{
    CpuEngine, CudaEngine, EngineError, EngineOptions, EngineThread, InferenceEngine, LibrarySearch,
    OnnxRuntime, OrtEngine, Provider, TileShape, card_precision, cpu_precision, precisions,
    thread_count_from_cgroup,
};
use nephrite_nnunet::{CpuKernels, CudaKernels, EngineFactory, EngineNetwork, Kernels, NetworkRuntime};
use nephrite_server::usable_threads;
use nephrite_types::{CancelToken, Precision};

use super::cards::Cards;
use super::{CudaSettings, ModelChoice, OpenModel};
use crate::error::CoreError;
use crate::memory::{CUDA_BYTES, ONNX_RUNTIME_BYTES, PROCESS_BYTES};

/// How our own kernels compute on the CPU, which run the networks that nephrite builds on provider `cpu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuSettings {
    /// The best of this processor if `None`.
    pub instructions: Option<Level>,
    /// Each thread of the networks stays on one core of those that the process may use.
    pub pin_threads: bool,
}

impl CpuSettings {
    /// As the kernels take it.
    pub fn options(&self, precision: nephrite_cpu::Precision) -> CpuOptions {
        CpuOptions {
            level: self.instructions.unwrap_or_else(Level::best),
            precision,
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
    /// In what they compute, unless a model is asked for in another precision; what the provider takes if `None`: f32, or half on
    /// NVIDIA cards.
    pub precision: Option<Precision>,
    /// CPU threads that work on one tile, at least 1.
    pub n_threads: usize,
    /// How our own kernels compute on the CPU; the default with any other provider than `cpu`.
    pub cpu: CpuSettings,
    /// How cards run networks, with provider `cuda`.
    pub cuda: CudaSettings,
    /// Networks that run at once on one card.
    pub max_networks: usize,
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
            precision: None,
            n_threads: n_threads
                .and_then(NonZeroUsize::new)
                .map_or_else(thread_count_from_cgroup, usable_threads),
            cpu: CpuSettings::default(),
            cuda: CudaSettings::default(),
            max_networks: 1,
        }
    }

    /// With so many networks at once on one card.
    #[must_use]
    pub(crate) fn with_networks(self, max_networks: usize) -> Self {
        RuntimeSettings { max_networks, ..self }
    }

    /// What the process holds besides its requests. An exported graph on provider `cpu` or `cuda` loads ONNX Runtime too, which the
    /// guess of such a network covers.
    pub(crate) fn process_bytes(&self) -> u64 {
        match self.provider {
            Provider::Cpu => PROCESS_BYTES,
            Provider::Cuda => PROCESS_BYTES + CUDA_BYTES,
            Provider::OpenVino => PROCESS_BYTES + ONNX_RUNTIME_BYTES,
        }
    }

    /// In what networks compute, unless a model is asked for in another precision.
    pub(crate) fn precision(&self) -> Precision {
        self.precision.unwrap_or(precisions(self.provider)[0])
    }

    /// Refuses settings that no network can be run with here. For programs, before they read anything.
    ///
    /// # Errors
    /// [`CoreError::Field`] if what one provider has is set up for another; [`CoreError::Cpu`] if this processor lacks what our
    /// own kernels need.
    pub fn check(&self) -> Result<(), CoreError> {
        self.check_precision(self.precision())?;
        self.check_cuda()?;
        let CpuSettings {
            instructions,
            pin_threads,
        } = self.cpu;
        if self.provider == Provider::Cpu {
            return Ok(());
        }
        let (field, expected, found) = if let Some(level) = instructions {
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

    /// Refuses cards for another provider, and a share that is none.
    fn check_cuda(&self) -> Result<(), CoreError> {
        let CudaSettings {
            devices, half_check, ..
        } = &self.cuda;
        if self.provider != Provider::Cuda && *devices != CudaSettings::default().devices {
            let names: Vec<String> = devices.iter().map(ToString::to_string).collect();
            return Err(CoreError::Field {
                field: "devices",
                expected: "none with any provider but cuda",
                found: names.join(","),
            });
        }
        let share = half_check.map_or(1.0, |check| check.min_agreement);
        if (0.0..=1.0).contains(&share) {
            return Ok(());
        }
        Err(CoreError::Field {
            field: "half_agreement",
            expected: "0 to 1",
            found: share.to_string(),
        })
    }

    /// Refuses a precision that this provider, or this processor, does not have.
    fn check_precision(&self, precision: Precision) -> Result<(), CoreError> {
        if precisions(self.provider).contains(&precision) {
            return match cpu_precision(precision) {
                Some(precision) if self.provider == Provider::Cpu => {
                    Ok(nephrite_cpu::check(self.cpu.options(precision))?)
                }
                _ => Ok(()),
            };
        }
        Err(CoreError::Field {
            field: "precision",
            expected: precisions_of(self.provider),
            found: precision.to_string(),
        })
    }
}

/// What a provider computes in, for messages.
pub(crate) fn precisions_of(provider: Provider) -> &'static str {
    match provider {
        Provider::Cpu => "f32 or bf16 with provider cpu",
        Provider::Cuda => "half, tf32 or f32 with provider cuda",
        Provider::OpenVino => "f32 with provider openvino",
    }
}

/// Builds the engines of all models. ONNX Runtime is loaded, cards are opened, and the threads of our own kernels are started, when
/// first needed.
#[derive(Debug)]
pub(crate) struct Runtime {
    settings: RuntimeSettings,
    /// Loaded once. A failure is not kept: the next request tries again and reports it.
    library: Mutex<Option<OnnxRuntime>>,
    /// Those of our own kernels, for all networks; started when first needed.
    threads: Mutex<Option<Threads>>,
    /// Opened once, by one. A failure is not kept either.
    cards: OnceLock<Cards>,
    opening: Mutex<()>,
}

/// Tiles that may wait at an engine: enough that it never waits for the tile loop, few enough to cost little memory.
const TILE_QUEUE: usize = 2;

impl Runtime {
    pub(crate) fn new(settings: RuntimeSettings) -> Self {
        Runtime {
            settings,
            library: Mutex::new(None),
            threads: Mutex::new(None),
            cards: OnceLock::new(),
            opening: Mutex::new(()),
        }
    }

    /// As [`RuntimeSettings::process_bytes`].
    pub(crate) fn process_bytes(&self) -> u64 {
        self.settings.process_bytes()
    }

    /// Starts what runs every network of this provider: our own kernels on `cpu` and `cuda`, ONNX Runtime on any other.
    pub(crate) fn start(&self) -> Result<(), CoreError> {
        self.settings.check()?;
        match self.settings.provider {
            Provider::Cpu => drop(self.threads()?),
            Provider::Cuda => drop(self.cards()?),
            Provider::OpenVino => drop(self.library()?),
        }
        Ok(())
    }

    /// Starts what runs this model, so that what is missing is named as such, and not as a fault of the model.
    pub(crate) fn start_for(&self, model: &OpenModel) -> Result<(), CoreError> {
        self.check_for(model)?;
        match (self.settings.provider, self.has_kernels_for(model)) {
            (Provider::Cuda, true) => drop(self.cards()?),
            (_, true) => drop(self.threads()?),
            (_, false) => drop(self.library()?),
        }
        Ok(())
    }

    /// Refuses a model that cannot be run as it should. Starts nothing.
    pub(crate) fn check_for(&self, model: &OpenModel) -> Result<(), CoreError> {
        self.settings.check()?;
        self.settings.check_precision(self.precision_of(&model.choice))?;
        // An exported network computes as it says, which is f32.
        let asked = model.choice.precision.or(self.settings.precision);
        let Some(precision) = asked.filter(|asked| *asked != Precision::F32) else {
            return Ok(());
        };
        if self.has_kernels_for(model) {
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
        self.settings.provider != Provider::OpenVino && model.description.network_is_built_in
    }

    /// True if this model runs on a card with our own kernels.
    pub(crate) fn is_on_card(&self, model: &OpenModel) -> bool {
        self.settings.provider == Provider::Cuda && self.has_kernels_for(model)
    }

    /// What runs this model, with versions: instructions of our own kernels, a card with its libraries, or the build of ONNX Runtime.
    pub(crate) fn versions_for(&self, model: &OpenModel) -> Vec<(&'static str, String)> {
        if !self.has_kernels_for(model) {
            let build = self.build_info().map(|info| ("onnxruntime", info.to_owned()));
            return build.into_iter().collect();
        }
        match self.cards.get() {
            Some(cards) if self.is_on_card(model) => cards.versions(),
            _ => {
                let options = self.settings.cpu.options(nephrite_cpu::Precision::default());
                vec![("kernels", options.level.name().to_owned())]
            }
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

    /// The cards, opened now if need be.
    pub(crate) fn cards(&self) -> Result<&Cards, EngineError> {
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cards) = self.cards.get() {
            return Ok(cards);
        }
        let cards = Cards::open(&self.settings.cuda, self.settings.max_networks)?;
        Ok(self.cards.get_or_init(|| cards))
    }

    /// The cards, if they are open.
    pub(crate) fn open_cards(&self) -> Option<&Cards> {
        self.cards.get()
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

    /// In what the networks of a model compute, as far as the model can be run so.
    pub(crate) fn precision_of(&self, choice: &ModelChoice) -> Precision {
        choice.precision.unwrap_or_else(|| self.settings.precision())
    }

    /// What runs the networks that nephrite builds; what these take is said for it.
    pub(crate) fn networks(&self, precision: Precision) -> NetworkRuntime {
        match (
            self.settings.provider,
            cpu_precision(precision),
            card_precision(precision),
        ) {
            (Provider::Cpu, precision, _) => NetworkRuntime::Kernels {
                options: self.settings.cpu.options(precision.unwrap_or_default()),
                n_threads: self.settings.n_threads,
            },
            (Provider::Cuda, _, precision) => NetworkRuntime::Cuda {
                precision: precision.unwrap_or_default(),
            },
            (Provider::OpenVino, ..) => NetworkRuntime::OnnxRuntime,
        }
    }

    /// What makes the engines of a model: `card` is the one that it goes to, if it goes to one; whether networks in half precision must
    /// show what they can.
    pub(crate) fn factory(
        &self,
        precision: Precision,
        card: Option<usize>,
        checks_half: bool,
    ) -> impl EngineFactory {
        Factory {
            runtime: self,
            precision,
            card,
            checks_half,
        }
    }

    /// How cards run networks.
    pub(crate) fn cuda(&self) -> &CudaSettings {
        &self.settings.cuda
    }

    pub(crate) fn provider(&self) -> Provider {
        self.settings.provider
    }

    /// In what a model computed that was not on a card with our own kernels: an exported network on `cuda` computes as it says.
    pub(crate) fn precision_without_card(&self, choice: &ModelChoice) -> Precision {
        match self.settings.provider {
            Provider::Cuda => Precision::F32,
            Provider::Cpu | Provider::OpenVino => self.precision_of(choice),
        }
    }

    /// True if a model whose numbers do not fit half precision may run in f32.
    pub(crate) fn may_fall_back(&self) -> bool {
        let check = self.settings.cuda.half_check;
        check.is_some_and(|check| check.otherwise == nephrite_nnunet::Otherwise::Single)
    }

    pub(crate) fn n_threads(&self) -> usize {
        self.settings.n_threads
    }
}

/// Makes the engines of a model.
struct Factory<'r> {
    runtime: &'r Runtime,
    precision: Precision,
    card: Option<usize>,
    checks_half: bool,
}

impl EngineFactory for Factory<'_> {
    fn kernels(&self) -> Result<Kernels, EngineError> {
        let Runtime { settings, .. } = self.runtime;
        match (settings.provider, self.card) {
            (Provider::Cpu, _) => {
                let threads = self.runtime.threads().map_err(|error| EngineError::Run {
                    reason: error.to_string(),
                })?;
                let precision = cpu_precision(self.precision).unwrap_or_default();
                let options = settings.cpu.options(precision);
                Ok(Kernels::Cpu(CpuKernels { options, threads }))
            }
            (Provider::Cuda, Some(at)) => Ok(Kernels::Cuda(CudaKernels {
                card: self.runtime.cards()?.card(at).clone(),
                precision: card_precision(self.precision).unwrap_or_default(),
                half_check: settings.cuda.half_check.filter(|_| self.checks_half),
            })),
            (Provider::Cuda, None) | (Provider::OpenVino, _) => Ok(Kernels::OnnxRuntime),
        }
    }

    fn build(
        &self,
        name: &str,
        network: EngineNetwork,
        shape: TileShape,
        cancel: &CancelToken,
    ) -> Result<EngineThread, EngineError> {
        let cancel = cancel.clone();
        match (network, self.kernels()?) {
            (EngineNetwork::Cpu(network), Kernels::Cpu(CpuKernels { threads, .. })) => {
                EngineThread::spawn(name, TILE_QUEUE, move || {
                    let engine = CpuEngine::build(&network, &threads, shape)?;
                    Ok(Box::new(engine) as Box<dyn InferenceEngine>)
                })
            }
            (EngineNetwork::Cpu(_), _) => Err(EngineError::Load {
                reason: "made for the CPU, but another provider runs networks here".to_owned(),
            }),
            (EngineNetwork::Cuda(network), _) => EngineThread::spawn(name, TILE_QUEUE, move || {
                let engine = CudaEngine::build(network, shape)?;
                Ok(Box::new(engine) as Box<dyn InferenceEngine>)
            }),
            (EngineNetwork::Onnx(onnx), _) => {
                let library = self.runtime.library()?;
                let options = EngineOptions {
                    provider: self.runtime.settings.provider,
                    n_threads: self.runtime.settings.n_threads,
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
    use nephrite_nnunet::HalfCheck;

    use super::*;

    #[test]
    fn libraries_are_counted_where_they_run_all_networks() {
        let of = |provider| RuntimeSettings::new(provider, None, None, None).process_bytes();
        assert_eq!(of(Provider::OpenVino) - of(Provider::Cpu), ONNX_RUNTIME_BYTES);
        assert_eq!(of(Provider::Cuda) - of(Provider::Cpu), CUDA_BYTES);
    }

    #[test]
    fn cards_of_another_provider_and_a_share_that_is_none_are_refused() {
        let with = |provider, cuda| RuntimeSettings {
            cuda,
            ..RuntimeSettings::new(provider, None, None, None)
        };
        let two = CudaSettings {
            devices: vec![super::super::Device(0), super::super::Device(1)],
            ..CudaSettings::default()
        };
        assert!(with(Provider::Cuda, two.clone()).check().is_ok());
        let error = with(Provider::Cpu, two).check().unwrap_err();
        assert!(error.to_string().contains("cuda:0,cuda:1"), "{error}");
        let share = |min_agreement| CudaSettings {
            half_check: Some(HalfCheck {
                min_agreement,
                ..HalfCheck::default()
            }),
            ..CudaSettings::default()
        };
        assert!(with(Provider::Cuda, share(1.0)).check().is_ok());
        assert!(with(Provider::Cuda, share(f64::NAN)).check().is_err());
        assert!(with(Provider::Cuda, share(1.01)).check().is_err());
    }

    #[test]
    fn a_precision_that_the_provider_lacks_is_refused_by_name() {
        let with = |provider, precision| RuntimeSettings {
            precision: Some(precision),
            ..RuntimeSettings::new(provider, None, None, None)
        };
        for (provider, precision) in [
            (Provider::Cpu, Precision::Half),
            (Provider::Cpu, Precision::Tf32),
            (Provider::Cuda, Precision::Bf16),
            (Provider::OpenVino, Precision::Half),
        ] {
            let error = with(provider, precision).check().unwrap_err().to_string();
            assert!(
                error.contains(precision.name()) && error.contains(provider.name()),
                "{error}"
            );
        }
        for precision in [Precision::F32, Precision::Tf32, Precision::Half] {
            with(Provider::Cuda, precision).check().unwrap();
        }
    }
}
