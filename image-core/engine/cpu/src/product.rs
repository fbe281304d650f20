//! The innermost loop: rows of a panel times packed weights.

use pulp::Simd;

use crate::bf16;
use crate::factor::Form;
use crate::operands::{Rows, Start};
use crate::view::{load, store};

/// Vectors of outputs that are computed together; the last block of a matrix may have one.
pub(crate) const BLOCK_VECTORS: usize = 2;

/// `results[row · pitch + i] = start + Σ_k rows[row][k] · weights[k][i]`, for the `n_vectors` (1 or 2) vectors of one block;
/// `weights` is `[depth, n_vectors · lanes]`.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // a product has that many
pub(crate) fn multiply<S: Simd>(
    simd: S,
    form: Form,
    rows: Rows<'_>,
    weights: &[f32],
    n_vectors: usize,
    results: &mut [f32],
    pitch: usize,
    start: Start<'_>,
) {
    if form == Form::Bf16Pairs {
        return bf16::multiply(rows, weights, n_vectors, results, pitch, start);
    }
    let mut row = 0;
    while row < rows.n_rows {
        let left = rows.n_rows - row;
        let from = Rows {
            values: &rows.values[row * rows.stride..],
            ..rows
        };
        let to = &mut results[row * pitch..];
        // Accumulators must leave registers for the weights and the factor: 24 of 32, or 12 of 16.
        row += match (n_vectors, S::REGISTER_COUNT >= 32) {
            (2, true) if left >= 12 => tile::<S, 12, 2>(simd, from, weights, to, pitch, start),
            (2, true) if left >= 4 => tile::<S, 4, 2>(simd, from, weights, to, pitch, start),
            (2, false) if left >= 6 => tile::<S, 6, 2>(simd, from, weights, to, pitch, start),
            (2, false) if left >= 3 => tile::<S, 3, 2>(simd, from, weights, to, pitch, start),
            (2, _) => tile::<S, 1, 2>(simd, from, weights, to, pitch, start),
            _ if left >= 12 => tile::<S, 12, 1>(simd, from, weights, to, pitch, start),
            _ if left >= 4 => tile::<S, 4, 1>(simd, from, weights, to, pitch, start),
            _ => tile::<S, 1, 1>(simd, from, weights, to, pitch, start),
        };
    }
}

/// Rows that [`multiply_short`] takes at once.
const SHORT_ROWS: usize = 8;

/// As [`multiply`] from [`Start::Zero`], for what has few factors: there, what has to be done once for a few rows would take as
/// long as their products. Rows lie one behind the other, there is one vector of outputs, results too lie one behind the
/// other. Gives the number of rows that it took, a multiple of [`SHORT_ROWS`], or 0.
#[inline(always)]
pub(crate) fn multiply_short<S: Simd>(
    simd: S,
    rows: Rows<'_>,
    weights: &[f32],
    n_vectors: usize,
    results: &mut [f32],
) -> usize {
    match rows.depth {
        8 if n_vectors == 1 => short::<S, 8>(simd, rows, weights, results),
        16 if n_vectors == 1 => short::<S, 16>(simd, rows, weights, results),
        32 if n_vectors == 1 => short::<S, 32>(simd, rows, weights, results),
        _ => 0,
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop)] // sums whose address is taken are kept in memory
fn short<S: Simd, const DEPTH: usize>(
    simd: S,
    rows: Rows<'_>,
    weights: &[f32],
    results: &mut [f32],
) -> usize {
    let lanes = S::F32_LANES;
    let (weights, _) = S::as_simd_f32s(&weights[..DEPTH * lanes]);
    let n = rows.n_rows / SHORT_ROWS;
    let groups = rows.values.chunks_exact(SHORT_ROWS * DEPTH).take(n);
    for (factors, results) in groups.zip(results.chunks_exact_mut(SHORT_ROWS * lanes)) {
        let mut sums = [simd.splat_f32s(0.0); SHORT_ROWS];
        for k in 0..DEPTH {
            let weight = weights[k];
            for r in 0..SHORT_ROWS {
                sums[r] = simd.mul_add_e_f32s(simd.splat_f32s(factors[r * DEPTH + k]), weight, sums[r]);
            }
        }
        for r in 0..SHORT_ROWS {
            store::<S>(results, r * lanes, sums[r]);
        }
    }
    n * SHORT_ROWS
}

/// A few rows, all sums in registers. Gives the number of rows.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn tile<S: Simd, const N_ROWS: usize, const N_VECTORS: usize>(
    simd: S,
    rows: Rows<'_>,
    weights: &[f32],
    results: &mut [f32],
    pitch: usize,
    start: Start<'_>,
) -> usize {
    let lanes = S::F32_LANES;
    // By index throughout: sums whose address is taken are kept in memory.
    let mut sums = [[simd.splat_f32s(0.0); N_VECTORS]; N_ROWS];
    for r in 0..N_ROWS {
        for v in 0..N_VECTORS {
            sums[r][v] = match start {
                Start::Zero | Start::Add => simd.splat_f32s(0.0),
                Start::Bias(bias) => load::<S>(bias, v * lanes),
            };
        }
    }
    let depth = rows.depth;
    let factors: [&[f32]; N_ROWS] = std::array::from_fn(|r| &rows.values[r * rows.stride..][..depth]);
    let (weights, _) = S::as_simd_f32s(&weights[..depth * N_VECTORS * lanes]);
    for k in 0..depth {
        let weights: [S::f32s; N_VECTORS] = std::array::from_fn(|v| weights[k * N_VECTORS + v]);
        for r in 0..N_ROWS {
            let factor = simd.splat_f32s(factors[r][k]);
            for v in 0..N_VECTORS {
                sums[r][v] = simd.mul_add_e_f32s(factor, weights[v], sums[r][v]);
            }
        }
    }
    for r in 0..N_ROWS {
        for v in 0..N_VECTORS {
            let at = r * pitch + v * lanes;
            let sum = match start {
                Start::Add => simd.add_f32s(load::<S>(results, at), sums[r][v]),
                Start::Zero | Start::Bias(_) => sums[r][v],
            };
            store::<S>(results, at, sum);
        }
    }
    N_ROWS
}
