//! The process that holds voxels: a scan and a trained nnU-Net folder in, nnU-Net's mask out.
//!
//! [`Core`] holds what outlives a request: the [`Root`] that paths are resolved beneath, the limits, ONNX Runtime and
//! the resident models. [`segment`], [`resize`], [`inspect_model`] and [`list_models`] are what it can do; they are
//! synchronous, and the command line and the server call the same ones.

pub mod case;
mod case_world;
mod catalog;
mod channels;
mod core;
mod counters;
pub mod demo;
mod error;
mod estimate;
mod file_hashes;
mod grpc;
mod image_sample;
pub mod masks;
mod memory;
mod model_step;
mod open_model;
mod peak_memory;
mod pipeline_check;
mod pipeline_cost;
mod probabilities;
mod report;
mod resident;
mod resize;
mod runtime;
mod segment;
pub mod serve;
mod stage_clock;
mod volumes;
mod world_box;

pub use nephrite_root::{OutputFile, PathError, Root};

pub use catalog::{ModelListing, inspect_model, list_models};
pub use core::{Core, CoreSettings, StepBudget};
pub use counters::Counters;
pub use error::CoreError;
pub use estimate::{ModelEstimate, Speed, SpeedMeter, estimate_model};
pub use peak_memory::peak_rss_bytes;
pub use pipeline_check::{PipelineReport, SaveReport, StepFault, StepReport, check_pipeline};
pub use pipeline_cost::{PipelineEstimate, ScanEstimate, StepCost, estimate_pipeline};
pub use report::{
    FileRecord, LabelReport, ModelReport, OptionsReport, SegmentReport, StageSeconds, WarningReport,
};
pub use resident::{ModelBudget, ModelKey, ModelStore, ResidentEntry, ResidentStore};
pub use resize::{ResizeKind, ResizeReport, ResizeRequest, resize};
pub use runtime::RuntimeSettings;
pub use segment::{
    ModelChoice, PostprocessingChoice, SegmentOptions, SegmentRequest, read_small_file, segment,
};
