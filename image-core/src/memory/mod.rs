//! How much memory this process may hold, and who may take it when.

mod allowance;
mod budget;
mod gate;
mod residents;
mod step;

pub use allowance::{Allowance, AllowanceSource};
pub use budget::MemoryBudget;
pub(crate) use budget::{Idle, Reservation};
pub(crate) use gate::Gate;
pub(crate) use residents::Residents;
pub(crate) use step::{StepMemory, network_bytes};
