//! A model on a scan: [`ModelRun`] is the one way, [`segment`] writes what comes of it to a file, [`run_model_step`] gives it to
//! a case.

mod channels;
mod clock;
mod file;
mod grid;
mod model_run;
mod network_input;
mod objects;
mod options;
mod part;
mod postprocessing;
mod previous_stage;
mod probabilities;
mod report;
mod request;
mod segment_request;
mod step;
mod warnings;
mod world_box;

pub(crate) use clock::StageClock;
pub use file::segment;
pub(crate) use grid::{label_table_with, on_grid};
pub use options::PostprocessingChoice;
pub(crate) use previous_stage::PreviousStage;
pub use report::{OptionsReport, SegmentReport, StageSeconds, WarningReport};
pub(crate) use request::{ModelRun, ScanInput};
pub use segment_request::SegmentRequest;
pub(crate) use step::{ModelStepOutcome, check_model_step, run_model_step};
pub(crate) use warnings::log;
pub(crate) use world_box::WorldBox;
