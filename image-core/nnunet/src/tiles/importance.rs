//! How much each voxel of a tile counts: a Gaussian, rounded as nnU-Net rounds it.

use half::f16;

/// Gaussian weight of every voxel of a patch, peak 10, flattened in C order.
///
/// σ is an eighth of the patch per axis. Values are rounded f64 → f32 → f16 as in nnU-Net, and zeros replaced by the
/// smallest non-zero value; then widened to f32 again (exact).
///
/// Source: nnunetv2 2.8.1, `inference/sliding_window_prediction.py` (`compute_gaussian`). Its truncated filter over
/// a unit impulse covers the whole patch, so the closed form is exact.
pub fn importance_map(patch: [usize; 3], gaussian: bool) -> Vec<f32> {
    let n: usize = patch.iter().product();
    if !gaussian {
        return vec![1.0; n];
    }
    // An axis of depth 1 (2-D configurations) has weight 1, as if it were not there.
    let axis = |len: usize| -> Vec<f64> {
        let (sigma, centre) = (len as f64 / 8.0, (len / 2) as f64);
        (0..len)
            .map(|i| (-0.5 * ((i as f64 - centre) / sigma).powi(2)).exp())
            .collect()
    };
    let [z, y, x] = patch.map(axis);
    let mut weights = Vec::with_capacity(n);
    for wz in &z {
        for wy in &y {
            weights.extend(x.iter().map(|wx| wz * wy * wx));
        }
    }
    let peak = weights.iter().copied().fold(0.0, f64::max) / 10.0;
    let mut rounded: Vec<f32> = weights
        .iter()
        .map(|w| f16::from_f32((w / peak) as f32).to_f32())
        .collect();
    let smallest = rounded
        .iter()
        .copied()
        .filter(|w| *w > 0.0)
        .fold(f32::INFINITY, f32::min);
    for weight in rounded.iter_mut().filter(|w| **w == 0.0) {
        *weight = smallest;
    }
    rounded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_equal_those_of_nnunet() {
        let patch = [8, 6, 4];
        let map = importance_map(patch, true);
        let at = |z: usize, y: usize, x: usize| f16::from_f32(map[(z * 6 + y) * 4 + x]).to_bits();
        assert_eq!(at(4, 3, 2), 0x4900);
        assert_eq!(at(3, 3, 2), 0x4611);
        assert_eq!(at(0, 3, 2), 0x1adf);
        assert_eq!(at(7, 5, 3), 0x0f09);
        assert_eq!(at(0, 0, 0), 0x0001);
        assert!(map.iter().all(|w| *w > 0.0));
    }

    #[test]
    fn without_gaussian_all_weights_are_one() {
        assert!(importance_map([2, 3, 4], false).iter().all(|w| *w == 1.0));
    }
}
