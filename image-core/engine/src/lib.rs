//! The inference engine: one small synchronous trait; our own kernels for CPUs and NVIDIA cards, and ONNX Runtime behind it, a scripted fake for
//! tests.
//!
//! An engine runs one network on one tile at a time. It is owned by one thread ([`EngineThread`]); everybody else
//! holds an [`EngineHandle`] and sends tiles over a bounded channel. This is the only crate that knows `ort`.

mod cpu_engine;
mod cuda_engine;
mod engine;
mod error;
#[cfg(any(test, feature = "test-util"))]
mod fake;
#[cfg(feature = "onnxruntime")]
mod library;
#[cfg(feature = "onnxruntime")]
mod ort_engine;
mod precision;
mod provider;
#[cfg(feature = "onnxruntime")]
mod stoppable;
mod thread;
mod thread_count;

pub use cpu_engine::CpuEngine;
pub use cuda_engine::CudaEngine;
pub use engine::{InferenceEngine, Interrupt, TileShape};
pub use error::EngineError;
#[cfg(any(test, feature = "test-util"))]
pub use fake::FakeEngine;
#[cfg(feature = "onnxruntime")]
pub use library::{LibrarySearch, OnnxRuntime};
#[cfg(feature = "onnxruntime")]
pub use ort_engine::{EngineOptions, OrtEngine};
pub use precision::{card_precision, cpu_precision, precision_of_card, precisions};
pub use provider::Provider;
pub use thread::{EngineHandle, EngineThread, PendingTile};
pub use thread_count::thread_count_from_cgroup;

fn check_len(what: &'static str, expected: usize, found: usize) -> Result<(), EngineError> {
    if expected == found {
        Ok(())
    } else {
        Err(EngineError::WrongLength {
            what,
            expected,
            found,
        })
    }
}
