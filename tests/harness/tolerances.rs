//! What the golden cases ask for.

use crate::agreement::{HalfPrecisionNoise, LabelAgreement, LargestDifference};

/// What goes into the network.
pub const NETWORK_INPUT: LargestDifference = LargestDifference(1e-4);
/// Summed logits under reference numerics, before they are resampled.
pub const LOGITS: HalfPrecisionNoise = HalfPrecisionNoise {
    ulps: 2.0,
    share: 0.999,
};
/// Labels under reference numerics.
pub const REFERENCE_LABELS: LabelAgreement = LabelAgreement(0.9999);
/// Labels under default numerics, random weights.
pub const DEFAULT_LABELS: LabelAgreement = LabelAgreement(0.9995);
/// Softmax and sigmoid of half-precision logits.
pub const PROBABILITIES: LargestDifference = LargestDifference(2e-3);
/// World position of the mask's voxels, mm.
pub const AFFINE: LargestDifference = LargestDifference(1e-4);
/// Spacing as read, relative: nibabel takes it from a turned affine, in its own order of operations.
pub const SPACING: LargestDifference = LargestDifference(1e-12);
