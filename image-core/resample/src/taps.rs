//! Where on a source axis each output sample lies, and with which weights it reads.
//!
//! `n` is the number of source samples, `m` the number of output samples; both at least 1. Output `k` lies at source
//! coordinate `(k + 0.5) · n/m − 0.5` (half-pixel centers).

use crate::Real;

/// One output sample of a linear axis: `w_lo · v[lo] + w_hi · v[hi]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearTap<T> {
    /// Lower source index.
    pub lo: usize,
    /// Upper source index: `lo + 1`, or `lo` at the end of the axis.
    pub hi: usize,
    /// Weight of the lower.
    pub w_lo: T,
    /// Weight of the upper.
    pub w_hi: T,
}

/// One output sample of a cubic axis: `Σ w[j] · c[first + j]`, where `c` holds the spline coefficients of source
/// indices −2 … n+1 and is indexed from 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CubicTap<T> {
    pub(crate) first: usize,
    /// Six times the B-spline weights: the gain of the prefilter is applied here.
    pub(crate) w: [T; 4],
}

/// Pole of the cubic B-spline prefilter, `√3 − 2`, as scipy writes it; the subtraction in f64 would be off by 5e-17.
pub(crate) const POLE: f64 = -0.267_949_192_431_122_7;

/// Source coordinate of output `k`, in f64 and in scipy's order of operations.
pub(crate) fn coordinate(k: usize, n: usize, m: usize) -> f64 {
    (k as f64 + 0.5) * (n as f64 / m as f64) - 0.5
}

/// Nearest source index per output sample; a tie goes to the higher index.
///
/// Source: scipy 1.17 `ndimage/src/ni_interpolation.c`, `NI_ZoomShift`, order 0, mode `nearest`, `grid_mode`.
pub fn nearest_indices(n: usize, m: usize) -> Vec<usize> {
    (0..m)
        .map(|k| ((coordinate(k, n, m) + 0.5).floor().max(0.0) as usize).min(n - 1))
        .collect()
}

/// Taps of the linear operator, weights computed in f64 as scipy does and rounded to `T` once.
///
/// Coordinates outside the axis are moved to its ends.
///
/// Source: scipy 1.17 `NI_ZoomShift`, order 1, mode `nearest`, `grid_mode`.
pub fn linear_taps<T: Real>(n: usize, m: usize) -> Vec<LinearTap<T>> {
    (0..m)
        .map(|k| {
            let x = coordinate(k, n, m).clamp(0.0, (n - 1) as f64);
            let lo = x.floor() as usize;
            let w_lo = 1.0 - (x - x.floor());
            // The upper weight is what remains, not the fraction: bit for bit as in scipy.
            let w_hi = 1.0 - w_lo;
            LinearTap {
                lo,
                hi: (lo + 1).min(n - 1),
                w_lo: T::from_f64(w_lo),
                w_hi: T::from_f64(w_hi),
            }
        })
        .collect()
}

/// Taps of the linear operator with coordinates and weights computed in f32, as
/// `torch.nn.functional.interpolate(mode="trilinear" or "bilinear", align_corners=False)` does.
///
/// Source: PyTorch `aten/src/ATen/native/UpSample.h`, `compute_source_index_and_lambda`.
pub fn torch_linear_taps<T: Real>(n: usize, m: usize) -> Vec<LinearTap<T>> {
    let scale = n as f32 / m as f32;
    (0..m)
        .map(|k| {
            let x = (scale * (k as f32 + 0.5) - 0.5).max(0.0);
            let lo = (x.floor() as usize).min(n - 1);
            let w_hi = (x - lo as f32).clamp(0.0, 1.0);
            LinearTap {
                lo,
                hi: (lo + 1).min(n - 1),
                w_lo: T::from_f64(f64::from(1.0 - w_hi)),
                w_hi: T::from_f64(f64::from(w_hi)),
            }
        })
        .collect()
}

/// Source index per output sample of `torch.nn.functional.interpolate(mode="nearest-exact")`, computed in f32.
///
/// Source: PyTorch `aten/src/ATen/native/UpSample.h`, `nearest_exact_neighbor_compute_source_index`.
pub fn torch_nearest_exact(n: usize, m: usize) -> Vec<usize> {
    let scale = n as f32 / m as f32;
    (0..m)
        .map(|k| (((k as f32 + 0.5) * scale).floor() as usize).min(n - 1))
        .collect()
}

/// Taps of the cubic B-spline operator.
pub(crate) fn cubic_taps<T: Real>(n: usize, m: usize) -> Vec<CubicTap<T>> {
    (0..m)
        .map(|k| {
            // Within (-0.5, n - 0.5), so that the support i-1 .. i+2 lies within the coefficients -2 .. n+1.
            let x = coordinate(k, n, m).clamp(-0.5, n as f64 - 0.5);
            let i = x.floor().min((n - 1) as f64);
            let t = x - i;
            let u = 1.0 - t;
            let w0 = u * u * u;
            let w1 = t * t * (t - 2.0) * 3.0 + 4.0;
            let w2 = u * u * (u - 2.0) * 3.0 + 4.0;
            let w3 = 6.0 - w0 - w1 - w2;
            CubicTap {
                first: (i + 1.0) as usize,
                w: [w0, w1, w2, w3].map(T::from_f64),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_ties_go_up() {
        let check = |n, m, expected: &[usize]| assert_eq!(nearest_indices(n, m), expected, "{n} to {m}");
        check(5, 8, &[0, 0, 1, 2, 2, 3, 4, 4]);
        check(5, 3, &[0, 2, 4]);
        check(6, 3, &[1, 3, 5]); // halving takes the upper of two
        check(2, 4, &[0, 0, 1, 1]);
        check(1, 3, &[0, 0, 0]);
        check(4, 1, &[2]);
    }

    #[test]
    fn torch_nearest_exact_follows_the_voxel_centre() {
        assert_eq!(torch_nearest_exact(6, 3), [1, 3, 5]);
        assert_eq!(torch_nearest_exact(5, 8), [0, 0, 1, 2, 2, 3, 4, 4]);
        assert_eq!(torch_nearest_exact(1, 2), [0, 0]);
    }

    #[test]
    fn weights_sum_to_one_and_taps_stay_inside() {
        for (n, m) in [
            (1, 1),
            (1, 5),
            (2, 7),
            (7, 2),
            (5, 5),
            (336, 224),
            (100, 333),
            (3, 1),
        ] {
            for tap in linear_taps::<f64>(n, m) {
                assert_eq!(tap.w_lo + tap.w_hi, 1.0);
                assert!(tap.w_lo >= 0.0 && tap.w_hi >= 0.0 && tap.lo <= tap.hi && tap.hi < n);
            }
            for tap in torch_linear_taps::<f32>(n, m) {
                assert!((tap.w_lo + tap.w_hi - 1.0).abs() < 1e-7 && tap.hi < n);
            }
            for tap in cubic_taps::<f64>(n, m) {
                assert!((tap.w.iter().sum::<f64>() - 6.0).abs() < 1e-14 && tap.first + 3 < n + 4);
            }
        }
    }
}
