//! Which axis of one grid is which of another, by where their voxels lie; never by names of axes.

use nephrite_types::{Affine, Geometry};

use crate::ObjectError;

/// How far a corner may lie from the voxel that it is taken for, in voxels: far from the half at which it would be taken for
/// another, and above what a series may be irregular by to be read at all.
pub(crate) const TOLERANCE: f64 = 0.2;

/// A signed permutation of axes with an offset: voxel `index` of one grid is voxel [`Alignment::image`] of another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Alignment {
    /// For each axis (z, y, x) of the one grid, the axis of the other.
    pub(crate) axis: [usize; 3],
    /// Whether it counts the other way, for each axis of the one grid.
    pub(crate) flipped: [bool; 3],
    /// Index along `axis` of the other grid where the one begins, for each axis of the one grid.
    pub(crate) offset: [i64; 3],
    /// How far the corner that fits worst lies off, in voxels of the other grid.
    pub(crate) off_voxels: f64,
}

impl Alignment {
    /// Of the voxels of `from` on those of `onto`.
    ///
    /// # Errors
    /// [`ObjectError::OffGrid`] unless every voxel of `from` lies where a voxel of the lattice of `onto` lies.
    pub(crate) fn between(from: &Geometry, onto: &Geometry) -> Result<Alignment, ObjectError> {
        let off = |off_voxels| ObjectError::OffGrid {
            off_voxels,
            tolerance: TOLERANCE,
        };
        let image = |xyz: [f64; 3]| {
            let [x, y, z] = voxel_from_world(onto.affine, from.affine.world_from_voxel(xyz));
            [z, y, x]
        };
        let origin = image([0.0; 3]);
        let mut alignment = Alignment {
            axis: [3; 3],
            flipped: [false; 3],
            offset: [0; 3],
            off_voxels: 0.0,
        };
        for axis in 0..3 {
            let mut xyz = [0.0; 3];
            xyz[2 - axis] = 1.0;
            let next = image(xyz);
            let step: [f64; 3] = std::array::from_fn(|i| next[i] - origin[i]);
            let along = (0..3).fold(
                0,
                |best, i| if step[i].abs() > step[best].abs() { i } else { best },
            );
            if !step.iter().all(|v| v.is_finite()) || alignment.axis.contains(&along) {
                return Err(off(f64::INFINITY));
            }
            alignment.axis[axis] = along;
            alignment.flipped[axis] = step[along] < 0.0;
            if origin[along].abs() > 1e9 {
                return Err(off(f64::INFINITY));
            }
            alignment.offset[axis] = origin[along].round() as i64;
        }
        let last = from.shape.zyx().map(|n| n - 1);
        let corner = |bits: usize| std::array::from_fn(|a| if bits >> a & 1 == 1 { last[a] } else { 0 });
        let distance = |index: [usize; 3]| {
            let [z, y, x] = index.map(|i| i as f64);
            let (is, should) = (image([x, y, z]), alignment.image(index));
            (0..3)
                .map(|i| (is[i] - should[i] as f64).abs())
                .fold(0.0, f64::max)
        };
        let off_voxels = (0..8).map(|bits| distance(corner(bits))).fold(0.0, f64::max);
        match off_voxels <= TOLERANCE {
            true => Ok(Alignment {
                off_voxels,
                ..alignment
            }),
            false => Err(off(off_voxels)),
        }
    }

    /// Where a voxel `[z, y, x]` lies in the other grid, which it may lie outside of.
    pub(crate) fn image(&self, index: [usize; 3]) -> [i64; 3] {
        let mut image = [0; 3];
        for (axis, i) in index.into_iter().enumerate() {
            image[self.axis[axis]] = self.along(axis, i as i64);
        }
        image
    }

    /// Where index `i` of an axis lies along the axis of the other grid.
    pub(crate) fn along(&self, axis: usize, i: i64) -> i64 {
        match self.flipped[axis] {
            false => self.offset[axis] + i,
            true => self.offset[axis] - i,
        }
    }

    /// The other direction: index of the one grid, for a voxel of the other.
    pub(crate) fn inverse(&self, image: [i64; 3]) -> [i64; 3] {
        std::array::from_fn(|axis| {
            let past = image[self.axis[axis]] - self.offset[axis];
            if self.flipped[axis] { -past } else { past }
        })
    }
}

/// Voxel index `(x, y, z)`, with fractions, of a place in the world.
pub(crate) fn voxel_from_world(affine: Affine, world: [f64; 3]) -> [f64; 3] {
    let m = affine.rows();
    let b: [f64; 3] = std::array::from_fn(|r| world[r] - m[r][3]);
    let determinant = affine.determinant(); // not 0, or it is no affine
    let with = |column: usize| {
        let v = |r: usize, c: usize| if c == column { b[r] } else { m[r][c] };
        v(0, 0) * (v(1, 1) * v(2, 2) - v(1, 2) * v(2, 1)) - v(0, 1) * (v(1, 0) * v(2, 2) - v(1, 2) * v(2, 0))
            + v(0, 2) * (v(1, 0) * v(2, 1) - v(1, 1) * v(2, 0))
    };
    [0, 1, 2].map(|column| with(column) / determinant)
}
