//! Shape, spacing and affine, of which no wrong one can be made.

use std::fmt;

use crate::{BoundingBox, length};

/// Number of voxels per axis, `[z, y, x]`; every axis at least 1, the product fits `usize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape3([usize; 3]);

/// Millimeters between voxel centers per axis, `[z, y, x]`; finite and positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spacing([f64; 3]);

/// Voxel index `(i, j, k)` = `(x, y, z)` to world millimeters, RAS+, as NIfTI's sform; finite and invertible.
///
/// Rows are world axes; column `c` is the step of voxel axis `c` (x, y, z, offset).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine([[f64; 4]; 4]);

/// Where the voxels of an array lie in the world.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geometry {
    /// Voxels per axis, `[z, y, x]`.
    pub shape: Shape3,
    /// Of a reader's array: spacing as nnU-Net's reader reports it, `[z, y, x]`, in mm unless nibabel's reader leaves the
    /// unit as it is. May differ from the column norms of `affine` when the header contradicts itself; the network follows
    /// this one, measuring does not ([`Geometry::steps_mm`]). Of a file's frame and of masks: the column norms, in mm.
    pub spacing: Spacing,
    /// World position of the voxel centers.
    pub affine: Affine,
}

/// A geometry that cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// An axis has no voxels, or the number of voxels overflows.
    #[error("shape {shape:?} (z, y, x) has an empty axis or too many voxels")]
    Shape {
        /// As given.
        shape: [usize; 3],
    },
    /// A spacing is zero, negative or not finite.
    #[error("spacing {spacing:?} (z, y, x) must be finite and positive")]
    Spacing {
        /// As given.
        spacing: [f64; 3],
    },
    /// An entry of the affine is NaN or infinite.
    #[error("affine has an entry that is not finite")]
    AffineNotFinite,
    /// The affine maps different voxels to the same place.
    #[error("affine is singular (determinant {determinant})")]
    AffineSingular {
        /// Of its 3×3 part.
        determinant: f64,
    },
    /// There is no room for the voxels.
    #[error(transparent)]
    OutOfMemory(#[from] crate::OutOfMemory),
}

impl Shape3 {
    /// # Errors
    /// [`GeometryError::Shape`] if an axis is 0 or the product overflows.
    pub fn new(shape: [usize; 3]) -> Result<Self, GeometryError> {
        let n = shape.iter().try_fold(1usize, |n, &len| n.checked_mul(len));
        match n {
            Some(n) if n > 0 && n <= isize::MAX as usize => Ok(Shape3(shape)),
            _ => Err(GeometryError::Shape { shape }),
        }
    }

    /// `[z, y, x]`.
    pub fn zyx(self) -> [usize; 3] {
        self.0
    }

    /// `[x, y, z]`, the order of NIfTI headers and of the command line.
    pub fn xyz(self) -> [usize; 3] {
        [self.0[2], self.0[1], self.0[0]]
    }

    /// Number of voxels.
    pub fn n_voxels(self) -> usize {
        self.0.iter().product()
    }
}

impl fmt::Display for Shape3 {
    /// As `x × y × z`, the order a user sees in other tools.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [z, y, x] = self.0;
        write!(f, "{x}×{y}×{z}")
    }
}

impl Spacing {
    /// # Errors
    /// [`GeometryError::Spacing`] unless all are finite and positive.
    pub fn new(zyx: [f64; 3]) -> Result<Self, GeometryError> {
        if zyx.iter().all(|mm| mm.is_finite() && *mm > 0.0) {
            Ok(Spacing(zyx))
        } else {
            Err(GeometryError::Spacing { spacing: zyx })
        }
    }

    /// `[z, y, x]` in mm.
    pub fn zyx(self) -> [f64; 3] {
        self.0
    }

    /// `[x, y, z]` in mm.
    pub fn xyz(self) -> [f64; 3] {
        [self.0[2], self.0[1], self.0[0]]
    }
}

impl Affine {
    /// Takes the first three rows of a homogeneous matrix.
    ///
    /// # Errors
    /// [`GeometryError::AffineNotFinite`], [`GeometryError::AffineSingular`].
    pub fn new(rows: [[f64; 4]; 3]) -> Result<Self, GeometryError> {
        if rows.iter().flatten().any(|v| !v.is_finite()) {
            return Err(GeometryError::AffineNotFinite);
        }
        let affine = Affine([rows[0], rows[1], rows[2], [0.0, 0.0, 0.0, 1.0]]);
        // The scale-free measure: |det| against the product of the column norms.
        let determinant = affine.determinant();
        let norms: f64 = affine.column_norms_xyz().iter().product();
        if !determinant.is_finite() || norms == 0.0 || determinant.abs() <= 1e-9 * norms {
            return Err(GeometryError::AffineSingular { determinant });
        }
        Ok(affine)
    }

