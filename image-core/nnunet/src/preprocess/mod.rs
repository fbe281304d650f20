//! From scans to network input: crop, normalise, resample, append the previous stage.

mod crop;
mod fill_holes;
mod network_input;
mod normalize;
mod previous_stage;

pub use crop::{cropped, nonzero_box, nonzero_mask};
pub use fill_holes::fill_holes;
pub(crate) use network_input::check_size;
pub use network_input::{NetworkInput, preprocess};
pub use normalize::{Normalizer, NotRgb};
