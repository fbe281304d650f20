//! What this machine can do at most: arithmetic without memory, memory without arithmetic.

use std::hint::black_box;
use std::time::Instant;

use pulp::{Simd, WithSimd};

use crate::{CpuError, Level, Threads};

/// Multiply-accumulates that are in flight at once.
const CHAINS: usize = 12;

struct Peak {
    rounds: usize,
}

impl WithSimd for Peak {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let mut sums = [simd.splat_f32s(1.0); CHAINS];
        let [factor, term] = [0.999, 0.001].map(|value| simd.splat_f32s(black_box(value)));
        for _ in 0..self.rounds {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, factor, term);
            }
        }
        sums.into_iter()
            .fold(0.0, |all, sum| all + simd.reduce_sum_f32s(sum))
    }
}

/// Most f32 operations per second of all threads together, in GFLOP/s: multiply-accumulates on registers only, two
/// operations each.
///
/// # Errors
/// [`CpuError::LevelMissing`].
pub fn peak_gflops(level: Level, threads: &Threads) -> Result<f64, CpuError> {
    const ROUNDS: usize = 1_000_000;
    let arch = level
        .arch()
        .ok_or(CpuError::LevelMissing { level: level.name() })?;
    let seconds = median(|| {
        let begin = Instant::now();
        threads.install(|| {
            rayon::broadcast(|_| {
                black_box(arch.dispatch(Peak {
                    rounds: black_box(ROUNDS),
                }))
            })
        });
        begin.elapsed().as_secs_f64()
    });
    let operations = 2 * ROUNDS * CHAINS * level.lanes() * threads.len();
    Ok(operations as f64 / seconds / 1e9)
}

/// Bytes that all threads together read and write per second when each copies `bytes` bytes, in GB/s.
pub fn copy_gbytes_per_second(bytes: usize, threads: &Threads) -> f64 {
    const TOTAL: usize = 1 << 31;
    let n_values = (bytes / 2 / size_of::<f32>()).max(1);
    let rounds = (TOTAL / bytes.max(1)).clamp(1, 100_000);
    let seconds = threads.install(|| {
        let of_threads = rayon::broadcast(|_| {
            let from = vec![1.0f32; n_values];
            let mut to = vec![0.0f32; n_values];
            median(|| {
                let begin = Instant::now();
                for _ in 0..rounds {
                    to.copy_from_slice(black_box(&from));
                    black_box(&mut to);
                }
                begin.elapsed().as_secs_f64()
            })
        });
        of_threads.into_iter().fold(0.0, f64::max)
    });
    (2 * n_values * size_of::<f32>() * rounds * threads.len()) as f64 / seconds / 1e9
}

/// Of five.
fn median(mut measure: impl FnMut() -> f64) -> f64 {
    let mut values: Vec<f64> = (0..5).map(|_| measure()).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