    /// Axis-aligned: world = spacing · index + origin (RAS+), `spacing` as `[z, y, x]`, `origin` as `[x, y, z]`.
    pub fn from_spacing(spacing: Spacing, origin_xyz: [f64; 3]) -> Self {
        let [sx, sy, sz] = spacing.xyz();
        let [ox, oy, oz] = origin_xyz;
        Affine([
            [sx, 0.0, 0.0, ox],
            [0.0, sy, 0.0, oy],
            [0.0, 0.0, sz, oz],
            [0.0, 0.0, 0.0, 1.0],
        ])
    }

    /// The 4×4 matrix, row by row.
    pub fn rows(self) -> [[f64; 4]; 4] {
        self.0
    }

    /// Length in mm of one step along voxel axis x, y, z.
    pub fn column_norms_xyz(self) -> [f64; 3] {
        std::array::from_fn(|c| (0..3).map(|r| self.0[r][c] * self.0[r][c]).sum::<f64>().sqrt())
    }

    /// World position (mm, RAS+) of the voxel with index `(x, y, z)`; fractions allowed.
    pub fn world_from_voxel(self, xyz: [f64; 3]) -> [f64; 3] {
        std::array::from_fn(|r| {
            self.0[r][0] * xyz[0] + self.0[r][1] * xyz[1] + self.0[r][2] * xyz[2] + self.0[r][3]
        })
    }

    /// Determinant of the 3×3 part.
    pub fn determinant(self) -> f64 {
        let m = self.0;
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    }

    /// The affine of the same field of view on another grid: the outer faces of the voxel block stay where they are
    /// (half-pixel centers), as nnU-Net's and scikit-image's `resize` do.
    ///
    /// Shapes are `[z, y, x]`. Voxel center `k` of the new grid lies at `(k + 0.5) · n/m − 0.5` of the old one.
    pub fn resized(self, from: Shape3, to: Shape3) -> Self {
        let (n, m) = (from.xyz(), to.xyz());
        let ratio: [f64; 3] = std::array::from_fn(|c| n[c] as f64 / m[c] as f64);
        let first = self.world_from_voxel(std::array::from_fn(|c| 0.5 * ratio[c] - 0.5));
        let mut rows = self.0;
        for (r, row) in rows.iter_mut().take(3).enumerate() {
            for c in 0..3 {
                row[c] *= ratio[c];
            }
            row[3] = first[r];
        }
        Affine(rows)
    }
}

impl Geometry {
    /// Millimeters from voxel to voxel along z, y, x, as the world has them: the lengths of the affine's columns. What is
    /// measured in mm is measured with these, never with [`Geometry::spacing`], which is the network's.
    pub fn steps_mm(&self) -> [f64; 3] {
        let [x, y, z] = self.affine.column_norms_xyz();
        [z, y, x]
    }

    /// Volume of one voxel in cubic millimeters, as the world has it; sheared axes count.
    pub fn voxel_mm3(&self) -> f64 {
        self.affine.determinant().abs()
    }

    /// The same grid with one set of lengths: where `spacing` is not [`Geometry::steps_mm`] up to the rounding of headers,
    /// it becomes that. A header may contradict itself, and the third spacing of a 2-D image is made up.
    pub fn measured(mut self) -> Geometry {
        let spacing = self.spacing.zyx();
        // An error if the squares of tiny steps vanish; then there is nothing to compare with.
        if let Ok(steps) = Spacing::new(self.steps_mm())
            && !(0..3).all(|axis| length::same(spacing[axis], steps.zyx()[axis]))
        {
            self.spacing = steps;
        }
        self
    }

    /// The grid of a box of its voxels, `[z, y, x]`: world positions stay.
    ///
    /// # Errors
    /// [`GeometryError::Shape`] if the box is empty, [`GeometryError::AffineNotFinite`] if it lies too far out.
    pub fn crop(&self, bounds: &BoundingBox) -> Result<Geometry, GeometryError> {
        let [z, y, x] = bounds.start.map(|index| index as f64);
        let origin = self.affine.world_from_voxel([x, y, z]);
        let rows = self.affine.rows();
        Ok(Geometry {
            shape: Shape3::new(bounds.shape())?,
            spacing: self.spacing,
            affine: Affine::new([0, 1, 2].map(|r| [rows[r][0], rows[r][1], rows[r][2], origin[r]]))?,
        })
    }

