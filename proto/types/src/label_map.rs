//! Dense label maps in the smallest type that holds their ids.

use ndarray::Array3;

use crate::Geometry;

/// Label ids, `[z, y, x]`, in the smallest type that nnU-Net would use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Labels {
    /// Up to 255 labels.
    U8(Array3<u8>),
    /// More.
    U16(Array3<u16>),
}

/// A dense integer volume; 0 is background.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelMap {
    /// Label ids, `[z, y, x]`, x fastest.
    pub labels: Labels,
    /// Where the voxels lie; its shape equals that of `labels`.
    pub geometry: Geometry,
}

impl Labels {
    /// Voxels per axis, `[z, y, x]`.
    pub fn shape(&self) -> [usize; 3] {
        let (z, y, x) = match self {
            Labels::U8(a) => a.dim(),
            Labels::U16(a) => a.dim(),
        };
        [z, y, x]
    }

    /// The largest id.
    pub fn max(&self) -> u16 {
        match self {
            Labels::U8(a) => a.iter().copied().max().unwrap_or(0).into(),
            Labels::U16(a) => a.iter().copied().max().unwrap_or(0),
        }
    }

    /// Number of voxels of every id, indexed by id, up to the largest id that occurs.
    pub fn voxel_counts(&self) -> Vec<u64> {
        let mut counts = vec![0u64; 1 << 16];
        match self {
            Labels::U8(a) => a.iter().for_each(|&l| counts[usize::from(l)] += 1),
            Labels::U16(a) => a.iter().for_each(|&l| counts[usize::from(l)] += 1),
        }
        let len = counts.iter().rposition(|&n| n > 0).map_or(0, |last| last + 1);
        counts.truncate(len);
        counts
    }
}
