//! Lengths, areas and volumes that a user states, against those of a grid.
//!
//! Spacings went through the 32-bit numbers of a header: 0.8 mm come back as 0.800000012 mm, and the lengths of oblique
//! axes carry the rounding of a square root besides. So a stated length that is meant to be a spacing, or a multiple of
//! one, is never compared exactly, but here, with an allowance that is larger than such rounding and smaller than
//! anything that a user means. What must equal nnU-Net's own arithmetic does not come here.

/// Relative; 32-bit numbers are off by 6e-8, a volume of three of them by 2e-7.
const ALLOWANCE: f64 = 1e-6;

/// True if `found` is `bound` or less, as far as headers can tell. Both in the same unit, not negative.
pub fn at_most(found: f64, bound: f64) -> bool {
    found <= bound * (1.0 + ALLOWANCE)
}

/// True if `found` is `bound` or more, as far as headers can tell. Both in the same unit, not negative.
pub fn at_least(found: f64, bound: f64) -> bool {
    found >= bound * (1.0 - ALLOWANCE)
}

/// True if two lengths are the same, as far as headers can tell. Both in the same unit, not negative.
pub fn same(a: f64, b: f64) -> bool {
    at_most(a, b) && at_most(b, a)
}

/// Voxels of `spacing` mm that a margin of `mm` takes: rounded up, and not one more where it is a multiple of the
/// spacing. A whole number, infinite if the quotient is; 0 if `mm` is not positive.
pub fn voxels_to_cover(mm: f64, spacing: f64) -> f64 {
    (mm / spacing * (1.0 - ALLOWANCE)).ceil().max(0.0)
}

/// Steps of `spacing` mm that lie within `mm`: rounded down, and not one less where it is a multiple of the spacing. A
/// whole number, infinite if the quotient is; 0 if `mm` is not positive.
pub fn steps_within(mm: f64, spacing: f64) -> f64 {
    (mm / spacing * (1.0 + ALLOWANCE)).floor().max(0.0)
}

/// A number of voxels that came out of a ratio of lengths, to the nearest whole number; ties to even, and what lies as
/// near to a tie as headers can tell is one.
pub fn nearest_count(count: f64) -> f64 {
    let tie = count.floor() + 0.5;
    if same(count, tie) { tie } else { count }.round_ties_even()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a header of 32-bit numbers makes of a spacing.
    fn stored(mm: f64) -> f64 {
        f64::from(mm as f32)
    }

    #[test]
    fn multiples_of_a_stored_spacing_are_multiples() {
        for spacing in [
            0.1, 0.3, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 2.4, 3.3, 1e-3, 123.456,
        ] {
            for k in 1..200u32 {
                let (mm, found) = (f64::from(k) * spacing, stored(spacing));
                assert_eq!(voxels_to_cover(mm, found), f64::from(k), "{k} of {spacing}");
                assert_eq!(steps_within(mm, found), f64::from(k), "{k} of {spacing}");
                assert!(at_most(f64::from(k) * found, mm) && at_least(f64::from(k) * found, mm));
                let volume = f64::from(k) * spacing.powi(3);
                assert!(same(f64::from(k) * found.powi(3), volume), "{k} of {spacing}");
            }
        }
    }

    #[test]
    fn what_a_user_can_mean_is_told_apart() {
        let cases: [(f64, f64); 4] = [(0.79999, 0.8), (1.5999, 0.8), (0.69999, 0.7), (99.9985, 1.0)];
        for (mm, spacing) in cases {
            let above = (mm / spacing).ceil();
            assert_eq!(steps_within(mm, stored(spacing)), above - 1.0, "{mm}");
            assert_eq!(voxels_to_cover(mm, stored(spacing)), above, "{mm}");
            assert_eq!(
                voxels_to_cover(2.0 * above * spacing - mm, spacing),
                above + 1.0,
                "{mm}"
            );
            assert!(!at_most(spacing, spacing * 0.99999) && !at_least(spacing, spacing * 1.00001));
        }
        assert_eq!((voxels_to_cover(0.0, 0.8), steps_within(0.0, 0.8)), (0.0, 0.0));
        assert_eq!((voxels_to_cover(-1.0, 0.8), steps_within(-1.0, 0.8)), (0.0, 0.0));
        assert_eq!(voxels_to_cover(1e300, 1e-300), f64::INFINITY);
        assert!(!at_most(f64::NAN, 1.0) && !at_least(f64::NAN, 1.0) && !same(f64::NAN, f64::NAN));
    }

    #[test]
    fn ties_are_ties_whatever_the_header_made_of_them() {
        for (old, new, n, expected) in [
            (0.8, 1.6, 101.0, 50.0),
            (0.7, 1.4, 101.0, 50.0),
            (0.9, 1.8, 103.0, 52.0),
            (0.8, 1.6, 100.0, 50.0),
            (0.8, 1.6, 99.0, 50.0),
        ] {
            assert_eq!(nearest_count(old / new * n), expected, "{old} {n}");
            assert_eq!(nearest_count(stored(old) / new * n), expected, "{old} {n}");
        }
        assert_eq!(nearest_count(50.4999), 50.0);
        assert_eq!(nearest_count(50.501), 51.0);
    }
}
