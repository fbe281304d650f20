//! Intensities as the network saw them in training, with sums that do not depend on threads.

use ndarray::{Array3, ArrayView3, Axis};
use nephrite_resample::Real;
use nephrite_types::{IntensityScale, Stored};
use rayon::prelude::*;

/// nnU-Net's smallest divisor.
const EPSILON: f32 = 1e-8;

/// What turns the intensities of one channel into network input. All arithmetic is f32, as in the reference.
///
/// Source: nnunetv2 2.8.1, `preprocessing/normalization/default_normalization_schemes.py`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Normalizer {
    /// Leaves intensities alone.
    Identity,
    /// Clips, then shifts and scales with constants from the training set.
    Ct {
        /// 0.5 and 99.5 percentile.
        clip: [f32; 2],
        /// Subtracted.
        mean: f32,
        /// Divides.
        std: f32,
    },
    /// `(x − shift) / scale`.
    Affine {
        /// Subtracted.
        shift: f32,
        /// Divides.
        scale: f32,
        /// Voxels outside the non-zero mask keep their value.
        only_inside: bool,
    },
}

/// A channel that cannot be normalized as its plans want.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("rgb normalization needs intensities of 0 to 255, found {min} to {max}")]
pub struct NotRgb {
    /// Smallest intensity.
    pub min: f32,
    /// Largest intensity.
    pub max: f32,
}

impl Normalizer {
    /// Clip and z-score with constants of the training set (Hounsfield units for CT).
    pub(crate) fn ct(percentile_00_5: f64, percentile_99_5: f64, mean: f64, std: f64) -> Self {
        Normalizer::Ct {
            clip: [percentile_00_5 as f32, percentile_99_5 as f32],
            mean: mean as f32,
            std: (std as f32).max(EPSILON),
        }
    }

    /// Mean and population standard deviation of the cropped channel; inside `mask` only, if there is one.
    pub(crate) fn z_score<T: Stored>(
        channel: ArrayView3<'_, T>,
        scale: IntensityScale,
        mask: Option<&Array3<bool>>,
    ) -> Self {
        let (n, sum) = sum_over(channel, scale, mask, |x| x);
        let mean = if n == 0 { f64::NAN } else { sum / n as f64 };
        let (_, squares) = sum_over(channel, scale, mask, |x| (x - mean) * (x - mean));
        let std = (squares / n.max(1) as f64).sqrt();
        Normalizer::Affine {
            shift: mean as f32,
            scale: (std as f32).max(EPSILON),
            only_inside: mask.is_some(),
        }
    }

    /// To 0…1 over the cropped channel.
    pub(crate) fn rescale_to_01<T: Stored>(channel: ArrayView3<'_, T>, scale: IntensityScale) -> Self {
        let (min, max) = min_max(channel, scale);
        Normalizer::Affine {
            shift: min,
            scale: (max - min).max(EPSILON),
            only_inside: false,
        }
    }

    /// 0…255 to 0…1.
    ///
    /// # Errors
    /// [`NotRgb`] if an intensity lies outside.
    pub(crate) fn rgb_to_01<T: Stored>(
        channel: ArrayView3<'_, T>,
        scale: IntensityScale,
    ) -> Result<Self, NotRgb> {
        let (min, max) = min_max(channel, scale);
        if min < 0.0 || max > 255.0 {
            return Err(NotRgb { min, max });
        }
        Ok(Normalizer::Affine {
            shift: 0.0,
            scale: 255.0,
            only_inside: false,
        })
    }

    /// The network input of one intensity; `inside` says whether the voxel lies in the non-zero mask.
    #[inline(always)]
    pub(crate) fn apply(&self, x: f32, inside: bool) -> f32 {
        match *self {
            Normalizer::Identity => x,
            Normalizer::Ct {
                clip: [lo, hi],
                mean,
                std,
            } => {
                // written so that NaN passes through, as numpy's clip lets it
                let clipped = if x < lo {
                    lo
                } else if x > hi {
                    hi
                } else {
                    x
                };
                (clipped - mean) / std
            }
            Normalizer::Affine {
                shift,
                scale,
                only_inside,
            } => {
                if only_inside && !inside {
                    x
                } else {
                    (x - shift) / scale
                }
            }
        }
    }

    /// [`Normalizer::apply`] for many voxels, all inside: `out[i]` is that of the `i`th intensity.
    #[inline(always)]
    pub(crate) fn write<T: Real>(&self, intensities: impl Iterator<Item = f32>, out: &mut [T]) {
        let out = out.iter_mut().zip(intensities);
        // What `self` is, is known to the compiler in each of these loops.
        match *self {
            Normalizer::Identity => out.for_each(|(o, x)| *o = real(x)),
            Normalizer::Ct { clip, mean, std } => {
                let ct = Normalizer::Ct { clip, mean, std };
                out.for_each(|(o, x)| *o = real(ct.apply(x, true)));
            }
            Normalizer::Affine { shift, scale, .. } => {
                let affine = Normalizer::Affine {
                    shift,
                    scale,
                    only_inside: false,
                };
                out.for_each(|(o, x)| *o = real(affine.apply(x, true)));
            }
        }
    }
}

