//! The range that results are clipped to.

use crate::axis::AxisOperator;
use crate::{Real, ResizePlan};

/// Which values share a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clip {
    /// Values are not clipped.
    None,
    /// The whole volume.
    Whole,
    /// Every slice perpendicular to the axis.
    Slices { axis: usize },
}

impl Clip {
    pub(crate) fn new<T: Real>(plan: &ResizePlan, ops: &[AxisOperator<T>; 3]) -> Self {
        let separate = plan.separate().map(|(axis, _)| axis);
        let interpolates = (0..3).any(|axis| Some(axis) != separate && !ops[axis].keeps_values());
        match separate {
            _ if !plan.clips() || !interpolates => Clip::None,
            None => Clip::Whole,
            Some(axis) => Clip::Slices { axis },
        }
    }
}

/// A clip that needs values of all planes: the range of every position in a plane.
#[derive(Debug)]
pub(crate) struct LateClip<T> {
    /// One range, one per row, or one per column.
    ranges: Vec<Range<T>>,
    /// Position in the plane to index of the range: `position / divisor % ranges.len()`.
    divisor: usize,
}

impl<T: Real> LateClip<T> {
    /// One range for all; `ranges[plane]` holds one range each.
    pub(crate) fn of_volume(ranges: Vec<Vec<Range<T>>>) -> Self {
        LateClip {
            ranges: merge(ranges, &[0]),
            divisor: 1,
        }
    }

    /// One range per row of `columns` values; `ranges[plane][slice]`, output row `j` shows slice `picks[j]`.
    pub(crate) fn rows(ranges: Vec<Vec<Range<T>>>, picks: &[usize], columns: usize) -> Self {
        LateClip {
            ranges: merge(ranges, picks),
            divisor: columns,
        }
    }

    /// One range per column.
    pub(crate) fn columns(ranges: Vec<Vec<Range<T>>>, picks: &[usize]) -> Self {
        LateClip {
            ranges: merge(ranges, picks),
            divisor: 1,
        }
    }

    /// The range of a position in the plane.
    pub(crate) fn range(&self, position: usize) -> Range<T> {
        self.ranges[position / self.divisor % self.ranges.len()]
    }
}

fn merge<T: Real>(ranges: Vec<Vec<Range<T>>>, picks: &[usize]) -> Vec<Range<T>> {
    let of_slice = |slice: usize| {
        ranges
            .iter()
            .map(|plane| plane[slice])
            .fold(Range::empty(), Range::union)
    };
    picks.iter().map(|&slice| of_slice(slice).finished()).collect()
}

/// Smallest and largest value, NaN ignored; `lo > hi` while nothing but NaN was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range<T> {
    pub(crate) lo: T,
    pub(crate) hi: T,
}

impl<T: Real> Range<T> {
    pub(crate) fn empty() -> Self {
        Range {
            lo: T::infinity(),
            hi: T::neg_infinity(),
        }
    }

    pub(crate) fn unlimited() -> Self {
        Range {
            lo: T::neg_infinity(),
            hi: T::infinity(),
        }
    }

    #[inline(always)]
    pub(crate) fn add(&mut self, value: T) {
        // Comparisons with NaN are false.
        self.lo = if value < self.lo { value } else { self.lo };
        self.hi = if value > self.hi { value } else { self.hi };
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Range {
            lo: if other.lo < self.lo { other.lo } else { self.lo },
            hi: if other.hi > self.hi { other.hi } else { self.hi },
        }
    }

    pub(crate) fn of(values: &[T]) -> Self {
        const WIDTH: usize = 16; // independent accumulators, so that the loop is vectorized
        let (mut lo, mut hi) = ([T::infinity(); WIDTH], [T::neg_infinity(); WIDTH]);
        let (chunks, rest) = values.as_chunks::<WIDTH>();
        for chunk in chunks {
            for l in 0..WIDTH {
                // As in `add`.
                lo[l] = if chunk[l] < lo[l] { chunk[l] } else { lo[l] };
                hi[l] = if chunk[l] > hi[l] { chunk[l] } else { hi[l] };
            }
        }
        let lanes = lo.into_iter().zip(hi).map(|(lo, hi)| Range { lo, hi });
        let mut range = lanes.fold(Self::empty(), Self::union);
        rest.iter().for_each(|&value| range.add(value));
        range
    }

    /// What to clip to: everything if there was no number; a zero bound is +0 whatever the order of the zeros was.
    pub(crate) fn finished(self) -> Self {
        if self.lo > self.hi {
            return Self::unlimited();
        }
        Range {
            lo: self.lo + T::zero(),
            hi: self.hi + T::zero(),
        }
    }

    /// NaN stays NaN.
    #[inline(always)]
    pub(crate) fn clip(self, value: T) -> T {
        let value = if value < self.lo { self.lo } else { value };
        if value > self.hi { self.hi } else { value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_ignored_and_survives() {
        let mut values = vec![f32::NAN; 40];
        values[3] = 2.0;
        values[37] = -1.0;
        let range = Range::of(&values).finished();
        assert_eq!(range, Range { lo: -1.0, hi: 2.0 });
        assert!(range.clip(f32::NAN).is_nan());
        assert_eq!([-3.0, 0.5, 9.0].map(|v| range.clip(v)), [-1.0, 0.5, 2.0]);
        assert_eq!(Range::of(&[f32::NAN]).finished(), Range::unlimited());
    }

    #[test]
    fn extremes_are_found_at_every_place() {
        for len in [1, 15, 16, 33, 50] {
            for at in 0..len {
                let mut values = vec![1.0f32; len];
                values[at] = -2.0;
                values[len - 1 - at] = if at == len - 1 - at { -2.0 } else { 5.0 };
                let hi = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                assert_eq!(Range::of(&values), Range { lo: -2.0, hi }, "{at} of {len}");
            }
        }
    }

    #[test]
    fn a_zero_bound_has_one_sign() {
        for values in [[0.0f32, -0.0], [-0.0, 0.0]] {
            let range = Range::of(&values).finished();
            assert_eq!((range.lo.to_bits(), range.hi.to_bits()), (0, 0));
        }
    }
}
