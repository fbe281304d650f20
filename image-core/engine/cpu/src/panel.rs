//! Copies windows of the input into a panel: one row per output voxel, `[tap z][tap y][tap x][channel]`, norm and activation
//! applied, zeros outside the volume.

use std::ops::Range;

use pulp::Simd;

use crate::factor::{Form, put_vector};
use crate::view::{Source, VectorAffine, load};

/// Geometry of a convolution; sizes are z, y, x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) kernel: [usize; 3],
    pub(crate) stride: [usize; 3],
    /// Of the output.
    pub(crate) size: [usize; 3],
}

impl Windows {
    pub(crate) fn n_taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// First input voxel of the window of an output voxel, along one axis; before the volume it is negative.
    pub(crate) fn begin(&self, axis: usize, position: usize) -> isize {
        (position * self.stride[axis]) as isize - (self.kernel[axis] as isize - 1) / 2
    }
}

/// Fills one row of `panel` per output voxel in `positions` (an index into `[z, y, x]`).
#[inline(always)]
pub(crate) fn fill<S: Simd>(
    simd: S,
    form: Form,
    windows: &Windows,
    sources: &[Source<'_>],
    positions: Range<usize>,
    panel: &mut [f32],
) {
    let per_tap: usize = sources
        .iter()
        .map(|source| form.n_places(source.layout.pitch))
        .sum();
    let [_, size_y, size_x] = windows.size;
    let [kernel_z, kernel_y, kernel_x] = windows.kernel;
    let mut position = positions.start;
    // Voxels of one output row have their windows in the same input rows.
    while position < positions.end {
        let first_x = position % size_x;
        let n = (size_x - first_x).min(positions.end - position);
        let z = windows.begin(0, position / (size_y * size_x));
        let y = windows.begin(1, position / size_x % size_y);
        for tap_z in 0..kernel_z {
            for tap_y in 0..kernel_y {
                let mut run = Run {
                    windows,
                    first_x,
                    n,
                    panel: &mut *panel,
                    first_row: position - positions.start,
                    per_tap,
                    at: (tap_z * kernel_y + tap_y) * kernel_x * per_tap,
                };
                for source in sources {
                    let row = source.row(z + tap_z as isize, y + tap_y as isize);
                    let is_narrow = source.layout.pitch < S::F32_LANES && sources.len() == 1;
                    match form {
                        Form::F32 if is_narrow && source.is_plain() => run.copy_narrow(source, row),
                        Form::F32 => run.copy::<S, false>(simd, source, row),
                        Form::Bf16Pairs => run.copy::<S, true>(simd, source, row),
                    }
                    run.at += form.n_places(source.layout.pitch);
                }
            }
        }
        position += n;
    }
}

/// The windows of some voxels of one output row, as far as they lie in one input row.
struct Run<'a> {
    windows: &'a Windows,
    /// First output voxel along x.
    first_x: usize,
    n: usize,
    panel: &'a mut [f32],
    /// Row of the panel that belongs to the first voxel.
    first_row: usize,
    /// Places of one tap.
    per_tap: usize,
    /// First place of the first tap along x, within a row of the panel.
    at: usize,
}

impl Run<'_> {
    /// Places of a row of the panel.
    fn depth(&self) -> usize {
        self.windows.n_taps() * self.per_tap
    }

    /// Voxel by voxel, vector by vector; `None` is a row outside the volume.
    #[inline(always)]
    fn copy<S: Simd, const PAIRS: bool>(&mut self, simd: S, source: &Source<'_>, row: Option<&[f32]>) {
        let pitch = source.layout.pitch;
        let form = if PAIRS { Form::Bf16Pairs } else { Form::F32 };
        let (n_places, depth) = (form.n_places(pitch), self.depth());
        for i in 0..self.n {
            let x = self.windows.begin(2, self.first_x + i);
            let at = (self.first_row + i) * depth + self.at;
            for tap_x in 0..self.windows.kernel[2] {
                let to = &mut self.panel[at + tap_x * self.per_tap..][..n_places];
                // What is negative is larger than any size.
                let voxel = (x + tap_x as isize) as usize;
                match row {
                    Some(row) if voxel < source.layout.size[2] => {
                        copy_voxel::<S, PAIRS>(simd, source, &row[voxel * pitch..][..pitch], to);
                    }
                    _ => to.fill(0.0),
                }
            }
        }
    }

    /// A few channels, nothing to be done to them: the taps along x lie one behind the other in the input, too.
    #[inline(always)]
    fn copy_narrow(&mut self, source: &Source<'_>, row: Option<&[f32]>) {
        let (pitch, depth) = (source.layout.pitch, self.depth());
        let n_values = self.windows.kernel[2] * pitch;
        let step = self.windows.stride[2] * pitch;
        let panel = &mut self.panel[self.first_row * depth..][..self.n * depth];
        let Some(row) = row else {
            for to in panel.chunks_exact_mut(depth) {
                to[self.at..self.at + n_values].fill(0.0);
            }
            return;
        };
        // Where the windows begin in the row; those before and behind it stick out.
        let begin = |i: usize| self.windows.begin(2, self.first_x + i) * pitch as isize;
        let n_before = (0..self.n).find(|&i| begin(i) >= 0).unwrap_or(self.n);
        let first = usize::try_from(begin(n_before)).unwrap_or(row.len());
        let whole = row.get(first..).unwrap_or(&[]).windows(n_values).step_by(step);
        let n_whole = whole.len().min(self.n - n_before);
        let (before, rest) = panel.split_at_mut(n_before * depth);
        let (inside, behind) = rest.split_at_mut(n_whole * depth);
        for (to, from) in inside.chunks_exact_mut(depth).zip(whole) {
            let to = &mut to[self.at..self.at + n_values];
            match from {
                // By far the most common: no call for twelve bytes.
                &[a, b, c] => to.copy_from_slice(&[a, b, c]),
                from => to.copy_from_slice(from),
            }
        }
        let outside = before.chunks_exact_mut(depth).enumerate();
        let outside = outside.chain((n_before + n_whole..).zip(behind.chunks_exact_mut(depth)));
        for (i, to) in outside {
            for (k, to) in to[self.at..self.at + n_values].iter_mut().enumerate() {
                let at = usize::try_from(begin(i) + k as isize).ok();
                *to = at.and_then(|at| row.get(at).copied()).unwrap_or(0.0);
            }
        }
    }
}

/// All channels of one voxel.
#[inline(always)]
pub(crate) fn copy_voxel<S: Simd, const PAIRS: bool>(
    simd: S,
    source: &Source<'_>,
    from: &[f32],
    to: &mut [f32],
) {
    let whole = from.len() / S::F32_LANES * S::F32_LANES;
    for channel in (0..whole).step_by(S::F32_LANES) {
        let affine = VectorAffine::<S>::new(simd, source, channel);
        let vector = affine.apply(simd, load::<S>(from, channel));
        put_vector::<S, PAIRS>(simd, to, 0, channel, vector);
    }
    for channel in whole..from.len() {
        to[channel] = source.apply(from[channel], channel);
    }
}
