//! Voxel indices of one grid as those of another, rounded alike on every machine.

use nephrite_kernel::Geometry;

/// From voxel indices of one grid to those of another, x first, through world coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct VoxelMap {
    /// Rows are axes of the grid that it leads to; the last column is the offset.
    rows: [[f64; 4]; 3],
}

/// What rounding leaves of a zero, in voxels over the whole length of an axis.
const NOTHING: f64 = 1e-6;

/// Positions are rounded to 1/65536 voxel, so that what lies halfway lies halfway on every machine.
const FRACTIONS: f64 = 65536.0;

/// More than [`snap`] moves a position: within so much of a face, a position may lie on either side of it.
pub(crate) const SNAPPED: f64 = 1.0 / FRACTIONS;

/// The nearest multiple of 1/65536.
#[inline]
pub(crate) fn snap(index: f64) -> f64 {
    (index * FRACTIONS).round() / FRACTIONS
}

impl VoxelMap {
    /// `None` if it is not finite: the grids are too far apart in scale or place.
    pub(crate) fn new(from: &Geometry, to: &Geometry) -> Option<VoxelMap> {
        let (a, b) = (from.affine.rows(), to.affine.rows());
        let det = to.affine.determinant();
        let cofactor = |r: usize, c: usize| {
            let (r1, r2, c1, c2) = ((r + 1) % 3, (r + 2) % 3, (c + 1) % 3, (c + 2) % 3);
            b[r1][c1] * b[r2][c2] - b[r1][c2] * b[r2][c1]
        };
        let inverse: [[f64; 3]; 3] = std::array::from_fn(|r| std::array::from_fn(|c| cofactor(c, r) / det));
        let n = from.shape.xyz();
        let rows: [[f64; 4]; 3] = std::array::from_fn(|r| {
            std::array::from_fn(|c| {
                let entry: f64 = (0..3)
                    .map(|k| inverse[r][k] * if c < 3 { a[k][c] } else { a[k][3] - b[k][3] })
                    .sum();
                let length = if c < 3 { n[c] as f64 } else { 1.0 };
                if entry.abs() * length < NOTHING {
                    0.0
                } else {
                    entry
                }
            })
        });
        rows.iter()
            .flatten()
            .all(|entry| entry.is_finite())
            .then_some(VoxelMap { rows })
    }

    pub(crate) fn apply(&self, index: [f64; 3]) -> [f64; 3] {
        self.rows
            .map(|row| row[0] * index[0] + row[1] * index[1] + row[2] * index[2] + row[3])
    }

    /// How far one step along an axis leads.
    pub(crate) fn step(&self, axis: usize) -> [f64; 3] {
        self.rows.map(|row| row[axis])
    }

    /// The smallest box, along the axes of the other grid, around the image of a box.
    pub(crate) fn image_of_box(&self, sides: [[f64; 2]; 3]) -> [[f64; 2]; 3] {
        self.rows.map(|row| {
            (0..3).fold([row[3]; 2], |[low, high], axis| {
                let (a, b) = (row[axis] * sides[axis][0], row[axis] * sides[axis][1]);
                [low + a.min(b), high + a.max(b)]
            })
        })
    }
}
