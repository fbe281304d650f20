//! Mask operations as the core sees them: which there are, where each runs, and one of them from files to files.

mod exchange;
mod files;
mod operations;
mod step_place;

pub(crate) use exchange::{receive_mask, send_mask};
pub use files::{
    ArtefactReport, MaskInput, MaskOutput, MaskOutputReport, MaskReport, MaskRequest, MaskSeconds, run_mask,
};
pub use operations::{Endpoint, OperationListing, OperationSettings, Operations};
pub use step_place::StepPlace;
