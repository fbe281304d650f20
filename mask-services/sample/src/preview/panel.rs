//! Runs onto pixels.

use std::ops::Range;

use nephrite_kernel::{CancelToken, RunMask};
use nephrite_types::Cancelled;

use super::view::{Side, View};

/// What one pixel shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    /// 0 where there is none.
    pub(crate) label: u16,
    /// Voxels from the front.
    pub(crate) depth: u32,
}

/// Pixels of a plane, row by row; each shows the voxel under its middle.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) spots: Vec<Spot>,
}

/// What a panel shows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shown<'a> {
    /// The slice with this index along the axis across.
    Slice(usize),
    /// All labels from the front: where several lie behind each other, the one with the least rank, so that small
    /// structures can be seen before large ones. Indexed by label.
    Front(&'a [u32]),
}

/// Draws a slice, or all labels from the front.
///
/// *Cost*: one pass over the runs; no array but the pixels.
pub(crate) fn draw(
    mask: &RunMask,
    view: &View,
    [width, height]: [usize; 2],
    shown: Shown<'_>,
    cancel: &CancelToken,
) -> Result<Panel, Cancelled> {
    let mut spots = vec![Spot { label: 0, depth: 0 }; width * height];
    let [_, ny, _] = mask.shape();
    for (row, runs) in mask.rows().enumerate() {
        if row % ny == 0 {
            cancel.check()?;
        }
        let (z, y) = (row / ny, row % ny);
        for run in runs {
            let ranges = [z..z + 1, y..y + 1, run.start as usize..run.end as usize];
            let across = &ranges[view.across.array_axis];
            if let Shown::Slice(slice) = shown
                && !across.contains(&slice)
            {
                continue;
            }
            let depth = oriented(across, &view.across).start as u32; // an index of a mask
            let columns = pixels(&ranges[view.right.array_axis], &view.right, width);
            for line in pixels(&ranges[view.down.array_axis], &view.down, height) {
                for spot in &mut spots[line * width + columns.start..line * width + columns.end] {
                    if shown.covers(run.label, depth, spot) {
                        *spot = Spot {
                            label: run.label,
                            depth,
                        };
                    }
                }
            }
        }
    }
    Ok(Panel { width, height, spots })
}

impl Shown<'_> {
    fn covers(self, label: u16, depth: u32, spot: &Spot) -> bool {
        match self {
            Shown::Slice(_) => true,
            Shown::Front(ranks) => {
                let rank = |label: u16| ranks.get(usize::from(label)).copied().unwrap_or(u32::MAX);
                spot.label == 0 || (rank(label), depth) < (rank(spot.label), spot.depth)
            }
        }
    }
}

/// The same voxels counted from where the picture begins.
fn oriented(range: &Range<usize>, side: &Side) -> Range<usize> {
    if side.reversed {
        side.n - range.end..side.n - range.start
    } else {
        range.clone()
    }
}

/// Pixels whose middles lie over a range of voxels.
fn pixels(range: &Range<usize>, side: &Side, n_pixels: usize) -> Range<usize> {
    let range = oriented(range, side);
    // pixel i lies over voxel ⌊(i + ½)·n / n_pixels⌋
    let first = |voxel: usize| {
        let (n, at) = (side.n as u128, 2 * voxel as u128 * n_pixels as u128);
        at.saturating_sub(n).div_ceil(2 * n) as usize // at most n_pixels
    };
    first(range.start)..first(range.end)
}

