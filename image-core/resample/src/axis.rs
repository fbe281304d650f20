//! One axis of a resize, applied to a block of lines at a time.
//!
//! A block holds [`LANES`] lines side by side, so that every step of the recursive spline filter is arithmetic on
//! whole vectors. A line never meets its neighbors, so results do not depend on how lines are grouped.

use crate::taps::{self, CubicTap, LinearTap};
use crate::{Interpolation, Real, plan::Grid};

/// Lines that are processed side by side: two cache lines of f32.
pub(crate) const LANES: usize = 32;

/// One sample of each line of a block.
pub(crate) type Lanes<T> = [T; LANES];

/// The linear map along one axis.
pub(crate) enum AxisOperator<T> {
    /// Source and target have the same length: values stay as they are.
    Identity { n: usize },
    /// Picks samples.
    Nearest { n: usize, indices: Vec<usize> },
    /// Weighs two neighbors.
    Linear { n: usize, taps: Vec<LinearTap<T>> },
    /// Recursive prefilter, then four coefficients per sample.
    Cubic { n: usize, taps: Vec<CubicTap<T>> },
}

impl<T: Real> AxisOperator<T> {
    pub(crate) fn new(n: usize, m: usize, interpolation: Interpolation, grid: Grid) -> Self {
        if n == m {
            return AxisOperator::Identity { n };
        }
        match (interpolation, grid) {
            (Interpolation::Nearest, Grid::Scipy) => AxisOperator::Nearest {
                n,
                indices: taps::nearest_indices(n, m),
            },
            (Interpolation::Nearest, Grid::Torch) => AxisOperator::Nearest {
                n,
                indices: taps::torch_nearest_exact(n, m),
            },
            (Interpolation::Linear, Grid::Scipy) => AxisOperator::Linear {
                n,
                taps: taps::linear_taps(n, m),
            },
            (Interpolation::Linear, Grid::Torch) => AxisOperator::Linear {
                n,
                taps: taps::torch_linear_taps(n, m),
            },
            (Interpolation::Cubic, _) => AxisOperator::Cubic {
                n,
                taps: taps::cubic_taps(n, m),
            },
        }
    }

    pub(crate) fn is_identity(&self) -> bool {
        matches!(self, AxisOperator::Identity { .. })
    }

    /// True if output values are source values.
    pub(crate) fn keeps_values(&self) -> bool {
        matches!(self, AxisOperator::Identity { .. } | AxisOperator::Nearest { .. })
    }

    /// Source samples.
    pub(crate) fn n(&self) -> usize {
        match self {
            AxisOperator::Identity { n }
            | AxisOperator::Nearest { n, .. }
            | AxisOperator::Linear { n, .. }
            | AxisOperator::Cubic { n, .. } => *n,
        }
    }

    /// Output samples.
    pub(crate) fn m(&self) -> usize {
        match self {
            AxisOperator::Identity { n } => *n,
            AxisOperator::Nearest { indices, .. } => indices.len(),
            AxisOperator::Linear { taps, .. } => taps.len(),
            AxisOperator::Cubic { taps, .. } => taps.len(),
        }
    }

    /// The source index of every output sample, for operators that only pick.
    pub(crate) fn picks(&self) -> Option<Vec<usize>> {
        match self {
            AxisOperator::Identity { n } => Some((0..*n).collect()),
            AxisOperator::Nearest { indices, .. } => Some(indices.clone()),
            _ => None,
        }
    }

