//! Our own kernels as an engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nephrite_cpu::{CpuError, Network, Runner, Threads};

use crate::{EngineError, InferenceEngine, Interrupt, Provider, TileShape, check_len};

/// A network on the CPU, run by `nephrite-cpu`.
#[derive(Debug)]
pub struct CpuEngine {
    shape: TileShape,
    runner: Runner,
}

impl CpuEngine {
    /// Takes the memory for runs on these threads. Nothing needs warming up.
    ///
    /// # Errors
    /// [`EngineError::WrongLength`] if the network does not fit `shape`; [`EngineError::Run`] if there is no memory.
    pub fn build(network: &Network, threads: &Threads, shape: TileShape) -> Result<Self, EngineError> {
        check_len("network input", shape.input_len(), network.input_len())?;
        check_len("network output", shape.output_len(), network.output_len())?;
        let runner = network.runner(threads).map_err(run_error)?;
        Ok(CpuEngine { shape, runner })
    }
}

impl InferenceEngine for CpuEngine {
    fn tile_shape(&self) -> &TileShape {
        &self.shape
    }

    fn provider(&self) -> &str {
        Provider::Cpu.name()
    }

    fn run(&mut self, input: &[f32], output: &mut [f32]) -> Result<(), EngineError> {
        check_len("input tile", self.shape.input_len(), input.len())?;
        check_len("output tile", self.shape.output_len(), output.len())?;
        self.runner.run(input, output).map_err(run_error)
    }

    fn rest(&mut self) {
        self.runner.rest();
    }

    fn interrupt(&self) -> Option<Arc<dyn Interrupt>> {
        Some(Arc::new(Stopper(self.runner.stop_flag())))
    }
}

struct Stopper(Arc<AtomicBool>);

impl Interrupt for Stopper {
    fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn resume(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn run_error(error: CpuError) -> EngineError {
    EngineError::Run {
        reason: error.to_string(),
    }
}
