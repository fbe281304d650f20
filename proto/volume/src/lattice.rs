//! How far two grids lie apart, and whether they are the same voxels in another order.

use nephrite_types::{Affine, Geometry};

use crate::orientation::Orientation;

/// Places that are this close, in voxels, are the same: headers store 32-bit numbers.
const SAME_PLACE: f64 = 1e-3;

/// How far equal voxel indices of two grids lie apart, at the corner where it is most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Displacement {
    /// In voxels of the first grid, along the axis where it is most.
    pub voxels: f64,
    /// In the unit of the affines, mm for most.
    pub millimetres: f64,
}

impl Displacement {
    /// True if voxels of equal index do not lie in the same place: more than 1e-3 voxel apart.
    pub fn is_visible(&self) -> bool {
        self.voxels.is_nan() || self.voxels > SAME_PLACE
    }
}

/// How far the voxels of `other` lie from those of `first` that have the same index, over the extent of `first`.
pub fn displacement(first: &Geometry, other: &Geometry) -> Displacement {
    let last = first.shape.xyz().map(|n| n as f64 - 1.0);
    let mut most = Displacement {
        voxels: 0.0,
        millimetres: 0.0,
    };
    for corner in 0..8 {
        let index: [f64; 3] =
            std::array::from_fn(|axis| if corner >> axis & 1 == 1 { last[axis] } else { 0.0 });
        let (a, b) = (
            first.affine.world_from_voxel(index),
            other.affine.world_from_voxel(index),
        );
        let step: [f64; 3] = std::array::from_fn(|r| b[r] - a[r]);
        let voxels = turn_back(first.affine, step);
        let voxels = voxels.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
        most.voxels = most.voxels.max(voxels);
        most.millimetres = most
            .millimetres
            .max(step.iter().map(|v| v * v).sum::<f64>().sqrt());
    }
    most
}

/// A step in the world as a step in voxels `(x, y, z)`.
fn turn_back(affine: Affine, step: [f64; 3]) -> [f64; 3] {
    let m = affine.rows();
    let determinant = affine.determinant();
    std::array::from_fn(|c| {
        let (a, b) = ((c + 1) % 3, (c + 2) % 3);
        // row c of the inverse: the cross product of the other two columns
        (0..3)
            .map(|r| {
                let (i, j) = ((r + 1) % 3, (r + 2) % 3);
                (m[i][a] * m[j][b] - m[i][b] * m[j][a]) / determinant * step[r]
            })
            .sum()
    })
}

/// How the axes of `from` run along those of `to`, if both are the same voxels: axes permuted and flipped, every voxel in the
/// place of one of the other. [`Orientation::labels_to_ras`] then takes labels from one to the other.
pub fn same_voxels(from: &Geometry, to: &Geometry) -> Option<Orientation> {
    let rows = from.affine.rows();
    let columns: [[f64; 3]; 3] = std::array::from_fn(|c| std::array::from_fn(|r| rows[r][c]));
    let mut found = Orientation::RAS;
    let mut taken = [false; 3];
    for (c, column) in columns.into_iter().enumerate() {
        let step = turn_back(to.affine, column);
        let axis = (0..3).fold(0, |best, axis| {
            if step[axis].abs() > step[best].abs() {
                axis
            } else {
                best
            }
        });
        if taken[axis] {
            return None;
        }
        taken[axis] = true;
        found.world_axis[c] = axis;
        found.flipped[c] = step[axis] < 0.0;
    }
    let shape = from.shape.xyz();
    if found.to_ras(shape) != to.shape.xyz() {
        return None;
    }
    let turned = Geometry {
        affine: Affine::new(found.affine_to_ras(from.affine, shape)).ok()?,
        ..*to
    };
    (!displacement(to, &turned).is_visible()).then_some(found)
}

#[cfg(test)]
mod tests {
    use nephrite_types::{Shape3, Spacing};

    use super::*;
    use crate::orientation::tests::{affine, all};

    fn grid(affine: Affine, shape_xyz: [usize; 3]) -> Geometry {
        let [x, y, z] = shape_xyz;
        Geometry {
            shape: Shape3::new([z, y, x]).unwrap(),
            spacing: Spacing::new([1.0; 3]).unwrap(),
            affine,
        }
    }

    fn moved(affine: Affine, by: [f64; 3]) -> Affine {
        let rows = affine.rows();
        Affine::new([0, 1, 2].map(|r| [rows[r][0], rows[r][1], rows[r][2], rows[r][3] + by[r]])).unwrap()
    }

    #[test]
    fn the_same_voxels_are_found_in_all_orders_and_others_are_not() {
        for orientation in all() {
            let affine = affine(orientation, [0.5, 1.5, 2.5]);
            let file = grid(affine, [4, 3, 2]);
            let ras = Affine::new(orientation.affine_to_ras(affine, [4, 3, 2])).unwrap();
            let ras = grid(ras, orientation.to_ras([4, 3, 2]));
            assert_eq!(same_voxels(&file, &ras), Some(orientation));
            assert_eq!(same_voxels(&file, &file), Some(Orientation::RAS));
            assert_eq!(
                same_voxels(&file, &grid(moved(ras.affine, [0.0, 0.01, 0.0]), ras.shape.xyz())),
                None
            );
            assert!(same_voxels(&file, &grid(moved(ras.affine, [1e-4; 3]), ras.shape.xyz())).is_some());
            let longer = orientation.to_ras([4, 3, 3]);
            assert_eq!(same_voxels(&file, &grid(ras.affine, longer)), None);
        }
        // twice as fine along one axis
        let straight = |x| {
            let rows = [[x, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
            grid(Affine::new(rows).unwrap(), [4, 3, 2])
        };
        assert_eq!(same_voxels(&straight(1.0), &straight(0.5)), None);
    }

    #[test]
    fn displacements_are_the_largest_of_all_corners() {
        let straight = grid(
            Affine::new([[2.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 4.0, 0.0]]).unwrap(),
            [11, 3, 2],
        );
        let shifted = grid(moved(straight.affine, [0.0, 3.0, 4.0]), [11, 3, 2]);
        let found = displacement(&straight, &shifted);
        assert_eq!((found.voxels, found.millimetres), (3.0, 5.0));
        assert!(found.is_visible());
        // a scale that only the far end shows
        let scaled =
            Affine::new([[2.002, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 4.0, 0.0]]).unwrap();
        let found = displacement(&straight, &grid(scaled, [11, 3, 2]));
        assert!((found.voxels - 0.01).abs() < 1e-9, "{found:?}");
        assert!(
            !displacement(
                &straight,
                &grid(moved(straight.affine, [1e-3, 0.0, 0.0]), [11, 3, 2])
            )
            .is_visible()
        );
    }
}
