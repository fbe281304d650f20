//! The sliding window: where tiles lie, how they are weighted, mirrored and summed.

mod accumulator;
mod gather;
mod grid;
mod importance;
mod mirroring;

pub use accumulator::{Accumulator, ClassSum};
pub use gather::gather_tile;
pub use grid::TileGrid;
pub use importance::importance_map;
pub use mirroring::{Flip, add_flipped, flip_combinations, flip_into};
