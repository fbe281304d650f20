//! Mask operations as the core sees them: which there are, where each runs, and one of them from files to files.

mod exchange;
mod operations;
mod step;

pub(crate) use exchange::{receive_mask, send_mask};
pub use operations::{Endpoint, OperationListing, OperationSettings, Operations};
pub use step::{
    ArtefactReport, MaskInput, MaskLabelReport, MaskOutput, MaskOutputReport, MaskReport, MaskRequest,
    MaskSeconds, MeasurementReport, run_mask,
};
