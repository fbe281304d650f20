//! Minimal filtering along one axis: F(m, 3) for m = 2 and 4, and nothing at all for a kernel of one tap.
//!
//! Sources: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016); for the points of F(4, 3), which
//! are 0, ±1, ½, −2 and ∞, Barabasz, Anderson, Soodhalter and Gregg, "Error Analysis and Improving the Accuracy of Winograd
//! Convolution for Deep Neural Networks" (ACM TOMS 46, 2020): a third of the rounding error of 0, ±1, ±2, ∞.

use pulp::Simd;

/// Values of the longest window.
pub(crate) const MAX_WINDOW: usize = 6;
/// Results of the largest tile.
pub(crate) const MAX_TILE: usize = 4;

/// Inputs, and products, for `tile` outputs along an axis.
pub(crate) const fn window(tile: usize) -> usize {
    if tile == 1 { 1 } else { tile + 2 }
}

/// `Bᵀ d`: the window of `TILE + 2` inputs.
#[inline(always)]
pub(crate) fn forward<S: Simd, const TILE: usize>(
    simd: S,
    d: [S::f32s; MAX_WINDOW],
) -> [S::f32s; MAX_WINDOW] {
    let [d0, d1, d2, d3, d4, d5] = d;
    match TILE {
        2 => [
            simd.sub_f32s(d0, d2),
            simd.add_f32s(d1, d2),
            simd.sub_f32s(d2, d1),
            simd.sub_f32s(d3, d1),
            d4,
            d5,
        ],
        4 => {
            let splat = |value| simd.splat_f32s(value);
            let s = simd.sub_f32s(d3, d1);
            let t = simd.sub_f32s(d4, d2);
            let two = splat(2.0);
            let three = splat(3.0);
            let minus_two = splat(-2.0);
            let half_more = splat(1.5);
            let first = simd.mul_add_e_f32s(minus_two, d2, simd.add_f32s(d0, d4));
            let last = simd.mul_add_e_f32s(minus_two, d3, simd.add_f32s(d1, d5));
            let p = simd.mul_add_e_f32s(three, d2, simd.add_f32s(s, s));
            let q = simd.mul_add_e_f32s(three, d3, simd.add_f32s(t, t));
            [
                simd.mul_add_e_f32s(half_more, s, first),
                simd.add_f32s(p, q),
                simd.sub_f32s(p, q),
                simd.mul_add_e_f32s(minus_two, s, simd.sub_f32s(d2, d4)),
                simd.mul_add_e_f32s(two, t, simd.sub_f32s(d1, d3)),
                simd.mul_add_e_f32s(half_more, t, last),
            ]
        }
        _ => d,
    }
}

/// `Aᵀ m`: `TILE` outputs of the products.
#[inline(always)]
pub(crate) fn inverse<S: Simd, const TILE: usize>(simd: S, m: [S::f32s; MAX_WINDOW]) -> [S::f32s; MAX_TILE] {
    let [m0, m1, m2, m3, m4, m5] = m;
    match TILE {
        2 => [
            simd.add_f32s(simd.add_f32s(m0, m1), m2),
            simd.add_f32s(simd.sub_f32s(m1, m2), m3),
            m2,
            m3,
        ],
        4 => {
            let splat = |value| simd.splat_f32s(value);
            let sum = simd.add_f32s(m1, m2);
            let difference = simd.sub_f32s(m1, m2);
            [
                simd.add_f32s(simd.add_f32s(m0, sum), simd.add_f32s(m3, m4)),
                simd.mul_add_e_f32s(splat(-2.0), m4, simd.mul_add_e_f32s(splat(0.5), m3, difference)),
                simd.mul_add_e_f32s(splat(4.0), m4, simd.mul_add_e_f32s(splat(0.25), m3, sum)),
                simd.mul_add_e_f32s(
                    splat(-8.0),
                    m4,
                    simd.mul_add_e_f32s(splat(0.125), m3, simd.add_f32s(difference, m5)),
                ),
            ]
        }
        _ => [m0, m1, m2, m3],
    }
}

/// `G g`: three taps (the first alone for a tile of one), in f64; the first [`window`] values count.
pub(crate) fn taps(tile: usize, [g0, g1, g2]: [f64; 3]) -> [f64; MAX_WINDOW] {
    match tile {
        2 => [g0, (g0 + g1 + g2) / 2.0, (g0 - g1 + g2) / 2.0, g2, 0.0, 0.0],
        4 => [
            g0,
            (g0 + g1 + g2) / 6.0,
            (g0 - g1 + g2) / 6.0,
            (16.0 * g0 + 8.0 * g1 + 4.0 * g2) / 15.0,
            (g0 - 2.0 * g1 + 4.0 * g2) / 30.0,
            g2,
        ],
        _ => [g0, 0.0, 0.0, 0.0, 0.0, 0.0],
    }
}
