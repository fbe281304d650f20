//! Dense label maps in the smallest type that holds their ids.

use ndarray::parallel::prelude::*;
use ndarray::{Array3, ArrayView2, Axis};

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
        let mut counts = match self {
            Labels::U8(a) => count_all(a, 1 << 8),
            Labels::U16(a) => count_all(a, 1 << 16),
        };
        let len = counts.iter().rposition(|&n| n > 0).map_or(0, |last| last + 1);
        counts.truncate(len);
        counts
    }
}

/// Labels that are looked at together.
const BLOCK: usize = 32;

/// Voxels of each of `n_ids` ids; planes are counted by many threads.
fn count_all<T: Copy + PartialEq + Into<usize> + Sync>(labels: &Array3<T>, n_ids: usize) -> Vec<u64> {
    let none = || vec![0; n_ids];
    let planes = labels.axis_iter(Axis(0)).into_par_iter();
    planes.fold(none, count_plane).reduce(none, |mut sums, counts| {
        sums.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
        sums
    })
}

/// Adds a plane to what was counted. Neighbors mostly have one label, and so are counted as a block: one by one, each
/// voxel would wait for the count of the one before.
fn count_plane<T: Copy + PartialEq + Into<usize>>(
    mut counts: Vec<u64>,
    plane: ArrayView2<'_, T>,
) -> Vec<u64> {
    let Some(labels) = plane.as_slice_memory_order() else {
        plane.iter().for_each(|&label| counts[label.into()] += 1);
        return counts;
    };
    let (blocks, rest) = labels.as_chunks::<BLOCK>();
    for block in blocks {
        // without an early end, so that it becomes a vector loop
        let is_one = block.iter().fold(true, |same, &label| same & (label == block[0]));
        if is_one {
            counts[block[0].into()] += BLOCK as u64;
        } else {
            block.iter().for_each(|&label| counts[label.into()] += 1);
        }
    }
    rest.iter().for_each(|&label| counts[label.into()] += 1);
    counts
}

#[cfg(test)]
mod tests {
    use ndarray::{ShapeBuilder as _, s};

    use super::*;

    /// Runs of all lengths around that of a block, in rows that are no multiple of it.
    fn labels(shape: [usize; 3], n_ids: u16) -> Array3<u16> {
        let ids =
            (0..).flat_map(|run: usize| std::iter::repeat_n((run % usize::from(n_ids)) as u16, run % 70));
        Array3::from_shape_vec(shape, ids.take(shape.iter().product()).collect()).unwrap()
    }

    fn one_by_one(labels: &Array3<u16>) -> Vec<u64> {
        let mut counts = vec![0; 1 + usize::from(*labels.iter().max().unwrap())];
        labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        counts
    }

    #[test]
    fn counts_of_blocks_are_those_of_voxels() {
        for (shape, n_ids) in [
            ([7, 53, 61], 9),
            ([1, 1, 5], 3),
            ([3, 200, 301], 256),
            ([5, 90, 111], 300),
        ] {
            let wide = labels(shape, n_ids);
            let expected = one_by_one(&wide);
            assert_eq!(Labels::U16(wide.clone()).voxel_counts(), expected);
            if n_ids <= 256 {
                assert_eq!(Labels::U8(wide.mapv(|v| v as u8)).voxel_counts(), expected);
            }
        }
    }

    #[test]
    fn the_order_in_memory_does_not_matter() {
        let plain = labels([9, 41, 67], 7);
        let mut turned = Array3::zeros(plain.dim().f());
        turned.assign(&plain);
        assert_eq!(Labels::U16(turned).voxel_counts(), one_by_one(&plain));
        let sliced = plain.clone().slice_move(s![1..8;2, .., ..;-1]);
        let expected = one_by_one(&sliced.as_standard_layout().to_owned());
        assert_eq!(Labels::U16(sliced).voxel_counts(), expected);
    }

    #[test]
    fn counts_end_with_the_largest_label_there_is() {
        assert_eq!(Labels::U8(Array3::zeros([2, 3, 4])).voxel_counts(), [24]);
        assert_eq!(Labels::U8(Array3::zeros([0, 3, 4])).voxel_counts(), [0u64; 0]);
        let largest = Labels::U16(Array3::from_elem([1, 1, 40], u16::MAX)).voxel_counts();
        assert_eq!((largest.len(), largest[65535]), (1 << 16, 40));
    }
}
