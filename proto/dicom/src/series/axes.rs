//! How the axes of an array follow slices, rows and columns: one of 48 ways.

use ndarray::{ArrayViewMut3, Axis};
use nephrite_types::{Affine, Geometry, GeometryError, Shape3, Spacing};

/// Which axis of the array `[z, y, x]` follows slices, rows and columns, and which run backward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrayAxes {
    /// For slices, rows, columns: the axis of the array, 0 for z.
    axis: [usize; 3],
    /// For slices, rows, columns: true if the axis runs from the last to the first.
    reversed: [bool; 3],
    /// Number of slices, rows, columns.
    shape: [usize; 3],
}

impl ArrayAxes {
    /// `[slice, row, column]`, rows from the last to the first.
    pub(super) fn slices(shape: [usize; 3]) -> ArrayAxes {
        ArrayAxes {
            axis: [0, 1, 2],
            reversed: [false, true, false],
            shape,
        }
    }

    /// Slice, row and column (from 0) of the voxel `[z, y, x]`.
    pub fn source_index(&self, zyx: [usize; 3]) -> [usize; 3] {
        std::array::from_fn(|i| {
            let index = zyx[self.axis[i]];
            if self.reversed[i] {
                self.shape[i] - 1 - index
            } else {
                index
            }
        })
    }

    /// The voxel `[z, y, x]` of a slice, row and column (from 0).
    pub fn array_index(&self, source: [usize; 3]) -> [usize; 3] {
        let mut zyx = [0; 3];
        for i in 0..3 {
            zyx[self.axis[i]] = if self.reversed[i] {
                self.shape[i] - 1 - source[i]
            } else {
                source[i]
            };
        }
        zyx
    }

    /// An array `[z, y, x]` seen as `[slice, row, column]`.
    pub(super) fn source_view<'a, T>(&self, array: ArrayViewMut3<'a, T>) -> ArrayViewMut3<'a, T> {
        let mut view = array.permuted_axes(self.axis);
        for i in 0..3 {
            if self.reversed[i] {
                view.invert_axis(Axis(i));
            }
        }
        view
    }

    /// The same voxels with axes to R, A, S, and the axes that lead there. Oblique grids turn as dcm2niix turns them.
    pub(super) fn to_ras(self, grid: &Geometry) -> Result<(ArrayAxes, Geometry), GeometryError> {
        let rows = grid.affine.rows();
        let (way, backward) = ras_axes(grid);
        let shape = grid.shape.xyz();
        let first: [f64; 3] = {
            let mut index = [0.0; 3];
            for w in 0..3 {
                index[way[w]] = if backward[w] {
                    shape[way[w]] as f64 - 1.0
                } else {
                    0.0
                };
            }
            grid.affine.world_from_voxel(index)
        };
        let affine = std::array::from_fn(|r| {
            std::array::from_fn(|w| match w {
                3 => first[r],
                _ if backward[w] => -rows[r][way[w]],
                _ => rows[r][way[w]],
            })
        });
        let spacing = grid.spacing.xyz();
        let turned = Geometry {
            shape: Shape3::new([shape[way[2]], shape[way[1]], shape[way[0]]])?,
            spacing: Spacing::new([spacing[way[2]], spacing[way[1]], spacing[way[0]]])?,
            affine: Affine::new(affine)?,
        };
        let mut axes = self;
        for i in 0..3 {
            let old = 2 - self.axis[i];
            let new = way.iter().position(|&axis| axis == old).unwrap_or(0);
            axes.axis[i] = 2 - new;
            axes.reversed[i] = self.reversed[i] != backward[new];
        }
        Ok((axes, turned))
    }
}

/// The axis (x, y, z) of the grid for each of R, A, S, and whether it runs backward.
///
/// Source: dcm2niix 1.0.20260724 `nii_ortho.cpp` (`minCornerFlip`, `getBestOrient`), which 224 series were compared with: axes
/// run from the corner that is nearest to the left, posterior and inferior end of the whole, and then follow the world best,
/// lengths of voxels counted.
fn ras_axes(grid: &Geometry) -> ([usize; 3], [bool; 3]) {
    let shape = grid.shape.xyz();
    let far = |corner: usize, axis: usize| corner >> axis & 1 == 1;
    let corners: [[f64; 3]; 8] = std::array::from_fn(|corner| {
        let end = |axis: usize| {
            if far(corner, axis) {
                shape[axis] as f64 - 1.0
            } else {
                0.0
            }
        };
        grid.affine.world_from_voxel(std::array::from_fn(end))
    });
    let lowest: [f64; 3] = std::array::from_fn(|r| {
        corners
            .iter()
            .map(|corner| corner[r])
            .fold(f64::INFINITY, f64::min)
    });
    let distance = |corner: usize| {
        (0..3)
            .map(|r| (corners[corner][r] - lowest[r]).powi(2))
            .sum::<f64>()
    };
    let nearest = (0..8).fold(0, |best, corner| {
        if distance(corner) < distance(best) {
            corner
        } else {
            best
        }
    });
    const WAYS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let rows = grid.affine.rows();
    let follows = |way: &[usize; 3]| {
        let step = |w: usize| {
            if far(nearest, way[w]) {
                -rows[w][way[w]]
            } else {
                rows[w][way[w]]
            }
        };
        (0..3).map(step).sum::<f64>()
    };
    let way = WAYS.iter().fold(
        WAYS[0],
        |best, way| if follows(way) > follows(&best) { *way } else { best },
    );
    (way, way.map(|axis| far(nearest, axis)))
}
