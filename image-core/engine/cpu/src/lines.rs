//! Convolution of narrow inputs without windows: a *line* is a row of the input with its padding, norm and activation applied.
//! The taps along x of one output voxel lie one behind the other in it, those of the next voxel a few values on; each row of
//! the input becomes a line once for all output rows of a task that read it.

use pulp::{Simd, WithSimd};

use crate::panel::{Windows, copy_voxel};
use crate::view::{Source, VectorAffine, load, store};

/// Lines of a plane for the output rows of one task.
pub(crate) struct Lines<'a> {
    windows: &'a Windows,
    /// Values of one voxel: the channels of all sources.
    per_tap: usize,
    /// `[tap z][y of the input modulo the taps along y][x][channel]`.
    values: &'a mut [f32],
    /// First row of the input that is not there yet.
    next_y: isize,
}

/// Values of a line.
fn line_len(windows: &Windows, per_tap: usize) -> usize {
    ((windows.size[2] - 1) * windows.stride[2] + windows.kernel[2]) * per_tap
}

/// Values of all lines of a task.
pub(crate) fn lines_len(windows: &Windows, per_tap: usize) -> usize {
    windows.kernel[0] * windows.kernel[1] * line_len(windows, per_tap)
}

impl<'a> Lines<'a> {
    /// None yet; `values` has the length of [`lines_len`].
    pub(crate) fn new(windows: &'a Windows, per_tap: usize, values: &'a mut [f32]) -> Self {
        Lines {
            windows,
            per_tap,
            values,
            next_y: isize::MIN,
        }
    }

    /// Makes those that output row `y` of plane `z` reads. Rows of one plane come in order.
    #[inline(always)]
    pub(crate) fn advance<S: Simd>(&mut self, simd: S, sources: &[Source<'_>], z: usize, y: usize) {
        let [kernel_z, kernel_y, _] = self.windows.kernel;
        let len = line_len(self.windows, self.per_tap);
        let begin = self.windows.begin(1, y);
        let end = begin + kernel_y as isize;
        for input_y in begin.max(self.next_y)..end {
            let slot = input_y.rem_euclid(kernel_y as isize) as usize;
            for tap_z in 0..kernel_z {
                let input_z = self.windows.begin(0, z) + tap_z as isize;
                let line = &mut self.values[(tap_z * kernel_y + slot) * len..][..len];
                let mut at = 0;
                for source in sources {
                    fill_line(
                        simd,
                        source,
                        source.row(input_z, input_y),
                        self.windows.begin(2, 0),
                        at,
                        self.per_tap,
                        line,
                    );
                    at += source.layout.pitch;
                }
            }
        }
        self.next_y = end;
    }

    /// The line of a tap, for output row `y`.
    #[inline(always)]
    fn line(&self, y: usize, tap_z: usize, tap_y: usize) -> &[f32] {
        let kernel_y = self.windows.kernel[1];
        let len = line_len(self.windows, self.per_tap);
        let slot = (self.windows.begin(1, y) + tap_y as isize).rem_euclid(kernel_y as isize) as usize;
        &self.values[(tap_z * kernel_y + slot) * len..][..len]
    }
}

/// One source of a line, `at` values behind the beginning of each voxel.
#[inline(always)]
fn fill_line<S: Simd>(
    simd: S,
    source: &Source<'_>,
    row: Option<&[f32]>,
    begin: isize,
    at: usize,
    per_tap: usize,
    line: &mut [f32],
) {
    let pitch = source.layout.pitch;
    let Some(row) = row else {
        for voxel in line.chunks_exact_mut(per_tap) {
            voxel[at..at + pitch].fill(0.0);
        }
        return;
    };
    let n_before = begin.unsigned_abs();
    let n_voxels = line.len() / per_tap;
    let n_inside = source.layout.size[2].min(n_voxels - n_before);
    if pitch == per_tap && source.is_plain() {
        let inside = n_before * pitch..(n_before + n_inside) * pitch;
        line[..inside.start].fill(0.0);
        line[inside.end..].fill(0.0);
        line[inside.clone()].copy_from_slice(&row[..inside.len()]);
        return;
    }
    let (before, rest) = line.split_at_mut(n_before * per_tap);
    let (inside, behind) = rest.split_at_mut(n_inside * per_tap);
    for voxel in before
        .chunks_exact_mut(per_tap)
        .chain(behind.chunks_exact_mut(per_tap))
    {
        voxel[at..at + pitch].fill(0.0);
    }
    if pitch.is_multiple_of(S::F32_LANES) {
        for channel in (0..pitch).step_by(S::F32_LANES) {
            let affine = VectorAffine::<S>::new(simd, source, channel);
            for (to, from) in inside.chunks_exact_mut(per_tap).zip(row.chunks_exact(pitch)) {
                store::<S>(to, at + channel, affine.apply(simd, load::<S>(from, channel)));
            }
        }
        return;
    }
    for (to, from) in inside.chunks_exact_mut(per_tap).zip(row.chunks_exact(pitch)) {
        copy_voxel::<S, false>(simd, source, from, &mut to[at..at + pitch]);
    }
}

/// The outputs of one block for row `y`: `[x][pitch]`, from the bias on.
pub(crate) struct LineProducts<'a> {
    pub(crate) lines: &'a Lines<'a>,
    pub(crate) y: usize,
    /// `[tap z][tap y][tap x][channel][output in block]`.
    pub(crate) weights: &'a [f32],
    pub(crate) n_vectors: usize,
    pub(crate) bias: &'a [f32],
    pub(crate) results: &'a mut [f32],
    pub(crate) pitch: usize,
}

