//! The innermost loop of columns: products of three planes, added.

use std::ops::Range;

use pulp::Simd;

use crate::view::store;

/// Factors of one plane, at most.
pub(crate) const MAX_DEPTH: usize = 16;

/// `results[row][i] = Σ planes[tap][row][k] · weights[tap][k][i]` over those `taps` of three planes and all `k`; rows have 8 or
/// [`MAX_DEPTH`] factors, and `n_vectors` (1 or 2) vectors of results.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(crate) fn multiply_planes<S: Simd>(
    simd: S,
    planes: [&[f32]; 3],
    taps: Range<usize>,
    depth: usize,
    weights: &[f32],
    n_vectors: usize,
    results: &mut [f32],
) {
    if depth == 8 {
        planes_of::<S, 8>(simd, planes, taps, weights, n_vectors, results);
    } else {
        assert_eq!(depth, MAX_DEPTH, "values of few channels are padded to 8 or 16");
        planes_of::<S, MAX_DEPTH>(simd, planes, taps, weights, n_vectors, results);
    }
}

#[inline(always)]
fn planes_of<S: Simd, const DEPTH: usize>(
    simd: S,
    planes: [&[f32]; 3],
    taps: Range<usize>,
    weights: &[f32],
    n_vectors: usize,
    results: &mut [f32],
) {
    let width = n_vectors * S::F32_LANES;
    let n_rows = results.len() / width;
    let mut row = 0;
    while row < n_rows {
        let [a, b, c] = planes;
        let planes = [&a[row * DEPTH..], &b[row * DEPTH..], &c[row * DEPTH..]];
        let (taps, results) = (taps.clone(), &mut results[row * width..]);
        row += match (n_vectors, n_rows - row) {
            (1, 8..) => planes_tile::<S, DEPTH, 8, 1>(simd, planes, taps, weights, results),
            (1, 4..) => planes_tile::<S, DEPTH, 4, 1>(simd, planes, taps, weights, results),
            (1, _) => planes_tile::<S, DEPTH, 1, 1>(simd, planes, taps, weights, results),
            (_, 8..) if S::REGISTER_COUNT >= 32 => {
                planes_tile::<S, DEPTH, 8, 2>(simd, planes, taps, weights, results)
            }
            (_, 4..) => planes_tile::<S, DEPTH, 4, 2>(simd, planes, taps, weights, results),
            _ => planes_tile::<S, DEPTH, 1, 2>(simd, planes, taps, weights, results),
        };
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn planes_tile<S: Simd, const DEPTH: usize, const N_ROWS: usize, const N_VECTORS: usize>(
    simd: S,
    planes: [&[f32]; 3],
    taps: Range<usize>,
    weights: &[f32],
    results: &mut [f32],
) -> usize {
    let lanes = S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); N_VECTORS]; N_ROWS];
    let (weights, _) = S::as_simd_f32s(weights);
    let results = &mut results[..N_ROWS * N_VECTORS * lanes];
    for tap in taps {
        let factors = &planes[tap][..N_ROWS * DEPTH];
        let weights = &weights[tap * DEPTH * N_VECTORS..][..DEPTH * N_VECTORS];
        for k in 0..DEPTH {
            for r in 0..N_ROWS {
                let factor = simd.splat_f32s(factors[r * DEPTH + k]);
                for v in 0..N_VECTORS {
                    sums[r][v] = simd.mul_add_e_f32s(factor, weights[k * N_VECTORS + v], sums[r][v]);
                }
            }
        }
    }
    for r in 0..N_ROWS {
        for v in 0..N_VECTORS {
            store::<S>(results, (r * N_VECTORS + v) * lanes, sums[r][v]);
        }
    }
    N_ROWS
}
