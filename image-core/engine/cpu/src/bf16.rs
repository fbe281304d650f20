//! Products of pairs of bf16, with the instruction of AVX-512 BF16 that adds two of them to an f32.
//!
//! The one place of this crate where memory is read by address; [`multiply_portable`] is its safe twin.

use crate::factor::{PAIR_LANES as LANES, pair};
use crate::operands::{Rows, Start};

/// Whether this processor has the instruction.
pub(crate) fn is_available() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("avx512bf16")
            && std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512vl")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// As [`crate::product::multiply`], of pairs: every place of rows and weights holds two factors.
pub(crate) fn multiply(
    rows: Rows<'_>,
    weights: &[f32],
    n_vectors: usize,
    results: &mut [f32],
    pitch: usize,
    start: Start<'_>,
) {
    #[cfg(target_arch = "x86_64")]
    if is_available() {
        return vectors::multiply(rows, weights, n_vectors, results, pitch, start);
    }
    multiply_portable(rows, weights, n_vectors, results, pitch, start);
}

/// The same sums, one at a time; they are rounded in another order.
pub(crate) fn multiply_portable(
    rows: Rows<'_>,
    weights: &[f32],
    n_vectors: usize,
    results: &mut [f32],
    pitch: usize,
    start: Start<'_>,
) {
    let width = n_vectors * LANES;
    for row in 0..rows.n_rows {
        let factors = &rows.values[row * rows.stride..][..rows.depth];
        for (i, result) in results[row * pitch..][..width].iter_mut().enumerate() {
            let mut sum = match start {
                Start::Zero => 0.0,
                Start::Bias(bias) => bias[i],
                Start::Add => *result,
            };
            for (&factor, weights) in factors.iter().zip(weights.chunks_exact(width)) {
                let ([a0, a1], [b0, b1]) = (pair(factor), pair(weights[i]));
                sum += a0 * b0 + a1 * b1;
            }
            *result = sum;
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)] // no safe way leads to this instruction
mod vectors {
    use std::arch::x86_64::{
        __m512, __m512bh, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps,
        _mm512_storeu_ps,
    };

    use crate::factor::PAIR_LANES as LANES;
    use crate::operands::{Rows, Start};

    pub(super) fn multiply(
        rows: Rows<'_>,
        weights: &[f32],
        n_vectors: usize,
        results: &mut [f32],
        pitch: usize,
        start: Start<'_>,
    ) {
        let Rows {
            values,
            stride,
            n_rows,
            depth,
        } = rows;
        let width = n_vectors * LANES;
        if n_rows == 0 {
            return;
        }
        // All that is read and written below.
        assert!(values.len() >= (n_rows - 1) * stride + depth);
        assert!(weights.len() >= depth * width);
        assert!(results.len() >= (n_rows - 1) * pitch + width);
        if let Start::Bias(bias) = start {
            assert!(bias.len() >= width);
        }
        let mut row = 0;
        while row < n_rows {
            let left = n_rows - row;
            let from = &values[row * stride..];
            let to = &mut results[row * pitch..];
            let shape = (stride, depth, pitch);
            // SAFETY: the caller has seen that the processor has the instructions; lengths are checked above, for all rows.
            row += unsafe {
                match n_vectors {
                    2 if left >= 12 => tile::<12, 2>(from, weights, to, shape, start),
                    2 if left >= 4 => tile::<4, 2>(from, weights, to, shape, start),
                    2 => tile::<1, 2>(from, weights, to, shape, start),
                    _ if left >= 12 => tile::<12, 1>(from, weights, to, shape, start),
                    _ if left >= 4 => tile::<4, 1>(from, weights, to, shape, start),
                    _ => tile::<1, 1>(from, weights, to, shape, start),
                }
            };
        }
    }

    /// # Safety
    /// The processor must have the instructions named here; `N_ROWS` rows of `values` and `results` and the `depth` rows of
    /// `weights` must be there.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    #[allow(clippy::needless_range_loop)] // sums whose address is taken are kept in memory
    unsafe fn tile<const N_ROWS: usize, const N_VECTORS: usize>(
        values: &[f32],
        weights: &[f32],
        results: &mut [f32],
        (stride, depth, pitch): (usize, usize, usize),
        start: Start<'_>,
    ) -> usize {
        // SAFETY: as the caller promises.
        let load = |from: *const f32| unsafe { _mm512_loadu_ps(from) };
        let mut sums: [[__m512; N_VECTORS]; N_ROWS] = [[_mm512_setzero_ps(); N_VECTORS]; N_ROWS];
        for r in 0..N_ROWS {
            for v in 0..N_VECTORS {
                sums[r][v] = match start {
                    Start::Zero => _mm512_setzero_ps(),
                    Start::Bias(bias) => load(bias.as_ptr().wrapping_add(v * LANES)),
                    Start::Add => load(results.as_ptr().wrapping_add(r * pitch + v * LANES)),
                };
            }
        }
        let (values, weights) = (values.as_ptr(), weights.as_ptr());
        for k in 0..depth {
            let mut factors = [_mm512_setzero_ps(); N_VECTORS];
            for v in 0..N_VECTORS {
                factors[v] = load(weights.wrapping_add((k * N_VECTORS + v) * LANES));
            }
            for r in 0..N_ROWS {
                // SAFETY: as the caller promises.
                let value = _mm512_set1_ps(unsafe { *values.wrapping_add(r * stride + k) });
                for v in 0..N_VECTORS {
                    // SAFETY: 512 bits of one kind for another.
                    let (a, b) = unsafe {
                        (
                            std::mem::transmute::<__m512, __m512bh>(value),
                            std::mem::transmute::<__m512, __m512bh>(factors[v]),
                        )
                    };
                    sums[r][v] = _mm512_dpbf16_ps(sums[r][v], a, b);
                }
            }
        }
        let results = results.as_mut_ptr();
        for r in 0..N_ROWS {
            for v in 0..N_VECTORS {
                // SAFETY: as the caller promises.
                unsafe { _mm512_storeu_ps(results.wrapping_add(r * pitch + v * LANES), sums[r][v]) };
            }
        }
        N_ROWS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factor::{Half, put};

    #[test]
    fn the_instruction_gives_what_its_twin_gives() {
        if !is_available() {
            return;
        }
        let mut seed = 1u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed as f32 / u32::MAX as f32 - 0.5
        };
        let mut pairs = |n: usize| -> Vec<f32> {
            (0..n)
                .map(|_| {
                    let mut place = 0.0;
                    put(&mut place, Half::Low, random());
                    put(&mut place, Half::High, random());
                    place
                })
                .collect()
        };
        for (n_rows, n_vectors, depth) in [(1, 1, 1), (29, 2, 24), (17, 1, 7), (12, 2, 160)] {
            let width = n_vectors * LANES;
            let (values, weights) = (pairs(n_rows * (depth + 3)), pairs(depth * width));
            let rows = Rows {
                values: &values,
                stride: depth + 3,
                n_rows,
                depth,
            };
            let bias: Vec<f32> = (0..width).map(|i| i as f32 / 8.0).collect();
            for start in [Start::Zero, Start::Bias(&bias), Start::Add] {
                let mut results = [vec![0.25; n_rows * (width + 5)], vec![0.25; n_rows * (width + 5)]];
                let [found, expected] = &mut results;
                multiply(rows, &weights, n_vectors, found, width + 5, start);
                multiply_portable(rows, &weights, n_vectors, expected, width + 5, start);
                for (found, expected) in found.iter().zip(expected) {
                    assert!((*found - *expected).abs() < 1e-5, "{found} is not {expected}");
                }
            }
        }
    }
}
