//! From the logits of one voxel to its label: the largest, or the last region that is on.

/// How the logits of one voxel become its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelRule {
    /// Index of the largest logit; the first of several.
    Argmax,
    /// Starts at 0; the label of every region whose sigmoid is over one half overwrites, in order.
    Regions {
        /// `regions_class_order`: the label that output channel `i` writes.
        class_order: Vec<u16>,
    },
}

/// The largest f32 whose sigmoid, computed in f32, is not over one half.
///
/// `1 / (1 + exp(-x))` exceeds 0.5 in f32 only where `exp(-x)` rounds below 1 by enough to survive the addition.
const LARGEST_NON_POSITIVE_LOGIT: f32 = 8.94e-8;

impl LabelRule {
    /// The largest value that a mask of a network with `n_classes` output channels can hold.
    pub fn largest_value(&self, n_classes: usize) -> u16 {
        match self {
            LabelRule::Argmax => u16::try_from(n_classes.saturating_sub(1)).unwrap_or(u16::MAX),
            LabelRule::Regions { class_order } => class_order.iter().copied().max().unwrap_or(0),
        }
    }

    /// The *deciding channel* of a voxel: for `Argmax` the winning class; for regions one more than the last region
    /// that is on, or 0.
    ///
    /// Logits are at least one, and not NaN.
    ///
    /// If all corners of a cell have the same deciding channel, so has every linear interpolation between them:
    /// weighted means keep `≥` between channels and keep signs. Most voxels are decided by this.
    #[inline]
    pub fn decide(&self, logits: &[f32]) -> u16 {
        match self {
            LabelRule::Argmax => first_largest(logits) as u16,
            LabelRule::Regions { .. } => logits
                .iter()
                .rposition(|&x| x > LARGEST_NON_POSITIVE_LOGIT)
                .map_or(0, |i| i as u16 + 1),
        }
    }

    /// The deciding channel when probabilities are saved too: logits become probabilities in place, and the label
    /// follows from those, as nnU-Net does then.
    ///
    /// Source: nnunetv2 2.8.1, `inference/export_prediction.py`, `label_handling.py` (`apply_inference_nonlin`,
    /// `convert_probabilities_to_segmentation`).
    pub fn decide_by_probability(&self, logits: &mut [f32]) -> u16 {
        match self {
            LabelRule::Argmax => {
                let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let mut sum = 0.0f32;
                for logit in logits.iter_mut() {
                    *logit = (*logit - max).exp();
                    sum += *logit;
                }
                logits.iter_mut().for_each(|p| *p /= sum);
                self.decide(logits)
            }
            LabelRule::Regions { .. } => {
                logits.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-*x).exp()));
                logits.iter().rposition(|&p| p > 0.5).map_or(0, |i| i as u16 + 1)
            }
        }
    }

    /// The label that each region writes, in order; `None` if classes are no regions.
    pub fn class_order(&self) -> Option<&[u16]> {
        match self {
            LabelRule::Argmax => None,
            LabelRule::Regions { class_order } => Some(class_order),
        }
    }

    /// The label that a deciding channel stands for.
    #[inline]
    pub fn label(&self, decision: u16) -> u16 {
        match self {
            LabelRule::Argmax => decision,
            LabelRule::Regions { class_order } => {
                if decision == 0 {
                    0
                } else {
                    class_order[usize::from(decision) - 1]
                }
            }
        }
    }
}

/// Values that are compared side by side.
const LANES: usize = 8;

/// Index of the largest value, the first of several; `values` are not empty, and not NaN.
#[inline]
fn first_largest(values: &[f32]) -> usize {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (chunks, rest) = values.as_chunks::<LANES>();
    let Some((first, others)) = chunks.split_first() else {
        let (mut best, mut at) = (values[0], 0);
        for (i, &value) in values.iter().enumerate().skip(1) {
            if value > best {
                (best, at) = (value, i);
            }
        }
        return at;
    };
    let lanes = others.iter().fold(*first, |lanes, chunk| {
        std::array::from_fn(|l| larger(lanes[l], chunk[l]))
    });
    let largest = lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, larger);
    values.iter().position(|value| *value == largest).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_value_is_that_of_the_mask_and_not_the_number_of_channels() {
        assert_eq!(LabelRule::Argmax.largest_value(256), 255);
        let class_order = vec![7, 300, 2];
        assert_eq!(LabelRule::Regions { class_order }.largest_value(3), 300);
    }

    #[test]
    fn the_first_of_equal_logits_wins() {
        assert_eq!(LabelRule::Argmax.decide(&[1.0, 1.0, 0.0]), 0);
        assert_eq!(LabelRule::Argmax.decide(&[0.0, 1.0, 1.0]), 1);
        assert_eq!(LabelRule::Argmax.decide_by_probability(&mut [0.0, 3.0, 1.0]), 1);
    }

    #[test]
    fn the_first_of_the_largest_wins_among_any_number_of_classes() {
        let mut state = 1u32;
        for n in (1..40).chain([118]) {
            for _ in 0..50 {
                let logits: Vec<f32> = (0..n)
                    .map(|_| {
                        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
                        (state >> 28) as f32 - 8.0 // ties are frequent
                    })
                    .collect();
                let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let first = logits.iter().position(|logit| *logit == largest).unwrap();
                assert_eq!(LabelRule::Argmax.decide(&logits), first as u16, "{logits:?}");
            }
        }
    }

    #[test]
    fn later_regions_overwrite_and_zero_is_background() {
        let rule = LabelRule::Regions {
            class_order: vec![4, 2, 9],
        };
        let label = |logits: &[f32]| rule.label(rule.decide(logits));
        assert_eq!(label(&[-1.0, -1.0, -1.0]), 0);
        assert_eq!(label(&[1.0, 1.0, -1.0]), 2);
        assert_eq!(label(&[1.0, -1.0, 0.1]), 9);
        assert_eq!(
            label(&[2f32.powi(-24), 0.0, -1.0]),
            0,
            "sigmoid is exactly one half in f32"
        );
        assert_eq!(label(&[2f32.powi(-23), 0.0, -1.0]), 4);
    }

    #[test]
    fn the_threshold_is_where_f32_sigmoid_leaves_one_half() {
        let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
        assert!(sigmoid(LARGEST_NON_POSITIVE_LOGIT) <= 0.5);
        assert!(sigmoid(2f32.powi(-23)) > 0.5);
    }
}
