//! How much memory this process may hold, and who may take it when.

mod allowance;
mod budget;
mod error;

pub use allowance::{Allowance, AllowanceSource};
pub use budget::{Idle, MemoryBudget, Nothing, Reservation};
pub use error::MemoryError;
