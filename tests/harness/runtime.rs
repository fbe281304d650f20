//! Engines for tests: the real one, and one that plays recorded tiles.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use half::f16;
use ndarray::ArrayD;
use nephrite_engine::{
    EngineError, EngineOptions, EngineThread, FakeEngine, InferenceEngine, LibrarySearch, OnnxRuntime,
    OrtEngine, Provider, TileShape,
};
use nephrite_nnunet::{EngineFactory, Lowering};
use nephrite_types::CancelToken;

/// Networks on ONNX Runtime, CPU.
#[derive(Debug)]
pub struct OrtFactory {
    runtime: OnnxRuntime,
    lowering: Lowering,
}

impl OrtFactory {
    /// ONNX Runtime from `ORT_DYLIB_PATH`, or from the project's build folder; graphs written as `lowering` says.
    ///
    /// # Errors
    /// If it is not there; the message says what to do.
    pub fn new(lowering: Lowering) -> Result<Self> {
        let env = std::env::var_os("ORT_DYLIB_PATH").map(Into::into);
        let mut search = LibrarySearch::standard(None, env, Provider::Cpu);
        search.build_folder = Some(crate::workspace::root().join("build/onnxruntime"));
        let runtime = OnnxRuntime::load(&search)
            .context("the golden tests need ONNX Runtime: run `make onnxruntime` first")?;
        Ok(OrtFactory { runtime, lowering })
    }
}

impl EngineFactory for OrtFactory {
    fn lowering(&self) -> Lowering {
        self.lowering
    }

    fn build(
        &self,
        name: &str,
        onnx: Vec<u8>,
        shape: TileShape,
        cancel: &CancelToken,
    ) -> Result<EngineThread, EngineError> {
        let (runtime, cancel) = (self.runtime.clone(), cancel.clone());
        EngineThread::spawn(name, 2, move || {
            let options = EngineOptions::new(Provider::Cpu);
            let engine = OrtEngine::build(&runtime, onnx, shape, &options, &cancel)?;
            Ok(Box::new(engine) as Box<dyn InferenceEngine>)
        })
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
        _onnx: Vec<u8>,
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
