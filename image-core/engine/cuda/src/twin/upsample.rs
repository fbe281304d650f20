//! Transposed convolution whose kernel is its stride.

use super::numbers::product;

/// `[z, y, x, out]` of `[z, y, x, in]` and `[tap, out, in]`.
pub(super) fn upsample(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    size: [usize; 3],
    stride: [usize; 3],
) -> Vec<f32> {
    let (n_in, n_out) = (x.len() / product(size), bias.len());
    let large: [usize; 3] = std::array::from_fn(|a| size[a] * stride[a]);
    let mut y = vec![0.0; product(large) * n_out];
    for (voxel, y) in y.chunks_exact_mut(n_out).enumerate() {
        let at = [
            voxel / (large[1] * large[2]),
            voxel / large[2] % large[1],
            voxel % large[2],
        ];
        let [z, row, column]: [usize; 3] = std::array::from_fn(|a| at[a] / stride[a]);
        let [tz, ty, tx]: [usize; 3] = std::array::from_fn(|a| at[a] % stride[a]);
        let x = &x[((z * size[1] + row) * size[2] + column) * n_in..][..n_in];
        let tap = (tz * stride[1] + ty) * stride[2] + tx;
        for (out, y) in y.iter_mut().enumerate() {
            let weight = &weight[(tap * n_out + out) * n_in..][..n_in];
            *y = bias[out] + x.iter().zip(weight).map(|(a, b)| a * b).sum::<f32>();
        }
    }
    y
}
