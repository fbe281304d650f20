//! What a resize does on each axis: which interpolation, whose coordinates, clipped or not.

use crate::ResampleError;

/// How values between voxel centers are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interpolation {
    /// The nearest voxel; a tie goes to the higher index. nnU-Net's order 0.
    Nearest,
    /// Linear per axis. Order 1.
    Linear,
    /// Cubic B-spline interpolation of the edge-extended signal. Order 3.
    Cubic,
}

impl Interpolation {
    /// The interpolation of a spline order as nnU-Net's plans give it; `None` for orders that are not supported.
    pub fn from_order(order: u64) -> Option<Self> {
        match order {
            0 => Some(Interpolation::Nearest),
            1 => Some(Interpolation::Linear),
            3 => Some(Interpolation::Cubic),
            _ => None,
        }
    }
}

/// Which library's coordinates are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grid {
    /// Coordinates in f64, as scipy computes them.
    Scipy,
    /// Coordinates and weights in f32, as `torch.nn.functional.interpolate(align_corners=False)` computes them.
    Torch,
}

/// What a resize does on each axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResizePlan {
    in_plane: Interpolation,
    separate: Option<(usize, Interpolation)>,
    clip: bool,
    grid: Grid,
}

impl ResizePlan {
    /// The same interpolation on all three axes, clipped to the range of the input: `skimage.transform.resize` with
    /// `mode="edge", anti_aliasing=False`.
    pub fn new(interpolation: Interpolation) -> Self {
        ResizePlan {
            in_plane: interpolation,
            separate: None,
            clip: true,
            grid: Grid::Scipy,
        }
    }

    /// nnU-Net's separate-axis mode: every slice perpendicular to `axis` is resized on its own and clipped to its own
    /// range, then `interpolation` is applied along `axis`, without clip.
    ///
    /// Source: nnunetv2 2.8.1, `preprocessing/resampling/default_resampling.py`, `resample_data_or_seg`.
    ///
    /// # Errors
    /// [`ResampleError::SeparateAxis`] unless `axis` is 0, 1 or 2.
    pub fn with_separate_axis(
        self,
        axis: usize,
        interpolation: Interpolation,
    ) -> Result<Self, ResampleError> {
        if axis > 2 {
            return Err(ResampleError::SeparateAxis { axis });
        }
        Ok(ResizePlan {
            separate: Some((axis, interpolation)),
            ..self
        })
    }

    /// The same without clip.
    pub fn without_clip(self) -> Self {
        ResizePlan { clip: false, ..self }
    }

    /// `resample_torch_fornnunet`: trilinear with f32 coordinates; with a separate axis bilinear per slice, then
    /// nearest-exact along that axis. No clip.
    ///
    /// Source: nnunetv2 2.8.1, `preprocessing/resampling/resample_torch.py`; PyTorch `aten/src/ATen/native/UpSample.h`.
    ///
    /// # Errors
    /// [`ResampleError::SeparateAxis`] unless `separate` is `None` or 0, 1, 2.
    pub fn torch(separate: Option<usize>) -> Result<Self, ResampleError> {
        let plan = ResizePlan {
            in_plane: Interpolation::Linear,
            separate: None,
            clip: false,
            grid: Grid::Torch,
        };
        match separate {
            Some(axis) => plan.with_separate_axis(axis, Interpolation::Nearest),
            None => Ok(plan),
        }
    }

    /// The interpolation of the axes that are not separate.
    pub fn in_plane(&self) -> Interpolation {
        self.in_plane
    }

    /// The separate axis and what is done along it.
    pub fn separate(&self) -> Option<(usize, Interpolation)> {
        self.separate
    }

    /// True if results are clipped to the range of the input (of each slice, with a separate axis).
    pub fn clips(&self) -> bool {
        self.clip
    }

    /// True for the coordinates and weights of torch.
    pub fn is_torch(&self) -> bool {
        self.grid == Grid::Torch
    }

