//! What tests across crates share: golden cases, numpy files, tolerances, the real inference engine.

pub mod agreement;
pub mod case_run;
pub mod golden_case;
pub mod loaded_case;
pub mod modules;
pub mod npz;
pub mod runtime;
pub mod tolerances;
pub mod workspace;