    /// The same field of view with another number of voxels.
    pub fn resized(&self, shape: Shape3) -> Geometry {
        let (n, m) = (self.shape.zyx(), shape.zyx());
        let old = self.spacing.zyx();
        Geometry {
            shape,
            spacing: Spacing(std::array::from_fn(|a| old[a] * n[a] as f64 / m[a] as f64)),
            affine: self.affine.resized(self.shape, shape),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_overflowing_shapes_are_refused() {
        for shape in [[0, 1, 1], [1, 0, 1], [usize::MAX, 2, 1], [1 << 31, 1 << 31, 4]] {
            assert!(Shape3::new(shape).is_err(), "{shape:?}");
        }
        assert_eq!(Shape3::new([2, 3, 4]).unwrap().n_voxels(), 24);
    }

    #[test]
    fn lengths_and_volumes_are_those_of_the_world() {
        let rows = [[0.0, -2.0, 0.0, 7.0], [3.0, 0.0, 0.3, -4.0], [0.0, 0.0, 0.4, 1.0]];
        let of = |spacing| Geometry {
            shape: Shape3::new([8, 9, 10]).unwrap(),
            spacing: Spacing::new(spacing).unwrap(),
            affine: Affine::new(rows).unwrap(),
        };
        let contradicts = of([999.0, 1.0, 1.0]);
        assert_eq!(contradicts.steps_mm(), [0.5, 2.0, 3.0]);
        // the third axis leans: 3 · 2 · 0.4 and not 3 · 2 · 0.5
        assert!((contradicts.voxel_mm3() - 2.4).abs() < 1e-12);
        assert_eq!(contradicts.measured(), of([0.5, 2.0, 3.0]));
        let rounded = of([0.5, f64::from(2.0f32 + 1e-7), 3.0 + 1e-8]);
        assert_eq!(
            rounded.measured(),
            rounded,
            "the same up to the rounding of headers"
        );
    }

    #[test]
    fn voxels_of_a_box_stay_where_they_are() {
        let rows = [[0.0, -2.0, 0.0, 7.0], [3.0, 0.0, 0.0, -4.0], [0.0, 0.0, 0.5, 1.0]];
        let geometry = Geometry {
            shape: Shape3::new([8, 9, 10]).unwrap(),
            spacing: Spacing::new([0.5, 2.0, 3.0]).unwrap(),
            affine: Affine::new(rows).unwrap(),
        };
        let bounds = BoundingBox {
            start: [1, 2, 3],
            end: [5, 4, 10],
        };
        let part = geometry.crop(&bounds).unwrap();
        assert_eq!((part.shape.zyx(), part.spacing), ([4, 2, 7], geometry.spacing));
        let (was, is) = ([4.0, 3.0, 5.0], [1.0, 1.0, 4.0]);
        assert_eq!(
            part.affine.world_from_voxel(is),
            geometry.affine.world_from_voxel(was)
        );
        let empty = BoundingBox {
            start: [1, 2, 3],
            end: [5, 2, 10],
        };
        assert!(geometry.crop(&empty).is_err());
    }

    #[test]
    fn singular_and_nan_affines_are_refused() {
        let flat = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 5.0]];
        assert!(matches!(
            Affine::new(flat),
            Err(GeometryError::AffineSingular { .. })
        ));
        let mut nan = flat;
        nan[2][2] = f64::NAN;
        assert_eq!(Affine::new(nan), Err(GeometryError::AffineNotFinite));
        let tiny = [
            [1e-6, 0.0, 0.0, 0.0],
            [0.0, 1e-6, 0.0, 0.0],
            [0.0, 0.0, 1e-6, 0.0],
        ];
        assert!(Affine::new(tiny).is_ok(), "small spacing is not singular");
    }

    #[test]
    fn resizing_keeps_the_outer_faces() {
        let from = Shape3::new([4, 6, 8]).unwrap();
        let to = Shape3::new([7, 3, 16]).unwrap();
        let rows = [
            [0.9, 0.1, 0.0, -3.0],
            [-0.1, 0.9, 0.2, 4.0],
            [0.0, -0.2, 2.5, 7.0],
        ];
        let affine = Affine::new(rows).unwrap();
        let resized = affine.resized(from, to);
        let faces = |a: Affine, s: Shape3| {
            let [x, y, z] = s.xyz();
            [
                a.world_from_voxel([-0.5; 3]),
                a.world_from_voxel([x as f64 - 0.5, y as f64 - 0.5, z as f64 - 0.5]),
            ]
        };
        for (p, q) in faces(affine, from)
            .iter()
            .flatten()
            .zip(faces(resized, to).iter().flatten())
        {
            assert!((p - q).abs() < 1e-12, "{p} {q}");
        }
    }
}