    pub(crate) fn grid(&self) -> Grid {
        self.grid
    }

    /// The interpolation along one axis.
    pub fn interpolation(&self, axis: usize) -> Interpolation {
        match self.separate {
            Some((separate, interpolation)) if separate == axis => interpolation,
            _ => self.in_plane,
        }
    }
}

/// nnU-Net's `force_separate_z`. In plans, `true` and `false` are the first two; null, or what a function's own
/// default says when the key is absent, is for the caller to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForceSeparateZ {
    /// The axis with the largest current spacing, however isotropic.
    Always,
    /// No axis.
    Never,
    /// Where the spacing is anisotropic.
    Auto,
}

/// The axis that nnU-Net resamples on its own, if any.
///
/// Spacings in mm, in the array's axis order. With [`ForceSeparateZ::Auto`] the current spacing decides if its largest
/// entry is more than `threshold` times its smallest, else the new spacing if it is that anisotropic. An axis is
/// separate only if it alone has the largest spacing.
///
/// Source: nnunetv2 2.8.1, `determine_do_sep_z_and_axis`.
pub fn separate_axis(
    force: ForceSeparateZ,
    current: [f64; 3],
    new: [f64; 3],
    threshold: f64,
) -> Option<usize> {
    let max = |s: [f64; 3]| s.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let min = |s: [f64; 3]| s.into_iter().fold(f64::INFINITY, f64::min);
    let is_anisotropic = |s: [f64; 3]| max(s) / min(s) > threshold;
    let deciding = match force {
        ForceSeparateZ::Always => current,
        ForceSeparateZ::Never => return None,
        ForceSeparateZ::Auto if is_anisotropic(current) => current,
        ForceSeparateZ::Auto if is_anisotropic(new) => new,
        ForceSeparateZ::Auto => return None,
    };
    let mut largest = (0..3).filter(|&axis| max(deciding) / deciding[axis] == 1.0);
    match (largest.next(), largest.next()) {
        (Some(axis), None) => Some(axis),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_separate_axis_is_the_unique_largest_of_the_first_anisotropic_spacing() {
        use ForceSeparateZ::{Always, Auto, Never};
        let check = |force, current, new, expected| {
            assert_eq!(
                separate_axis(force, current, new, 3.0),
                expected,
                "{force:?} {current:?} {new:?}"
            );
        };
        check(Auto, [5.0, 1.0, 1.0], [1.0, 1.0, 1.0], Some(0));
        check(Auto, [3.0, 1.0, 1.0], [1.0, 1.0, 1.0], None); // strict
        check(Auto, [0.8, 5.0, 0.9], [4.0, 0.7, 1.1], Some(1)); // the current one decides first
        check(Auto, [1.0, 1.0, 1.0], [1.0, 1.0, 4.0], Some(2));
        check(Auto, [0.24, 1.25, 1.25], [1.0, 1.0, 4.0], None); // two largest: ordinary, whatever the new one is
        check(Auto, [999.0, 1.0, 1.0], [999.0, 2.0, 2.0], Some(0)); // a 2-D image
        check(Always, [1.0, 1.1, 1.0], [9.0, 1.0, 1.0], Some(1));
        check(Always, [1.0, 1.0, 1.0], [9.0, 1.0, 1.0], None);
        check(Never, [9.0, 1.0, 1.0], [9.0, 1.0, 1.0], None);
    }

    #[test]
    fn only_orders_0_1_3_and_axes_0_1_2_exist() {
        let known: Vec<u64> = (0..8)
            .filter(|&order| Interpolation::from_order(order).is_some())
            .collect();
        assert_eq!(known, [0, 1, 3]);
        let plan = ResizePlan::new(Interpolation::Cubic);
        assert!(plan.with_separate_axis(2, Interpolation::Nearest).is_ok());
        assert_eq!(
            plan.with_separate_axis(3, Interpolation::Nearest),
            Err(ResampleError::SeparateAxis { axis: 3 })
        );
    }
}
