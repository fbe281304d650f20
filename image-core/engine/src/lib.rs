//! The inference engine: one small synchronous trait, ONNX Runtime behind it, a scripted fake for tests.
//!
//! An engine runs one network on one tile at a time. It is owned by one thread ([`EngineThread`]); everybody else
//! holds an [`EngineHandle`] and sends tiles over a bounded channel. This is the only crate that knows `ort`.

mod engine;
mod error;
#[cfg(any(test, feature = "test-util"))]
mod fake;
mod thread;

pub use engine::{InferenceEngine, TileShape};
pub use error::EngineError;
#[cfg(any(test, feature = "test-util"))]
pub use fake::FakeEngine;
pub use thread::{EngineHandle, EngineThread, PendingTile};
