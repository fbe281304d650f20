//! Mask operations as the core sees them: which there are, where each runs, and one of them from files to files.

mod exchange;
mod files;
mod operations;

pub(crate) use exchange::{receive_mask, send_mask};
pub use files::{
    ArtefactReport, MaskInput, MaskLabelReport, MaskOutput, MaskOutputReport, MaskReport, MaskRequest,
    MaskSeconds, MeasurementReport, run_mask,
};
pub use operations::{Endpoint, IN_PROCESS, OperationListing, OperationSettings, Operations};
