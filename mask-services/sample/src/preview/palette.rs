//! Colors of labels.

use crate::canvas::Color;

/// Told apart on a dark ground, also by most people with a colour vision deficiency.
///
/// Source: after Wong, "Points of view: color blindness", Nature Methods 2011, brightened.
const FIRST: [Color; 8] = [
    [240, 72, 62],
    [255, 176, 32],
    [38, 196, 150],
    [84, 164, 255],
    [247, 226, 72],
    [224, 108, 214],
    [140, 226, 92],
    [170, 130, 255],
];

/// The colour of the `k`-th label of the table: eight chosen ones, then hues by the golden ratio, in turns of light and
/// strong.
pub fn label_color(k: usize) -> Color {
    if let Some(color) = FIRST.get(k) {
        return *color;
    }
    const GOLDEN: f64 = 0.618_033_988_749_895;
    let hue = (k as f64 * GOLDEN).fract() * 6.0;
    let saturation = [0.75, 0.45, 0.6][k % 3];
    let value = [255.0, 235.0, 200.0][k / 3 % 3];
    // six sectors of the colour circle
    let channel = |offset: f64| {
        let at = (offset + hue) % 6.0;
        let share = (at.min(4.0 - at)).clamp(0.0, 1.0);
        (value * (1.0 - saturation * share)).round() as u8
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn many_labels_have_different_bright_colors() {
        let colors: HashSet<Color> = (0..200).map(label_color).collect();
        assert!(colors.len() > 195, "{}", colors.len());
        for k in 0..1000 {
            assert!(
                label_color(k).iter().any(|c| *c >= 170),
                "{k} {:?}",
                label_color(k)
            );
        }
    }
}
