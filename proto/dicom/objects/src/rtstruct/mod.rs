//! Structure sets of radiotherapy: contours of masks, and masks of contours.

mod fill;
mod keyhole;
mod read;
mod slices;
mod trace;
mod write;

pub use read::{Nested, RegionInfo, StructureSetIn, StructureSetOptions, read_structure_set};
pub use slices::Slices;
pub use write::{Holes, write_structure_set};
