//! The process that holds voxels: scans and trained nnU-Net folders in, nnU-Net's masks out.
//!
//! [`Core`] holds what outlives a request: the [`Root`] that paths are resolved beneath, the limits, the models and scans that
//! stay in memory, and how much memory there is. [`segment`] runs one model on one scan, [`resize`] brings a file to another
//! grid, [`case`] runs a pipeline on the scans of a patient. All are synchronous; the command line and the server call the
//! same ones.
//!
//! The modules are floors: each uses only those below it (`tests/floors.rs` holds that).
//!
//! ```text
//! server                      what gRPC callers reach; wire, beside case and place, turns messages into types
//! case                        a patient: plan, steps, results, record
//! place                       where a step runs: here, or in another core
//! segment  masks  samples  objects  resize  series
//! core                        what outlives a request
//! model                       folders, the runtime, resident models, what one costs
//! memory                      scans in memory, budget, file identity
//! error
//! ```

pub mod case;
mod core;
mod error;
pub mod jobs;
pub mod masks;
mod memory;
mod model;
mod objects;
mod place;
mod resize;
mod samples;
mod segment;
mod series;
pub mod server;
mod wire;

pub use nephrite_kernel::LabelVolume;
pub use nephrite_root::{OutputFile, PathError, Root};
pub use nephrite_types::SegmentationOptions;

pub use core::{Core, CoreSettings, StepBudget};
pub use error::CoreError;
pub use memory::{Counters, ResidentEntry, peak_rss_bytes, read_small_file};
pub use model::{
    CpuSettings, CudaSettings, Device, FileRecord, ModelBudget, ModelChoice, ModelKey, ModelListing,
    ModelReport, Models, ResidentKey, RuntimeSettings, Speed, SpeedMeter, SpeedSource,
};
pub use objects::WantedObjects;
pub use resize::{ResizeKind, ResizeReport, ResizeRequest, resize};
pub use segment::{
    OptionsReport, PostprocessingChoice, SegmentReport, SegmentRequest, StageSeconds, WarningReport, segment,
};
pub use series::{ConvertReport, ConvertRequest, SeriesListing, convert, list_series};
