//! From the spacing or shape that a user wants to the grid that it means.

use nephrite_types::{Geometry, Limits, Shape3, Spacing, length};

use crate::ResampleError;

/// The grid that a user wants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ResizeTarget {
    /// This many voxels per axis.
    Shape(Shape3),
    /// About this spacing: the field of view is kept, so an axis gets `spacing / target · n` voxels, rounded to the
    /// nearest whole number (ties to even, as nnU-Net rounds; what headers made of a tie is one) and at least 1. The
    /// spacing of the result is what that number makes of it.
    Spacing(Spacing),
}

impl ResizeTarget {
    /// The geometry of the result: the same outer faces on another grid.
    ///
    /// # Errors
    /// [`ResampleError::OverLimit`] if the result has more than `limits.max_voxels` voxels of `voxel_bytes` bytes, or
    /// more than `limits.max_payload_bytes` bytes.
    pub fn geometry(
        &self,
        source: &Geometry,
        voxel_bytes: usize,
        limits: &Limits,
    ) -> Result<Geometry, ResampleError> {
        let shape = match self {
            ResizeTarget::Shape(shape) => shape.zyx().map(|len| len as u64),
            ResizeTarget::Spacing(target) => {
                let (n, old, new) = (source.shape.zyx(), source.spacing.zyx(), target.zyx());
                std::array::from_fn(|axis| {
                    // The conversion saturates, and what is too large is over the limit below.
                    (length::nearest_count(old[axis] / new[axis] * n[axis] as f64) as u64).max(1)
                })
            }
        };
        let over = |unit, limit: u64, found: Option<u64>| ResampleError::OverLimit {
            unit,
            limit,
            found: found.unwrap_or(u64::MAX),
        };
        let n_voxels = shape.iter().try_fold(1u64, |n, &len| n.checked_mul(len));
        if n_voxels.is_none_or(|n| n > limits.max_voxels) {
            return Err(over("voxels", limits.max_voxels, n_voxels));
        }
        let n_bytes = n_voxels.and_then(|n| n.checked_mul(voxel_bytes as u64));
        if n_bytes.is_none_or(|n| n > limits.max_payload_bytes) {
            return Err(over("bytes", limits.max_payload_bytes, n_bytes));
        }
        let too_large = || over("voxels", limits.max_voxels, n_voxels);
        let mut zyx = [0usize; 3];
        for (len, &wanted) in zyx.iter_mut().zip(&shape) {
            *len = usize::try_from(wanted).map_err(|_| too_large())?;
        }
        Ok(source.resized(Shape3::new(zyx).map_err(|_| too_large())?))
    }
}

#[cfg(test)]
mod tests {
    use nephrite_types::Affine;

    use super::*;

    fn source() -> Geometry {
        let spacing = Spacing::new([5.0, 0.7, 0.7]).unwrap();
        Geometry {
            shape: Shape3::new([10, 101, 33]).unwrap(),
            spacing,
            affine: Affine::from_spacing(spacing, [1.0, 2.0, 3.0]),
        }
    }

    #[test]
    fn a_spacing_gives_whole_voxels_over_the_same_field_of_view() {
        let check = |zyx: [f64; 3], expected: [usize; 3]| {
            let target = ResizeTarget::Spacing(Spacing::new(zyx).unwrap());
            let geometry = target.geometry(&source(), 2, &Limits::default()).unwrap();
            assert_eq!(geometry.shape.zyx(), expected, "{zyx:?}");
            for axis in 0..3 {
                let length = |g: &Geometry| g.spacing.zyx()[axis] * g.shape.zyx()[axis] as f64;
                assert!((length(&geometry) - length(&source())).abs() < 1e-12, "{zyx:?}");
            }
        };
        check([5.0, 0.7, 0.7], [10, 101, 33]);
        check([2.0, 1.4, 1.4], [25, 50, 16]); // 50.5 and 16.5 are ties
        check([20.0, 1e3, 1e3], [2, 1, 1]); // 2.5 is a tie; never 0
    }

    #[test]
    fn what_a_header_made_of_a_spacing_has_the_same_ties() {
        for (mm, target, n) in [(0.8, 1.6, 101), (0.7, 1.4, 101), (0.9, 1.8, 101), (0.3, 0.6, 333)] {
            let shape = |mm: f64| {
                let spacing = Spacing::new([mm; 3]).unwrap();
                let source = Geometry {
                    shape: Shape3::new([1, 1, n]).unwrap(),
                    spacing,
                    affine: Affine::from_spacing(spacing, [0.0; 3]),
                };
                let target = ResizeTarget::Spacing(Spacing::new([target; 3]).unwrap());
                target
                    .geometry(&source, 1, &Limits::default())
                    .unwrap()
                    .shape
                    .zyx()
            };
            let expected = (n as f64 / 2.0).round_ties_even() as usize;
            assert_eq!(shape(f64::from(mm as f32))[2], expected, "{mm}");
            assert_eq!(shape(mm)[2], expected, "{mm}");
        }
    }

    #[test]
    fn a_grid_over_the_limits_is_refused() {
        let fine = ResizeTarget::Spacing(Spacing::new([1e-300; 3]).unwrap());
        let err = fine.geometry(&source(), 1, &Limits::default()).unwrap_err();
        assert!(
            matches!(
                err,
                ResampleError::OverLimit {
                    unit: "voxels",
                    found: u64::MAX,
                    ..
                }
            ),
            "{err}"
        );
        let limits = Limits {
            max_voxels: 1000,
            max_payload_bytes: 1999,
            ..Limits::default()
        };
        let shape = |zyx| ResizeTarget::Shape(Shape3::new(zyx).unwrap());
        assert!(shape([10, 10, 10]).geometry(&source(), 1, &limits).is_ok());
        let err = shape([10, 10, 10]).geometry(&source(), 2, &limits).unwrap_err();
        assert_eq!(
            err,
            ResampleError::OverLimit {
                unit: "bytes",
                limit: 1999,
                found: 2000
            }
        );
        let err = shape([10, 10, 11]).geometry(&source(), 1, &limits).unwrap_err();
        assert_eq!(
            err,
            ResampleError::OverLimit {
                unit: "voxels",
                limit: 1000,
                found: 1100
            }
        );
    }
}