#[inline(always)]
fn real<T: Real>(x: f32) -> T {
    T::from_f64(f64::from(x))
}

/// Number of voxels and sum of `term` over them, in f64; the same for any number of threads.
fn sum_over<T: Stored>(
    channel: ArrayView3<'_, T>,
    scale: IntensityScale,
    mask: Option<&Array3<bool>>,
    term: impl Fn(f64) -> f64 + Sync,
) -> (u64, f64) {
    let per_plane: Vec<(u64, f64)> = channel
        .axis_iter(Axis(0))
        .into_par_iter()
        .enumerate()
        .map(|(z, plane)| {
            let value = |v: &T| term(f64::from(scale.apply(*v)));
            match mask {
                None => (plane.len() as u64, plane.iter().map(value).sum()),
                Some(mask) => plane
                    .iter()
                    .zip(mask.index_axis(Axis(0), z))
                    .filter(|(_, inside)| **inside)
                    .fold((0, 0.0), |(n, sum), (v, _)| (n + 1, sum + value(v))),
            }
        })
        .collect();
    per_plane
        .into_iter()
        .fold((0, 0.0), |(n, sum), (m, part)| (n + m, sum + part))
}

/// Smallest and largest intensity.
fn min_max<T: Stored>(channel: ArrayView3<'_, T>, scale: IntensityScale) -> (f32, f32) {
    channel
        .axis_iter(Axis(0))
        .into_par_iter()
        .map(|plane| {
            plane
                .iter()
                .map(|v| scale.apply(*v))
                .fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), x| {
                    (lo.min(x), hi.max(x))
                })
        })
        .reduce(
            || (f32::INFINITY, f32::NEG_INFINITY),
            |a, b| (a.0.min(b.0), a.1.max(b.1)),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: IntensityScale = IntensityScale::IDENTITY;

    #[test]
    fn ct_clips_before_it_shifts() {
        let ct = Normalizer::ct(-100.0, 300.0, 100.0, 50.0);
        assert_eq!(ct.apply(-1000.0, false), -4.0);
        assert_eq!(ct.apply(1000.0, false), 4.0);
        assert_eq!(ct.apply(125.0, false), 0.5);
        assert!(ct.apply(f32::NAN, true).is_nan());
        assert_eq!(Normalizer::ct(0.0, 1.0, 0.0, 0.0).apply(1.0, true), 1.0 / EPSILON);
    }

    #[test]
    fn many_voxels_are_normalized_as_each_of_them() {
        let intensities: Vec<f32> = (-1000..1000)
            .step_by(7)
            .map(|x| x as f32)
            .chain([f32::NAN])
            .collect();
        let affine = |only_inside| Normalizer::Affine {
            shift: 31.5,
            scale: 7.25,
            only_inside,
        };
        let ct = Normalizer::ct(-200.0, 400.0, 60.0, 120.0);
        for normalizer in [Normalizer::Identity, ct, affine(false), affine(true)] {
            let (mut narrow, mut wide) = (vec![0f32; intensities.len()], vec![0f64; intensities.len()]);
            normalizer.write(intensities.iter().copied(), &mut narrow);
            normalizer.write(intensities.iter().copied(), &mut wide);
            for ((x, narrow), wide) in intensities.iter().zip(narrow).zip(wide) {
                let expected = normalizer.apply(*x, true);
                assert_eq!(narrow.to_bits(), expected.to_bits());
                assert!(wide == f64::from(expected) || wide.is_nan() && x.is_nan());
            }
        }
    }

    #[test]
    fn z_score_counts_only_the_mask_and_leaves_the_rest_raw() {
        let channel = Array3::from_shape_vec((1, 1, 4), vec![1i16, 3, 100, 0]).unwrap();
        let mask = Array3::from_shape_vec((1, 1, 4), vec![true, true, false, false]).unwrap();
        let masked = Normalizer::z_score(channel.view(), ID, Some(&mask));
        assert_eq!(
            masked,
            Normalizer::Affine {
                shift: 2.0,
                scale: 1.0,
                only_inside: true
            }
        );
        assert_eq!(masked.apply(3.0, true), 1.0);
        assert_eq!(masked.apply(100.0, false), 100.0);
        let whole = Normalizer::z_score(channel.view(), ID, None);
        assert!(matches!(
            whole,
            Normalizer::Affine {
                shift: 26.0,
                only_inside: false,
                ..
            }
        ));
    }

    #[test]
    fn rescaling_and_rgb() {
        let channel = Array3::from_shape_vec((1, 1, 3), vec![10u8, 20, 30]).unwrap();
        let rescale = Normalizer::rescale_to_01(channel.view(), ID);
        assert_eq!(
            [10.0, 20.0, 30.0].map(|x| rescale.apply(x, false)),
            [0.0, 0.5, 1.0]
        );
        assert_eq!(
            Normalizer::rgb_to_01(channel.view(), ID)
                .unwrap()
                .apply(255.0, true),
            1.0
        );
        let wide = Array3::from_elem((1, 1, 1), 256i16);
        assert_eq!(
            Normalizer::rgb_to_01(wide.view(), ID),
            Err(NotRgb {
                min: 256.0,
                max: 256.0
            })
        );
    }
}
