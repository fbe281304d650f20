//! From class sums to logits and labels of voxels of the scan.

use super::numbers::product;
use crate::CudaError;
use crate::work::{Interpolation, LARGEST_NON_POSITIVE_LOGIT, Tap};

/// `[z, y, x, class]`, interpolated between class sums that were divided by their weights.
pub(super) fn logits(from: &Interpolation) -> Result<Vec<f32>, CudaError> {
    let Interpolation {
        size,
        pitch,
        n_classes,
        voxels,
        ..
    } = *from;
    let sums: Vec<f32> = from.sums.read(product(size) * pitch)?;
    let weights: Vec<f32> = from.weights.read(product(size))?;
    let mut taps = Vec::new();
    for (at, n) in from.taps.iter().zip(voxels) {
        taps.push(at.read::<Tap>(n)?);
    }
    let corners = |tap: &Tap| [(tap.lo as usize, tap.w_lo), (tap.hi as usize, tap.w_hi)];
    let mut logits = vec![0.0; product(voxels) * n_classes];
    for (voxel, logits) in logits.chunks_exact_mut(n_classes).enumerate() {
        let (z, y, x) = (
            voxel / (voxels[1] * voxels[2]),
            voxel / voxels[2] % voxels[1],
            voxel % voxels[2],
        );
        for (z, wz) in corners(&taps[0][z]) {
            for (y, wy) in corners(&taps[1][y]) {
                for (x, wx) in corners(&taps[2][x]) {
                    let weight = wz * wy * wx;
                    if weight == 0.0 {
                        continue;
                    }
                    let at = (z * size[1] + y) * size[2] + x;
                    let factor = weight / weights[at];
                    let sums = &sums[at * pitch..][..n_classes];
                    logits
                        .iter_mut()
                        .zip(sums)
                        .for_each(|(logit, sum)| *logit = sum.mul_add(factor, *logit));
                }
            }
        }
    }
    Ok(logits)
}

/// The label of each voxel: the first of the largest logits; with regions, what the last that is on writes.
pub(super) fn labels(logits: &[f32], n_classes: usize, class_order: Option<&[u16]>) -> Vec<u16> {
    let label = |logits: &[f32]| match class_order {
        None => {
            let mut best = 0;
            for (class, logit) in logits.iter().enumerate() {
                if *logit > logits[best] {
                    best = class;
                }
            }
            best as u16
        }
        Some(order) => (logits.iter().zip(order))
            .rfind(|(logit, _)| **logit > LARGEST_NON_POSITIVE_LOGIT)
            .map_or(0, |(_, label)| *label),
    };
    logits.chunks_exact(n_classes).map(label).collect()
}

/// `[class, voxel]` of `[voxel, class]`.
pub(super) fn class_first(logits: &[f32], n_classes: usize) -> Vec<f32> {
    (0..n_classes)
        .flat_map(|class| logits.iter().skip(class).step_by(n_classes).copied())
        .collect()
}
