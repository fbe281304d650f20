//! Parts of scans around labels, with their masks and pictures.

mod cut;
mod step;

pub(crate) use cut::SAMPLE_FILES;
pub(crate) use step::{SampleOutcome, SampleStep, run_sample_step};
