//! A box of voxels of one grid, on another.

use nephrite_types::{BoundingBox, Geometry, length};

/// A box of voxels of some grid, and a margin around it: where a model looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct WorldBox {
    /// The grid.
    pub(crate) geometry: Geometry,
    /// Voxels of it, `[z, y, x]`; not empty.
    pub(crate) bounds: BoundingBox,
    /// On every side, mm.
    pub(crate) margin_mm: f64,
}

impl WorldBox {
    /// The smallest box of voxels of another grid that covers this one with its margin, `[z, y, x]`; `None` if it lies
    /// outside.
    ///
    /// On its own grid the box stays as it is. Elsewhere its outer faces go through the world, oblique grids too. The margin
    /// is added in the axes of the target, in whole voxels rounded up.
    pub(crate) fn on(&self, target: &Geometry) -> Option<BoundingBox> {
        /// Of a voxel: faces that touch do not add one by rounding.
        const TOUCHES: f64 = 1e-4;
        let to_voxel = inverse(target)?;
        let ([z0, y0, x0], [z1, y1, x1]) = (self.bounds.start, self.bounds.end);
        let own_grid = self.geometry == *target;
        let faces = [[x0, x1], [y0, y1], [z0, z1]].map(|ends| ends.map(|end| end as f64 - 0.5));
        let (mut low, mut high) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
        for corner in 0..8 {
            let xyz = std::array::from_fn(|axis| faces[axis][corner >> axis & 1]);
            let voxel = if own_grid {
                xyz
            } else {
                to_voxel(self.geometry.affine.world_from_voxel(xyz))
            };
            for axis in 0..3 {
                low[axis] = low[axis].min(voxel[axis]);
                high[axis] = high[axis].max(voxel[axis]);
            }
        }
        let (shape, steps) = (target.shape.xyz(), target.affine.column_norms_xyz());
        let mut ends = [[0usize; 2]; 3];
        for axis in 0..3 {
            let margin = length::voxels_to_cover(self.margin_mm, steps[axis]);
            // voxel k covers k - 0.5 to k + 0.5; a cast from float saturates
            let start = ((low[axis] + 0.5 + TOUCHES).floor() - margin).max(0.0) as usize;
            let end = (high[axis] + 0.5 - TOUCHES).ceil() + margin;
            let end = (end.max(0.0) as usize).min(shape[axis]);
            if start >= end {
                return None;
            }
            ends[axis] = [start, end];
        }
        let [x, y, z] = ends;
        Some(BoundingBox {
            start: [z[0], y[0], x[0]],
            end: [z[1], y[1], x[1]],
        })
    }
}

/// From world millimeters to voxel `(x, y, z)`; `None` if the affine cannot be turned round.
pub(crate) fn inverse(geometry: &Geometry) -> Option<impl Fn([f64; 3]) -> [f64; 3] + use<>> {
    let m = geometry.affine.rows();
    let determinant = geometry.affine.determinant();
    let cofactor = |r: usize, c: usize| {
        let (a, b) = ((r + 1) % 3, (r + 2) % 3);
        let (d, e) = ((c + 1) % 3, (c + 2) % 3);
        m[a][d] * m[b][e] - m[a][e] * m[b][d]
    };
    let inverse: [[f64; 3]; 3] =
        std::array::from_fn(|r| std::array::from_fn(|c| cofactor(c, r) / determinant));
    let origin = [m[0][3], m[1][3], m[2][3]];
    inverse
        .iter()
        .flatten()
        .all(|v| v.is_finite())
        .then_some(move |world: [f64; 3]| {
            std::array::from_fn(|r| (0..3).map(|c| inverse[r][c] * (world[c] - origin[c])).sum())
        })
}

#[cfg(test)]
mod tests {
    use nephrite_types::{Affine, Shape3, Spacing};

    use super::*;

    fn grid(rows: [[f64; 4]; 3], shape_xyz: [usize; 3], spacing_xyz: [f64; 3]) -> Geometry {
        let [x, y, z] = shape_xyz;
        let [sx, sy, sz] = spacing_xyz;
        Geometry {
            shape: Shape3::new([z, y, x]).unwrap(),
            spacing: Spacing::new([sz, sy, sx]).unwrap(),
            affine: Affine::new(rows).unwrap(),
        }
    }

    fn check(margin_mm: f64, target: &Geometry, expected_xyz: Option<[[usize; 2]; 3]>) {
        let of = grid(
            [[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]],
            [10; 3],
            [2.0; 3],
        );
        let bounds = BoundingBox {
            start: [4, 3, 2],
            end: [6, 5, 3],
        };
        let found = WorldBox {
            geometry: of,
            bounds,
            margin_mm,
        }
        .on(target);
        let found = found.map(|b| [2, 1, 0].map(|axis| [b.start[axis], b.end[axis]]));
        assert_eq!(found, expected_xyz);
    }

    #[test]
    fn boxes_go_through_the_world() {
        let same = grid(
            [[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]],
            [10; 3],
            [2.0; 3],
        );
        check(0.0, &same, Some([[2, 3], [3, 5], [4, 6]]));
        check(2.0, &same, Some([[1, 4], [2, 6], [3, 7]]));
        check(2.5, &same, Some([[0, 5], [1, 7], [2, 8]]));
        check(1e4, &same, Some([[0, 10], [0, 10], [0, 10]]));
        check(2.0001, &same, Some([[0, 5], [1, 7], [2, 8]]));
        // What a header made of 0.4 mm: a margin of five voxels is five. The box is x 10 to 15, y 15 to 25, z 20 to 30.
        let stored = f64::from(0.4f32);
        let rows = [
            [stored, 0.0, 0.0, -0.8],
            [0.0, stored, 0.0, -0.8],
            [0.0, 0.0, stored, -0.8],
        ];
        let fine = grid(rows, [50; 3], [stored; 3]);
        check(2.0, &fine, Some([[5, 20], [10, 30], [15, 35]]));
        // The third spacing of a 2-D image is made up; lengths are those of the world.
        let made_up = grid(rows, [50; 3], [stored, stored, 999.0]);
        check(2.0, &made_up, Some([[5, 20], [10, 30], [15, 35]]));
        // x turned round, half the voxel: the box's x from 3 to 5 mm is 14 to 16 mm of the turned axis
        let turned = grid(
            [
                [-1.0, 0.0, 0.0, 18.5],
                [0.0, 1.0, 0.0, -0.5],
                [0.0, 0.0, 1.0, -0.5],
            ],
            [20; 3],
            [1.0; 3],
        );
        check(0.0, &turned, Some([[14, 16], [6, 10], [8, 12]]));
        let far = grid(
            [[1.0, 0.0, 0.0, 500.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]],
            [10; 3],
            [1.0; 3],
        );
        check(0.0, &far, None);
    }
}
