//! Messages of the contract ⇄ types of this crate; no algorithms.

pub(crate) mod case;
pub(crate) mod case_events;
mod cost;
pub(crate) mod description;
pub(crate) mod job;
pub(crate) mod model_choice;
mod objects;
mod provider;
mod resize;
mod segment;
pub(crate) mod series;
pub(crate) mod step;
pub(crate) mod told;
pub(crate) mod warning;
