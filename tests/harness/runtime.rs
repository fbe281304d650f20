//! Engines for tests: the real one, and one that plays recorded tiles.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use half::f16;
use ndarray::ArrayD;
use nephrite_cpu::{CpuOptions, Level, Threads};
use nephrite_cuda::{Card, Precision};
use nephrite_engine::{
    CpuEngine, CudaEngine, EngineError, EngineOptions, EngineThread, FakeEngine, InferenceEngine,
    LibrarySearch, OnnxRuntime, OrtEngine, Provider, TileShape, thread_count_from_cgroup,
};
use nephrite_nnunet::{CpuKernels, CudaKernels, EngineFactory, EngineNetwork, Kernels};
use nephrite_types::CancelToken;

/// What runs the networks of a test, on the CPU.
#[derive(Debug)]
pub enum Factory {
    /// Our own kernels.
    Own(CpuKernels),
    /// Our own kernels on a card, or on the twin of one.
    Cuda(CudaKernels),
    /// ONNX Runtime, as for the other providers.
    OnnxRuntime(OnnxRuntime),
}

impl Factory {
    /// Our own kernels with these instructions, on all threads.
    ///
    /// # Errors
    /// If there are no threads.
    pub fn own(level: Level) -> Result<Self> {
        let options = CpuOptions {
            level,
            ..CpuOptions::best()
        };
        Ok(Factory::Own(CpuKernels {
            options,
            threads: Threads::new(thread_count_from_cgroup(), false)?,
        }))
    }

    /// Our own kernels on the twin of a card.
    pub fn twin(precision: Precision) -> Self {
        Factory::Cuda(CudaKernels {
            card: Card::twin(0, 4 << 30),
            precision,
            half_check: None,
        })
    }

    /// ONNX Runtime from `ORT_DYLIB_PATH`, or from the project's build folder.
    ///
    /// # Errors
    /// If it is not there; the message says what to do.
    pub fn onnxruntime() -> Result<Self> {
        let env = std::env::var_os("ORT_DYLIB_PATH").map(Into::into);
        let mut search = LibrarySearch::standard(None, env, Provider::Cpu);
        search.build_folder = Some(crate::workspace::root().join("build/onnxruntime"));
        let runtime = OnnxRuntime::load(&search)
            .context("the golden tests need ONNX Runtime: run `make onnxruntime` first")?;
        Ok(Factory::OnnxRuntime(runtime))
    }

    /// For tables.
    pub fn name(&self) -> String {
        match self {
            Factory::Own(kernels) => format!("own, {}", kernels.options.level),
            Factory::Cuda(kernels) => format!("{}, {:?}", kernels.card.info().name, kernels.precision),
            Factory::OnnxRuntime(_) => "ONNX Runtime".to_owned(),
        }
    }
}

impl EngineFactory for Factory {
    fn kernels(&self) -> Result<Kernels, EngineError> {
        Ok(match self {
            Factory::Own(kernels) => Kernels::Cpu(kernels.clone()),
            Factory::Cuda(kernels) => Kernels::Cuda(kernels.clone()),
            Factory::OnnxRuntime(_) => Kernels::OnnxRuntime,
        })
    }

    fn build(
        &self,
        name: &str,
        network: EngineNetwork,
        shape: TileShape,
        cancel: &CancelToken,
    ) -> Result<EngineThread, EngineError> {
        let cancel = cancel.clone();
        match (self, network) {
            (Factory::Own(kernels), EngineNetwork::Cpu(network)) => {
                let threads = kernels.threads.clone();
                EngineThread::spawn(name, 2, move || {
                    let engine = CpuEngine::build(&network, &threads, shape)?;
                    Ok(Box::new(engine) as Box<dyn InferenceEngine>)
                })
            }
            (Factory::Cuda(_), EngineNetwork::Cuda(network)) => EngineThread::spawn(name, 2, move || {
                let engine = CudaEngine::build(network, shape)?;
                Ok(Box::new(engine) as Box<dyn InferenceEngine>)
            }),
            (Factory::OnnxRuntime(runtime), EngineNetwork::Onnx(onnx)) => {
                let runtime = runtime.clone();
                EngineThread::spawn(name, 2, move || {
                    let options = EngineOptions::new(Provider::Cpu);
                    let engine = OrtEngine::build(&runtime, onnx, shape, &options, &cancel)?;
                    Ok(Box::new(engine) as Box<dyn InferenceEngine>)
                })
            }
            (_, network) => panic!("a network for another runtime: {network:?}"),
        }
    }
}

/// One tile and what the network made of it.
#[derive(Debug, Clone)]
pub struct RecordedTile {
    /// `[channel, patch…]`, mirrored already.
    pub input: Vec<f32>,
    /// `[class, patch…]`.
    pub output: ArrayD<f16>,
}

/// A network that knows the recorded tiles only, by their content.
#[derive(Debug, Clone)]
pub struct ReplayFactory {
    /// In any order.
    pub tiles: Arc<Vec<RecordedTile>>,
    /// How far an input may be from a recorded one and still count as that one.
    pub tolerance: f32,
}

impl EngineFactory for ReplayFactory {
    fn build(
        &self,
        name: &str,
        _network: EngineNetwork,
        shape: TileShape,
        _cancel: &CancelToken,
    ) -> Result<EngineThread, EngineError> {
        let ReplayFactory { tiles, tolerance } = self.clone();
        EngineThread::spawn(name, 2, move || {
            let engine = FakeEngine::scripted(shape, move |input, output| {
                let near = |tile: &&RecordedTile| {
                    input
                        .iter()
                        .zip(&tile.input)
                        .all(|(a, b)| (a - b).abs() <= tolerance)
                };
                match tiles.iter().find(near) {
                    Some(tile) => output
                        .iter_mut()
                        .zip(&tile.output)
                        .for_each(|(o, v)| *o = v.to_f32()),
                    // engines are warmed up with some constant tile
                    None if input.iter().all(|&v| v == input[0]) => output.fill(0.0),
                    None => {
                        let reason = "this tile was not recorded".to_owned();
                        return Err(EngineError::Run { reason });
                    }
                }
                Ok(())
            });
            Ok(Box::new(engine) as Box<dyn InferenceEngine>)
        })
    }
}
