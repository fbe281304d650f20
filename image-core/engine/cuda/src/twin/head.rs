//! Logits, and their way into class sums.

use super::numbers::product;
use crate::work::{Flip, Ring};

/// `[voxel, class]` of `[voxel, in]` and `[class, in]`.
pub(super) fn logits(x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let n_in = weight.len() / bias.len();
    let of_voxel = |x: &[f32]| -> Vec<f32> {
        let classes = bias.iter().zip(weight.chunks_exact(n_in));
        classes
            .map(|(bias, weight)| bias + x.iter().zip(weight).map(|(a, b)| a * b).sum::<f32>())
            .collect()
    };
    x.chunks_exact(n_in).flat_map(of_voxel).collect()
}

/// Adds values of a tile, `[z, y, x, class]`, mirrored back, times `factor` and importance `[z, y, x]`, to `sums`. Gives the number
/// of voxels that have a value that is infinite or NaN.
#[expect(clippy::too_many_arguments, reason = "those of the kernel")]
pub(super) fn add(
    values: &[f32],
    n_classes: usize,
    patch: [usize; 3],
    flip: Flip,
    importance: &[f32],
    factor: f32,
    ring: Ring,
    sums: &mut [f32],
) -> u32 {
    let mut n_odd = 0;
    for voxel in 0..product(patch) {
        let at = [
            voxel / (patch[1] * patch[2]),
            voxel / patch[2] % patch[1],
            voxel % patch[2],
        ];
        let to: [usize; 3] = std::array::from_fn(|a| if flip[a] { patch[a] - 1 - at[a] } else { at[a] });
        let [z, y, x]: [usize; 3] = std::array::from_fn(|a| (ring.start[a] + to[a]) % ring.size[a]);
        let weight = factor * importance[(to[0] * patch[1] + to[1]) * patch[2] + to[2]];
        let values = &values[voxel * n_classes..][..n_classes];
        n_odd += u32::from(values.iter().any(|value| !value.is_finite()));
        let sums = &mut sums[((z * ring.size[1] + y) * ring.size[2] + x) * ring.pitch..][..n_classes];
        sums.iter_mut()
            .zip(values)
            .for_each(|(sum, value)| *sum += value * weight);
    }
    n_odd
}
