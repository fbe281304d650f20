//! Colors that tell neighboring numbers apart, the same in every object.

/// Hue of a number: turns by the golden ratio never come near each other soon.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// Red, green, blue of a label's number, 0 to 255.
pub(crate) fn rgb_of(number: u16) -> [u8; 3] {
    let hue = (f64::from(number) * GOLDEN).fract() * 6.0;
    let saturation = [0.85, 0.6, 0.95][usize::from(number) % 3];
    let channel = |shift: f64| {
        let k = (hue + shift) % 6.0;
        let share = k.min(4.0 - k).clamp(0.0, 1.0);
        ((1.0 - saturation * share) * 230.0).round() as u8 // 0 to 230
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

/// The same color in CIELab as DICOM scales it: L 0 to 100, a and b -128 to 127, each over 0 to 65535.
///
/// Source: PS3.3 C.10.7.1.1; sRGB to XYZ by IEC 61966-2-1, adapted to the white of D50 by Bradford.
pub(crate) fn lab_of(number: u16) -> [u16; 3] {
    let [l, a, b] = lab(rgb_of(number));
    let scaled = [l / 100.0, (a + 128.0) / 255.0, (b + 128.0) / 255.0];
    scaled.map(|v| (v.clamp(0.0, 1.0) * 65_535.0).round() as u16) // clamped
}

fn lab(rgb: [u8; 3]) -> [f64; 3] {
    const XYZ_D50: [[f64; 3]; 3] = [
        [0.436_074_7, 0.385_064_9, 0.143_080_4],
        [0.222_504_5, 0.716_878_6, 0.060_616_9],
        [0.013_932_2, 0.097_104_5, 0.714_173_3],
    ];
    const WHITE: [f64; 3] = [0.964_22, 1.0, 0.825_21];
    let linear = rgb.map(|v| {
        let v = f64::from(v) / 255.0;
        if v <= 0.040_45 {
            v / 12.92
        } else {
            ((v + 0.055) / 1.055).powf(2.4)
        }
    });
    let f = |t: f64| {
        if t > 216.0 / 24_389.0 {
            t.cbrt()
        } else {
            (24_389.0 / 27.0 * t + 16.0) / 116.0
        }
    };
    let [x, y, z]: [f64; 3] = std::array::from_fn(|i| {
        let sum: f64 = (0..3).map(|j| XYZ_D50[i][j] * linear[j]).sum();
        f(sum / WHITE[i])
    });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_near_each_other_have_colors_that_differ() {
        let colors: Vec<[u8; 3]> = (1..=40).map(rgb_of).collect();
        for (idx, a) in colors.iter().enumerate() {
            for b in &colors[..idx] {
                let distance: i32 = (0..3).map(|i| (i32::from(a[i]) - i32::from(b[i])).abs()).sum();
                assert!(distance >= 8, "{a:?} {b:?}");
            }
        }
    }

    /// Values of CSS Color 4, which has the same white.
    #[test]
    fn known_colors_have_their_places() {
        let near = |rgb, expected: [f64; 3]| {
            let found = lab(rgb);
            assert!(
                (0..3).all(|i| (found[i] - expected[i]).abs() < 0.05),
                "{rgb:?}: {found:?}"
            );
        };
        near([255, 255, 255], [100.0, 0.0, 0.0]);
        near([255, 0, 0], [54.29, 80.80, 69.89]);
        near([0, 0, 255], [29.57, 68.29, -112.03]);
        near([0, 0, 0], [0.0, 0.0, 0.0]);
    }
}
