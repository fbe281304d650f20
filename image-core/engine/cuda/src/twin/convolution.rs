//! A convolution, tap by tap.

use super::numbers::{product, to_tf32};
use crate::convolution_shape::ConvolutionShape;
use crate::precision::Precision;

/// `[z, y, x, out]` of `[z, y, x, in]` and `[out, tap, in]`; sums in f32.
pub(super) fn convolution(
    shape: &ConvolutionShape,
    precision: Precision,
    x: &[f32],
    weight: &[f32],
) -> Vec<f32> {
    let factor = |values: &[f32]| -> Vec<f32> {
        match precision {
            Precision::Tf32 => values.iter().map(|value| to_tf32(*value)).collect(),
            _ => values.to_vec(),
        }
    };
    let (x, weight) = (factor(x), factor(weight));
    let ConvolutionShape {
        n_in,
        n_out,
        input,
        output,
        kernel,
        stride,
    } = *shape;
    let n_taps = product(kernel);
    let mut y = vec![0.0; product(output) * n_out];
    for (voxel, y) in y.chunks_exact_mut(n_out).enumerate() {
        let at = [
            voxel / (output[1] * output[2]),
            voxel / output[2] % output[1],
            voxel % output[2],
        ];
        for tap in 0..n_taps {
            let tap_at = [
                tap / (kernel[1] * kernel[2]),
                tap / kernel[2] % kernel[1],
                tap % kernel[2],
            ];
            let from: [Option<usize>; 3] = std::array::from_fn(|a| {
                let i = (at[a] * stride[a] + tap_at[a]).checked_sub((kernel[a] - 1) / 2)?;
                (i < input[a]).then_some(i)
            });
            let [Some(z), Some(row), Some(column)] = from else {
                continue;
            };
            let x = &x[((z * input[1] + row) * input[2] + column) * n_in..][..n_in];
            for (out, sum) in y.iter_mut().enumerate() {
                let weight = &weight[(out * n_taps + tap) * n_in..][..n_in];
                *sum += x.iter().zip(weight).map(|(a, b)| a * b).sum::<f32>();
            }
        }
    }
    y
}
