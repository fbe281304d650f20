//! Means over boxes.

use super::numbers::product;

/// Mean over boxes of `stride`, of `[z, y, x, channel]`.
pub(super) fn pool(x: &[f32], n_channels: usize, size: [usize; 3], stride: [usize; 3]) -> Vec<f32> {
    let small: [usize; 3] = std::array::from_fn(|a| size[a] / stride[a]);
    let mut y = vec![0.0; product(small) * n_channels];
    let share = 1.0 / product(stride) as f32;
    for (voxel, y) in y.chunks_exact_mut(n_channels).enumerate() {
        let at = [
            voxel / (small[1] * small[2]),
            voxel / small[2] % small[1],
            voxel % small[2],
        ];
        for tap in 0..product(stride) {
            let of = [
                tap / (stride[1] * stride[2]),
                tap / stride[2] % stride[1],
                tap % stride[2],
            ];
            let [z, row, column]: [usize; 3] = std::array::from_fn(|a| at[a] * stride[a] + of[a]);
            let x = &x[((z * size[1] + row) * size[2] + column) * n_channels..][..n_channels];
            y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
        }
        y.iter_mut().for_each(|y| *y *= share);
    }
    y
}
