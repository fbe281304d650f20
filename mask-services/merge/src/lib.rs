//! The operation `merge`: any number of label maps, on any grids, into one. `README.md` describes the parameters.
//!
//! Labels are known by name: what two masks call alike is one label. The order of work is fixed:
//!
//! 1. Masks on another grid than the reference are resampled to it by world coordinates.
//! 2. Steps act, in order, on the full set of voxels that each label has, overlaps included.
//! 3. Where labels still overlap, the first in the order of priority gets the voxel; every pair is counted.
//! 4. Labels that the table of the result does not hold are left out; they neither win nor count.

mod error;
mod naming;
mod operation;
mod overlay;
mod resample;
mod resample_mask;
mod sets;
mod voxel_map;

pub use operation::Merge;
pub use resample::Interpolation;
pub use resample_mask::resample_mask;
