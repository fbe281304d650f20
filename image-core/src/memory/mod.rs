//! What requests of the core hold at their peak, and what stays in memory between them.

mod gate;
mod residents;
mod step;

pub(crate) use gate::Gate;
pub(crate) use residents::Residents;
pub(crate) use step::{StepMemory, network_bytes};
