//! How close is close enough, by name.

use half::f16;
use nephrite_types::Labels;

/// Largest absolute difference of any value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LargestDifference(pub f64);

/// Smallest share of equal voxels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelAgreement(pub f64);

/// Smallest Dice coefficient of any label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SmallestDice(pub f64);

/// Half-precision sums of tiles that another engine computed.
///
/// Where a voxel is seen only by the corner of a patch its weight is a few units of 2^-24, and one unit of rounding in the sum moves its
/// logit by up to a half of its value: there only the share of such voxels is bounded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HalfPrecisionNoise {
    /// Difference in units of the larger value's last half-precision place.
    pub ulps: f32,
    /// Smallest share of values that are as close as that.
    pub share: f64,
}

/// The largest `|a - b|`; infinite if a value is NaN in one of them only or the lengths differ.
pub fn largest_difference<'a>(
    a: impl ExactSizeIterator<Item = &'a f32>,
    b: impl ExactSizeIterator<Item = &'a f32>,
) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    a.zip(b).fold(0.0, |largest, (a, b)| {
        let difference = if a.is_nan() && b.is_nan() {
            0.0
        } else {
            (f64::from(*a) - f64::from(*b)).abs()
        };
        if difference.is_nan() {
            f64::INFINITY
        } else {
            difference.max(largest)
        }
    })
}

/// The share of voxels with equal labels; 0 if the shapes differ.
pub fn label_agreement(a: &Labels, b: &Labels) -> f64 {
    if a.shape() != b.shape() {
        return 0.0;
    }
    let (a, b) = (ids(a), ids(b));
    let equal = a.iter().zip(&b).filter(|(a, b)| a == b).count();
    equal as f64 / a.len() as f64
}

/// The Dice coefficient of every label above 0 that occurs in either map, by label.
pub fn dice_per_label(a: &Labels, b: &Labels) -> Vec<(u16, f64)> {
    let (a, b) = (ids(a), ids(b));
    let mut sizes = vec![[0u64; 2]; 1 << 16];
    for (&a, &b) in a.iter().zip(&b) {
        sizes[usize::from(a)][0] += 1;
        sizes[usize::from(b)][0] += 1;
        if a == b {
            sizes[usize::from(a)][1] += 2;
        }
    }
    let labels = (1..=u16::MAX).zip(&sizes[1..]);
    labels
        .filter(|(_, [sum, _])| *sum > 0)
        .map(|(label, [sum, twice])| (label, *twice as f64 / *sum as f64))
        .collect()
}

/// The share of logits within `ulps` units in the last place of half precision, at the larger of both values.
pub fn half_agreement<'a>(
    a: impl ExactSizeIterator<Item = &'a f16>,
    b: impl ExactSizeIterator<Item = &'a f16>,
    ulps: f32,
) -> f64 {
    if a.len() != b.len() {
        return 0.0;
    }
    let n = a.len();
    let close = a.zip(b).filter(|(a, b)| {
        let (a, b) = (a.to_f32(), b.to_f32());
        let larger = a.abs().max(b.abs()).max(f16::MIN_POSITIVE.to_f32());
        // ten fraction bits
        let ulp = 2f32.powi(larger.log2().floor() as i32 - 10);
        (a - b).abs() <= ulps * ulp
    });
    close.count() as f64 / n as f64
}

fn ids(labels: &Labels) -> Vec<u16> {
    match labels {
        Labels::U8(array) => array.iter().map(|&l| l.into()).collect(),
        Labels::U16(array) => array.iter().copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    fn labels(ids: [u8; 4]) -> Labels {
        Labels::U8(Array3::from_shape_vec((1, 2, 2), ids.to_vec()).unwrap())
    }

    #[test]
    fn agreement_counts_equal_voxels() {
        assert_eq!(
            label_agreement(&labels([0, 1, 2, 2]), &labels([0, 1, 2, 1])),
            0.75
        );
        let wide = Labels::U16(Array3::from_elem((1, 2, 2), 1));
        assert_eq!(label_agreement(&labels([1, 1, 1, 0]), &wide), 0.75);
        let other_shape = Labels::U8(Array3::zeros((1, 1, 4)));
        assert_eq!(label_agreement(&labels([0; 4]), &other_shape), 0.0);
    }

    #[test]
    fn dice_is_per_label_and_a_missing_label_gives_zero() {
        let dice = dice_per_label(&labels([0, 1, 1, 3]), &labels([1, 1, 1, 0]));
        assert_eq!(dice, [(1, 0.8), (3, 0.0)]);
    }

    #[test]
    fn nan_on_one_side_is_as_far_as_can_be() {
        assert_eq!(
            largest_difference([1.0, f32::NAN].iter(), [1.5, f32::NAN].iter()),
            0.5
        );
        assert_eq!(
            largest_difference([1.0, f32::NAN].iter(), [1.0, 0.0].iter()),
            f64::INFINITY
        );
        assert_eq!(largest_difference([1.0].iter(), [1.0, 0.0].iter()), f64::INFINITY);
    }

    #[test]
    fn half_precision_noise_is_measured_in_last_places() {
        let (a, b) = (f16::from_f32(4.0), f16::from_f32(4.0 + 4.0 / 1024.0));
        assert_eq!(half_agreement([a, a].iter(), [b, a].iter(), 0.9), 0.5);
        assert_eq!(half_agreement([a, a].iter(), [b, a].iter(), 1.0), 1.0);
    }
}
