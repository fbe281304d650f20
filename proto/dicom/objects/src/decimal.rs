//! Numbers as decimal strings, which have sixteen characters at most.

/// The longest decimal string. Source: PS3.5 6.2, VR DS.
const MAX_CHARS: usize = 16;

/// The shortest text of at most 16 characters that is closest to a finite number.
pub(crate) fn decimal(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned(); // no minus sign
    }
    let plain = value.to_string();
    if plain.len() <= MAX_CHARS {
        return plain;
    }
    // Fewer and fewer digits, plain or with an exponent; what loses least is taken.
    let fixed = (0..=MAX_CHARS).rev().map(|digits| format!("{value:.digits$}"));
    let exponent = (0..=MAX_CHARS).rev().map(|digits| format!("{value:.digits$e}"));
    let first_that_fits =
        |mut texts: Box<dyn Iterator<Item = String>>| texts.find(|text| text.len() <= MAX_CHARS);
    let loss = |text: &String| (text.parse::<f64>().unwrap_or(f64::INFINITY) - value).abs();
    let candidates = [
        first_that_fits(Box::new(fixed)),
        first_that_fits(Box::new(exponent)),
    ];
    let best = candidates
        .into_iter()
        .flatten()
        .min_by(|a, b| loss(a).total_cmp(&loss(b)));
    best.expect("with no digits after the point, an exponent always fits")
}

/// A length or coordinate in mm for contours: ten thousandths are far below any voxel, and keep files small.
pub(crate) fn decimal_mm(mm: f64) -> String {
    decimal((mm * 1e4).round() / 1e4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_short_and_plain_where_they_can_be() {
        assert_eq!(decimal(0.7), "0.7");
        assert_eq!(decimal(-0.0), "0");
        assert_eq!(decimal(-123.456), "-123.456");
        assert_eq!(decimal(1.0 / 3.0), "0.33333333333333");
        assert_eq!(decimal(-1.0 / 3.0), "-0.3333333333333");
        assert_eq!(decimal_mm(12.345_678_9), "12.3457");
    }

    proptest! {
        #[test]
        fn all_numbers_fit_and_come_back(mantissa in -1.0f64..1.0, exponent in -30i32..30) {
            let value = mantissa * 10f64.powi(exponent);
            let text = decimal(value);
            prop_assert!(text.len() <= MAX_CHARS, "{}", text);
            let back: f64 = text.parse().unwrap();
            prop_assert!((back - value).abs() <= 1e-8 * value.abs(), "{} {}", text, value);
        }

        #[test]
        fn positions_lose_nothing_that_matters(value in -2000.0f64..2000.0) {
            let back: f64 = decimal(value).parse().unwrap();
            prop_assert!((back - value).abs() <= 1e-10);
            let back: f64 = decimal_mm(value).parse().unwrap();
            prop_assert!((back - value).abs() <= 0.500_01e-4);
        }
    }
}
