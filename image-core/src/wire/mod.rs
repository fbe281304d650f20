//! Messages of the contract ⇄ types of this crate; no algorithms.

pub(crate) mod case;
mod cost;
pub(crate) mod description;
pub(crate) mod model_choice;
mod provider;
mod resize;
mod segment;
pub(crate) mod step;
pub(crate) mod warning;