impl WithSimd for LineProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Windows { kernel, stride, .. } = *self.lines.windows;
        let per_tap = self.lines.per_tap;
        // Known distances between what is read need no registers.
        match (stride[2] * per_tap, kernel[2] * per_tap, self.n_vectors) {
            (1, 3, 1) => row::<S, 1, 3, 1>(simd, self),
            (1, 3, 2) => row::<S, 1, 3, 2>(simd, self),
            (8, 8, 1) => row::<S, 8, 8, 1>(simd, self),
            (16, 24, 1) => row::<S, 16, 24, 1>(simd, self),
            (16, 24, 2) => row::<S, 16, 24, 2>(simd, self),
            (32, 48, 2) => row::<S, 32, 48, 2>(simd, self),
            (_, _, 1) => row::<S, 0, 0, 1>(simd, self),
            _ => row::<S, 0, 0, 2>(simd, self),
        }
    }
}

#[inline(always)]
fn row<S: Simd, const STEP: usize, const DEPTH: usize, const N_VECTORS: usize>(
    simd: S,
    products: LineProducts<'_>,
) {
    let LineProducts {
        lines,
        y,
        weights,
        bias,
        results,
        pitch,
        ..
    } = products;
    let n = lines.windows.size[2];
    let mut x = 0;
    while x < n {
        let to = &mut results[x * pitch..];
        x += match (N_VECTORS, S::REGISTER_COUNT >= 32, n - x) {
            (2, true, 12..) => {
                tile::<S, STEP, DEPTH, 12, N_VECTORS>(simd, lines, [y, x], weights, bias, to, pitch)
            }
            (2, false, 6..) => {
                tile::<S, STEP, DEPTH, 6, N_VECTORS>(simd, lines, [y, x], weights, bias, to, pitch)
            }
            (1, _, 8..) => {
                tile::<S, STEP, DEPTH, 8, N_VECTORS>(simd, lines, [y, x], weights, bias, to, pitch)
            }
            (_, _, 4..) => {
                tile::<S, STEP, DEPTH, 4, N_VECTORS>(simd, lines, [y, x], weights, bias, to, pitch)
            }
            _ => tile::<S, STEP, DEPTH, 1, N_VECTORS>(simd, lines, [y, x], weights, bias, to, pitch),
        };
    }
}

/// A few voxels, all sums in registers. Gives their number.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // sums whose address is taken are kept in memory
fn tile<S: Simd, const STEP: usize, const DEPTH: usize, const N_ROWS: usize, const N_VECTORS: usize>(
    simd: S,
    lines: &Lines<'_>,
    [y, x]: [usize; 2],
    weights: &[f32],
    bias: &[f32],
    results: &mut [f32],
    pitch: usize,
) -> usize {
    let lanes = S::F32_LANES;
    let [kernel_z, kernel_y, kernel_x] = lines.windows.kernel;
    let (step, depth) = (lines.windows.stride[2] * lines.per_tap, kernel_x * lines.per_tap);
    let (step, depth) = if STEP == 0 { (step, depth) } else { (STEP, DEPTH) };
    let mut sums = [[simd.splat_f32s(0.0); N_VECTORS]; N_ROWS];
    for r in 0..N_ROWS {
        for v in 0..N_VECTORS {
            sums[r][v] = load::<S>(bias, v * lanes);
        }
    }
    for tap_z in 0..kernel_z {
        for tap_y in 0..kernel_y {
            let line = &lines.line(y, tap_z, tap_y)[x * step..];
            let factors: [&[f32]; N_ROWS] = std::array::from_fn(|r| &line[r * step..][..depth]);
            let from = (tap_z * kernel_y + tap_y) * depth * N_VECTORS * lanes;
            let (weights, _) = S::as_simd_f32s(&weights[from..][..depth * N_VECTORS * lanes]);
            for k in 0..depth {
                let weights: [S::f32s; N_VECTORS] = std::array::from_fn(|v| weights[k * N_VECTORS + v]);
                for r in 0..N_ROWS {
                    let factor = simd.splat_f32s(factors[r][k]);
                    for v in 0..N_VECTORS {
                        sums[r][v] = simd.mul_add_e_f32s(factor, weights[v], sums[r][v]);
                    }
                }
            }
        }
    }
    for r in 0..N_ROWS {
        for v in 0..N_VECTORS {
            store::<S>(results, r * pitch + v * lanes, sums[r][v]);
        }
    }
    N_ROWS
}