/// The slice across an array axis with the most labeled voxels; of equal ones that nearest to the middle, then the
/// lower. Along axes of more than 4096 voxels, every n-th slice is looked at.
pub(crate) fn best_slice(mask: &RunMask, axis: usize) -> usize {
    const MAX_CANDIDATES: usize = 4096;
    let n = mask.shape()[axis];
    let step = n.div_ceil(MAX_CANDIDATES);
    let ny = mask.shape()[1];
    // Voxels gained and lost from one candidate to the next.
    let mut changes = vec![0i64; n.div_ceil(step) + 1];
    for (row, runs) in mask.rows().enumerate() {
        for run in runs {
            let (range, voxels) = match axis {
                0 => (row / ny..row / ny + 1, i64::from(run.len())),
                1 => (row % ny..row % ny + 1, i64::from(run.len())),
                _ => (run.start as usize..run.end as usize, 1),
            };
            changes[range.start.div_ceil(step)] += voxels;
            changes[range.end.div_ceil(step)] -= voxels;
        }
    }
    let from_middle = |slice: usize| (2 * slice).abs_diff(n - 1);
    let mut voxels = 0;
    let mut best: Option<(i64, usize)> = None;
    for (k, change) in changes.iter().take(n.div_ceil(step)).enumerate() {
        voxels += change;
        let slice = k * step;
        let better = best.is_none_or(|(most, chosen)| {
            voxels > most || voxels == most && from_middle(slice) < from_middle(chosen)
        });
        if better {
            best = Some((voxels, slice));
        }
    }
    best.map_or(0, |(_, slice)| slice)
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use nephrite_kernel::{Geometry, Limits};
    use nephrite_types::{Affine, Labels, Shape3, Spacing};
    use proptest::prelude::*;

    use super::super::view::{Plane, view};
    use super::*;

    fn mask(array: &Array3<u8>, signs: [f64; 3]) -> RunMask {
        let (z, y, x) = array.dim();
        let [sx, sy, sz] = signs;
        let geometry = Geometry {
            shape: Shape3::new([z, y, x]).unwrap(),
            spacing: Spacing::new([1.0; 3]).unwrap(),
            affine: Affine::new([[sx, 0.0, 0.0, 0.0], [0.0, sy, 0.0, 0.0], [0.0, 0.0, sz, 0.0]]).unwrap(),
        };
        RunMask::from_labels(&Labels::U8(array.clone()), &geometry, &Limits::default()).unwrap()
    }

    proptest! {
        #[test]
        fn pixels_show_the_voxel_under_their_middle(
            values in proptest::collection::vec(0u8..4, 4 * 5 * 6),
            flips in 0u8..8,
            width in 1usize..20,
            height in 1usize..20,
            slice in 0usize..4,
            plane in 0usize..3,
        ) {
            let array = Array3::from_shape_vec([4, 5, 6], values).unwrap();
            let signs = std::array::from_fn(|c| if flips >> c & 1 == 1 { -1.0 } else { 1.0 });
            let mask = mask(&array, signs);
            let view = view(mask.geometry(), Plane::ALL[plane]);
            let ranks = [9, 2, 0, 1];
            for shown in [Shown::Slice(slice), Shown::Front(&ranks)] {
                let panel = draw(&mask, &view, [width, height], shown, &CancelToken::new()).unwrap();
                for (idx, spot) in panel.spots.iter().enumerate() {
                    let voxel_of = |i: usize, n_pixels: usize, side: &Side| {
                        let at = (2 * i + 1) * side.n / (2 * n_pixels);
                        if side.reversed { side.n - 1 - at } else { at }
                    };
                    let mut voxel = [0; 3];
                    voxel[view.right.array_axis] = voxel_of(idx % width, width, &view.right);
                    voxel[view.down.array_axis] = voxel_of(idx / width, height, &view.down);
                    let mut label_at = |slice: usize| {
                        voxel[view.across.array_axis] = slice;
                        array[voxel]
                    };
                    let expected = match shown {
                        Shown::Slice(slice) => (label_at(slice), 0),
                        Shown::Front(_) => {
                            let n = view.across.n;
                            let line = (0..n).map(|i| if view.across.reversed { n - 1 - i } else { i });
                            let seen = line.map(&mut label_at).zip(0..).filter(|(label, _)| *label > 0);
                            seen.min_by_key(|(label, depth)| (ranks[usize::from(*label)], *depth)).unwrap_or((0, 0))
                        }
                    };
                    prop_assert_eq!(spot.label, u16::from(expected.0));
                    if matches!(shown, Shown::Front(_)) {
                        prop_assert_eq!(spot.depth, expected.1);
                    }
                }
            }
        }

        #[test]
        fn the_best_slice_has_most_voxels(values in proptest::collection::vec(0u8..2, 4 * 5 * 6)) {
            let array = Array3::from_shape_vec([4, 5, 6], values).unwrap();
            let mask = mask(&array, [1.0; 3]);
            for axis in 0..3 {
                let count = |slice: usize| {
                    let plane = array.index_axis(ndarray::Axis(axis), slice);
                    plane.iter().filter(|id| **id > 0).count()
                };
                let n = array.shape()[axis];
                let most = (0..n).map(count).max().unwrap();
                let ties = (0..n).filter(|&slice| count(slice) == most);
                let expected = ties.min_by_key(|slice| (2 * slice).abs_diff(n - 1)).unwrap();
                prop_assert_eq!(best_slice(&mask, axis), expected);
            }
        }
    }

    #[test]
    fn an_empty_mask_shows_its_middle() {
        let mask = mask(&Array3::zeros([3, 5, 8]), [1.0; 3]);
        assert_eq!([0, 1, 2].map(|axis| best_slice(&mask, axis)), [1, 2, 3]);
    }
}
