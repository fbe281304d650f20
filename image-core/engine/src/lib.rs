//! The inference engine: one small synchronous trait, ONNX Runtime behind it, a scripted fake for tests.
//!
//! An engine runs one network on one tile at a time. It is owned by one thread ([`EngineThread`]); everybody else
//! holds an [`EngineHandle`] and sends tiles over a bounded channel. This is the only crate that knows `ort`.

#[cfg(feature = "onnxruntime")]
mod conv_operator;
mod engine;
mod error;
#[cfg(any(test, feature = "test-util"))]
mod fake;
#[cfg(feature = "onnxruntime")]
mod library;
#[cfg(feature = "onnxruntime")]
mod ort_engine;
mod provider;
#[cfg(feature = "onnxruntime")]
mod stoppable;
mod thread;
mod thread_count;

pub use engine::{InferenceEngine, Interrupt, TileShape};
pub use error::EngineError;
#[cfg(any(test, feature = "test-util"))]
pub use fake::FakeEngine;
#[cfg(feature = "onnxruntime")]
pub use library::{LibrarySearch, OnnxRuntime};
#[cfg(feature = "onnxruntime")]
pub use ort_engine::{EngineOptions, OrtEngine};
pub use provider::Provider;
pub use thread::{EngineHandle, EngineThread, PendingTile};
pub use thread_count::thread_count_from_cgroup;
