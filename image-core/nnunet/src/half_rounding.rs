//! Rounding to half precision in one step.

use half::f16;

/// Rounds f64 to f16 once, ties to even, subnormals kept; the result is widened to f32 (exact).
///
/// Going through f32 with its ordinary rounding would round twice. Rounding to f32 *to odd* first is safe: an
/// inexact result never looks like a tie to the second step (Boldo & Melquiond, "When double rounding is odd",
/// 2005).
#[inline]
pub(crate) fn half_from_f64(value: f64) -> f32 {
    let nearest = value as f32;
    let error = value - f64::from(nearest);
    let odd = if error != 0.0 && nearest.is_finite() && nearest.to_bits() & 1 == 0 {
        // the neighbor on the other side of `value` has an odd last bit
        if (error > 0.0) == (nearest >= 0.0 && !nearest.is_sign_negative()) {
            f32::from_bits(nearest.to_bits() + 1)
        } else if nearest == 0.0 {
            // value is tiny and of the other sign than this zero
            f32::from_bits(1 | (u32::from(value < 0.0) << 31))
        } else {
            f32::from_bits(nearest.to_bits() - 1)
        }
    } else {
        nearest
    };
    f16::from_f32(odd).to_f32()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rounding_where_two_would_differ() {
        // just above the tie between 1 and 1 + 2^-10; f32 rounds it onto the tie, which then goes down to 1
        let value = 1.0 + 2f64.powi(-11) + 2f64.powi(-40);
        assert_eq!(f16::from_f32(value as f32).to_f32(), 1.0);
        assert_eq!(half_from_f64(value), 1.0 + 2f32.powi(-10));
        assert_eq!(half_from_f64(-value), -1.0 - 2f32.powi(-10));
        let below = 1.0 + 2f64.powi(-11) - 2f64.powi(-40);
        assert_eq!(half_from_f64(below), 1.0);
    }

    #[test]
    fn known_values() {
        assert_eq!(half_from_f64(1.0 / 3.0), 0.333_251_95);
        assert_eq!(half_from_f64(1e-8), 0.0);
        assert_eq!(half_from_f64(2049.0), 2048.0);
        assert!(half_from_f64(70000.0).is_infinite());
        assert_eq!(half_from_f64(0.0), 0.0);
        assert_eq!(half_from_f64(-0.5), -0.5);
        assert_eq!(half_from_f64(2f64.powi(-24)), 2f32.powi(-24));
        assert_eq!(half_from_f64(1e-60), 0.0);
        assert_eq!(half_from_f64(-1e-60), 0.0);
    }
}
