//! From scans to network input: crop, normalize, resample, append the previous stage.

mod crop;
mod fill_holes;
mod network_input;
mod normalize;
mod previous_stage;

pub(crate) use network_input::check_size;
pub use network_input::{NetworkInput, preprocess};
pub(crate) use normalize::NotRgb;
