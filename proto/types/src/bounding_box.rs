//! Half-open boxes of voxels.

use serde::{Deserialize, Serialize};

/// A half-open box of voxels, axes in the order of the array it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundingBox {
    /// First index inside, per axis.
    pub start: [usize; 3],
    /// First index past the end, per axis; never less than `start`.
    pub end: [usize; 3],
}

impl BoundingBox {
    /// The box that covers a whole array of `shape`.
    pub fn full(shape: [usize; 3]) -> Self {
        BoundingBox {
            start: [0; 3],
            end: shape,
        }
    }

    /// Number of voxels per axis.
    pub fn shape(&self) -> [usize; 3] {
        std::array::from_fn(|axis| self.end[axis] - self.start[axis])
    }

    /// Number of voxels inside.
    pub fn n_voxels(&self) -> usize {
        self.shape().iter().product()
    }

    /// True if the voxel lies inside.
    pub fn contains(&self, index: [usize; 3]) -> bool {
        (0..3).all(|axis| self.start[axis] <= index[axis] && index[axis] < self.end[axis])
    }

    /// The smallest box that covers both.
    pub fn union(&self, other: &BoundingBox) -> BoundingBox {
        BoundingBox {
            start: std::array::from_fn(|axis| self.start[axis].min(other.start[axis])),
            end: std::array::from_fn(|axis| self.end[axis].max(other.end[axis])),
        }
    }
}
