//! How much memory this process may hold, and who may take it when.

mod allowance;
mod budget;
mod error;
mod line;

pub use allowance::{Allowance, AllowanceSource};
pub use budget::{Idle, MemoryBudget, NothingIdle, Reservation};
pub use error::MemoryError;
pub use line::Line;
