//! From logits on the network's grid to labels on the scan's grid, slab by slab.

mod label_rule;
mod probability_taps;
mod slab;

pub use label_rule::LabelRule;
pub(crate) use probability_taps::probability_taps;
pub(crate) use slab::{AxisMap, SlabExporter, StoredLabel, Target};
