//! Mean and variance per channel, gathered while a value is written.

use pulp::Simd;

use crate::view::{Affine, load, store};

/// What one task knows of the values that it wrote: their number, and `[shift, mean, sum of squared differences to it]
/// [channel]`. The shift is one of the values; the mean is that of the differences to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moments {
    pub(crate) count: usize,
    pub(crate) values: Vec<f32>,
}

impl Moments {
    /// For so many channels, padding included.
    pub(crate) fn new(pitch: usize) -> Self {
        Moments {
            count: 0,
            values: vec![0.0; 3 * pitch],
        }
    }
}

/// The moments of one vector of channels: of differences to one of the values, so that a mean far from zero costs no digits;
/// joined group by group, with the mean of each, so that an odd first value costs none either.
#[derive(Clone, Copy)]
pub(crate) struct VectorMoments<S: Simd> {
    count: f32,
    shift: S::f32s,
    mean: S::f32s,
    squares: S::f32s,
}

impl<S: Simd> VectorMoments<S> {
    /// Of no values; `shift` is one of those that will come.
    #[inline(always)]
    pub(crate) fn new(simd: S, shift: S::f32s) -> Self {
        let zero = simd.splat_f32s(0.0);
        VectorMoments {
            count: 0.0,
            shift,
            mean: zero,
            squares: zero,
        }
    }

    /// Joins a group of `count` values: how far their mean is from that of all so far, and the sum of squared differences to
    /// their mean.
    #[inline(always)]
    fn join(&mut self, simd: S, count: f32, difference: S::f32s, squares: S::f32s) {
        let total = self.count + count;
        let share = simd.splat_f32s(count / total);
        let weight = simd.splat_f32s(self.count * count / total);
        self.mean = simd.mul_add_e_f32s(difference, share, self.mean);
        let between = simd.mul_f32s(difference, difference);
        self.squares = simd.mul_add_e_f32s(between, weight, simd.add_f32s(self.squares, squares));
        self.count = total;
    }

    /// Joins the `n` values that `value` gives, a few.
    #[inline(always)]
    pub(crate) fn add(&mut self, simd: S, n: usize, value: impl Fn(usize) -> S::f32s) {
        if n == 0 {
            return;
        }
        let zero = simd.splat_f32s(0.0);
        // To the mean so far: what is lost where that of the group is far from it is little beside what this adds to the variance.
        let value = |i: usize| simd.sub_f32s(simd.sub_f32s(value(i), self.shift), self.mean);
        // Sums of one chain wait for each other.
        let (mut sums, mut squares) = ([zero; 4], [zero; 4]);
        for i in 0..n {
            let difference = value(i);
            sums[i % 4] = simd.add_f32s(sums[i % 4], difference);
            squares[i % 4] = simd.mul_add_e_f32s(difference, difference, squares[i % 4]);
        }
        let sum = total(simd, sums);
        let mean = simd.mul_f32s(sum, simd.splat_f32s(1.0 / n as f32));
        let squares = simd.sub_f32s(total(simd, squares), simd.mul_f32s(sum, mean));
        // In this order, NaN stays NaN.
        self.join(simd, n as f32, mean, simd.max_f32s(zero, squares));
    }

    /// What was stored there, of `count` values.
    #[inline(always)]
    pub(crate) fn load(moments: &Moments, channel: usize, count: usize) -> Self {
        let pitch = moments.values.len() / 3;
        VectorMoments {
            count: count as f32,
            shift: load::<S>(&moments.values, channel),
            mean: load::<S>(&moments.values, pitch + channel),
            squares: load::<S>(&moments.values, 2 * pitch + channel),
        }
    }

    /// To the channels from `channel` on.
    #[inline(always)]
    pub(crate) fn store(&self, moments: &mut Moments, channel: usize) {
        let pitch = moments.values.len() / 3;
        moments.count = self.count as usize;
        store::<S>(&mut moments.values, channel, self.shift);
        store::<S>(&mut moments.values, pitch + channel, self.mean);
        store::<S>(&mut moments.values, 2 * pitch + channel, self.squares);
    }
}

#[inline(always)]
fn total<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> S::f32s {
    simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d))
}

/// Voxels of a group.
const GROUP: usize = 32;

/// Gathers rows `[row][pitch]` that have just been written.
#[inline(always)]
pub(crate) fn gather<S: Simd>(simd: S, rows: &[f32], pitch: usize, moments: &mut Moments) {
    for channel in (0..pitch).step_by(S::F32_LANES) {
        let mut vector = VectorMoments::<S>::new(simd, load::<S>(rows, channel));
        for group in rows.chunks(GROUP * pitch) {
            let at = |i: usize| load::<S>(group, i * pitch + channel);
            vector.add(simd, group.len() / pitch, at);
        }
        vector.store(moments, channel);
    }
}

/// Scale and bias of a norm, `[channels]`, and what is added to the variance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NormWeights {
    pub(crate) scale: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) eps: f32,
}

impl NormWeights {
    /// `(x − mean) / √(variance + eps) · scale + bias` as one scale and one shift, in f64 up to the last rounding. The
    /// padding gets zeros.
    pub(crate) fn affine(&self, mean: &[f64], variance: &[f64], affine: &mut Affine) {
        affine.scale.fill(0.0);
        affine.shift.fill(0.0);
        for (channel, (&weight, &bias)) in self.scale.iter().zip(&self.bias).enumerate() {
            let scale = f64::from(weight) / (variance[channel] + f64::from(self.eps)).sqrt();
            affine.scale[channel] = scale as f32;
            affine.shift[channel] = (f64::from(bias) - mean[channel] * scale) as f32;
        }
    }
}

/// Mean and biased variance per channel, padding included, of all parts in their order.
///
/// Source: Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance" (The American Statistician 37, 1983).
pub(crate) fn combine<'a>(parts: impl Iterator<Item = &'a Moments>, pitch: usize) -> [Vec<f64>; 2] {
    let (mut n, mut mean, mut squares) = (0.0, vec![0.0f64; pitch], vec![0.0f64; pitch]);
    for part in parts.filter(|part| part.count > 0) {
        let count = part.count as f64;
        let total = n + count;
        let [shifts, means, sums_of_squares] = [0, 1, 2].map(|i| &part.values[i * pitch..][..pitch]);
        for channel in 0..pitch {
            let difference = f64::from(shifts[channel]) + f64::from(means[channel]) - mean[channel];
            mean[channel] += difference * count / total;
            squares[channel] +=
                f64::from(sums_of_squares[channel]) + difference * difference * n * count / total;
        }
        n = total;
    }
    let variance = squares.iter().map(|sum| sum / n.max(1.0)).collect();
    [mean, variance]
}