    /// The place in `scratch` for source samples `0 .. n` of a block; call [`AxisOperator::prepare`] when it is filled.
    pub(crate) fn input<'a>(&self, scratch: &'a mut Vec<Lanes<T>>) -> &'a mut [Lanes<T>] {
        let (n, margin) = (self.n(), self.margin());
        scratch.resize(n + 2 * margin, [T::zero(); LANES]);
        &mut scratch[margin..margin + n]
    }

    /// Makes source samples ready for [`AxisOperator::sample`].
    pub(crate) fn prepare(&self, scratch: &mut [Lanes<T>]) {
        if let AxisOperator::Cubic { .. } = self {
            prefilter(scratch);
        }
    }

    /// Samples that a prepared block has on both sides of the source's.
    fn margin(&self) -> usize {
        match self {
            AxisOperator::Cubic { .. } => 2,
            _ => 0,
        }
    }

    /// Gives output samples `0 .. m` of a prepared block.
    #[inline(always)]
    pub(crate) fn sample(&self, scratch: &[Lanes<T>], mut target: impl FnMut(usize, Lanes<T>)) {
        match self {
            AxisOperator::Identity { .. } => {
                scratch
                    .iter()
                    .enumerate()
                    .for_each(|(k, lanes)| target(k, *lanes));
            }
            AxisOperator::Nearest { indices, .. } => {
                indices
                    .iter()
                    .enumerate()
                    .for_each(|(k, &i)| target(k, scratch[i]));
            }
            AxisOperator::Linear { taps, .. } => {
                for (k, tap) in taps.iter().enumerate() {
                    let (lo, hi) = (&scratch[tap.lo], &scratch[tap.hi]);
                    target(k, std::array::from_fn(|l| tap.w_lo * lo[l] + tap.w_hi * hi[l]));
                }
            }
            AxisOperator::Cubic { taps, .. } => {
                for (k, CubicTap { first, w }) in taps.iter().enumerate() {
                    let c: &[Lanes<T>] = &scratch[*first..first + 4];
                    target(
                        k,
                        std::array::from_fn(|l| {
                            (w[0] * c[0][l] + w[1] * c[1][l]) + (w[2] * c[2][l] + w[3] * c[3][l])
                        }),
                    );
                }
            }
        }
    }
}

/// Replaces samples 0 … n−1 of the lines, in the middle of `c` (`n + 4` samples), by the cubic B-spline coefficients
/// −2 … n+1 of the edge-extended lines, divided by the gain of 6, which the taps carry.
///
/// scipy pads 12 samples by edge replication and filters the padded line. Here the two geometric series that the
/// constant continuation contributes are summed in closed form, which is the limit of infinite padding and differs
/// from scipy by 1e-14 of the amplitude.
///
/// Source: scipy 1.17 `ndimage/_interpolation.py` (`_prepad_for_spline_filter`), `ndimage/src/ni_splines.c`;
/// M. Unser, "Splines: a perfect fit for signal and image processing", IEEE Signal Processing Magazine 16(6), 1999.
fn prefilter<T: Real>(c: &mut [Lanes<T>]) {
    let n = c.len() - 4;
    let pole = taps::POLE;
    let z = T::from_f64(pole);
    let edge_gain = T::from_f64(1.0 / (1.0 - pole));

    // Causal: p[i] = x[i] + z p[i-1]; p of the constant continuation to the left is its geometric series.
    let before: Lanes<T> = c[2].map(|x| x * edge_gain);
    let after: Lanes<T> = c[n + 1].map(|x| x * edge_gain);
    let mut p = before;
    c[2] = p;
    for row in &mut c[3..n + 2] {
        for l in 0..LANES {
            p[l] = row[l] + z * p[l];
        }
        *row = p;
    }

    // Right of the end p tends geometrically to that of the constant continuation; so do the coefficients.
    let inner = T::from_f64(-pole / (1.0 - pole));
    let mut outer = T::from_f64(-pole / (1.0 - pole * pole));
    for row in &mut c[n + 1..] {
        for l in 0..LANES {
            row[l] = inner * after[l] + outer * (p[l] - after[l]);
        }
        outer = outer * z;
    }

    // Anticausal: c[i] = z (c[i+1] - p[i]).
    let mut next = c[n + 1];
    for row in c[2..n + 1].iter_mut().rev() {
        for l in 0..LANES {
            next[l] = z * (next[l] - row[l]);
        }
        *row = next;
    }
    for row in c[..2].iter_mut().rev() {
        for l in 0..LANES {
            next[l] = z * (next[l] - before[l]);
        }
        *row = next;
    }
}
