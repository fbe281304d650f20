//! Convolution of any kernel and stride as a matrix product of copied windows.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use crate::apart::apart;
use crate::lines::{LineProducts, Lines, lines_len};
use crate::norm::{Moments, gather};
use crate::operands::{Rows, Start};
use crate::pack::Packed;
use crate::panel::{Windows, fill};
use crate::product::{BLOCK_VECTORS, multiply};
use crate::view::Source;

/// A panel should be about this long, in bytes.
const PANEL_BYTES: usize = 400 << 10;
/// Output voxels of one task, at least: weights are read once for all of them.
const MIN_VOXELS: usize = 36;
/// Output voxels of one task, at most.
const MAX_VOXELS: usize = 768;
/// Factors of one pass over the panel, so that the weights of the pass stay in the first-level cache.
const PASS: usize = 128;
/// Rows of one task, where there are no windows.
const ROWS: usize = 8;
/// Tasks that a layer should have, so that many cores find work in small volumes too.
const ENOUGH_TASKS: usize = 32;

/// How the output becomes tasks: runs of voxels, and for small volumes ranges of output blocks too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DirectPlan {
    pub(crate) windows: Windows,
    /// Without windows; a task is some rows.
    pub(crate) in_lines: bool,
    /// Factors of a sum.
    pub(crate) depth: usize,
    /// Output voxels of a task, at most.
    n_voxels: usize,
    /// Output voxels of which none is in a task with others: a plane, or all if tasks are cut by outputs too.
    n_together: usize,
    /// Blocks of outputs of a task.
    n_blocks: usize,
    /// All blocks.
    n_blocks_total: usize,
}

/// The part of the output that one task computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) positions: Range<usize>,
    pub(crate) blocks: Range<usize>,
}

impl DirectPlan {
    /// `depth`: factors of a sum; `n_blocks`: blocks of outputs.
    pub(crate) fn new(windows: Windows, depth: usize, n_blocks: usize, in_lines: bool) -> Self {
        let total: usize = windows.size.iter().product();
        let bytes = depth.saturating_mul(size_of::<f32>());
        let wanted = (PANEL_BYTES / bytes.max(1)).clamp(MIN_VOXELS, MAX_VOXELS);
        let in_lines = in_lines && windows.size[0] * windows.size[1] >= ENOUGH_TASKS * ROWS;
        let wanted = if in_lines { ROWS * windows.size[2] } else { wanted };
        let n_splits = ENOUGH_TASKS.div_ceil(total.div_ceil(wanted)).min(n_blocks);
        let n_together = match n_splits {
            1 => windows.size[1] * windows.size[2],
            _ => total,
        };
        DirectPlan {
            windows,
            in_lines,
            depth,
            n_voxels: wanted.min(n_together),
            n_together,
            n_blocks: n_blocks.div_ceil(n_splits),
            n_blocks_total: n_blocks,
        }
    }

    /// Output voxels of a task, at most.
    pub(crate) fn n_voxels(&self) -> usize {
        self.n_voxels
    }

    /// Runs of voxels.
    fn n_runs(&self) -> usize {
        let total: usize = self.windows.size.iter().product();
        total / self.n_together * self.n_together.div_ceil(self.n_voxels)
    }

    pub(crate) fn n_tasks(&self) -> usize {
        self.n_runs() * self.n_blocks_total.div_ceil(self.n_blocks)
    }

    /// Runs of voxels first.
    pub(crate) fn part(&self, i: usize) -> Part {
        let (run, block) = (i % self.n_runs(), i / self.n_runs() * self.n_blocks);
        let per_plane = self.n_together.div_ceil(self.n_voxels);
        let first = run / per_plane * self.n_together;
        let begin = first + run % per_plane * self.n_voxels;
        Part {
            positions: begin..(begin + self.n_voxels).min(first + self.n_together),
            blocks: block..(block + self.n_blocks).min(self.n_blocks_total),
        }
    }

    /// Values of scratch memory that a task needs: the panel, and the results of a range of blocks.
    pub(crate) fn scratch(&self, lanes: usize) -> usize {
        let results = self.n_voxels * self.n_blocks * BLOCK_VECTORS * lanes;
        let per_tap = self.depth / self.windows.n_taps();
        results
            + if self.in_lines {
                lines_len(&self.windows, per_tap)
            } else {
                self.n_voxels * self.depth
            }
    }

    /// True if a task computes all outputs of its voxels, which are then written where they belong at once.
    pub(crate) fn is_whole(&self) -> bool {
        self.n_blocks == self.n_blocks_total
    }
}

/// The work on one part.
pub(crate) struct DirectTask<'a> {
    pub(crate) plan: &'a DirectPlan,
    pub(crate) part: Part,
    pub(crate) sources: &'a [Source<'a>],
    pub(crate) weights: &'a Packed,
    /// One per output, padding included.
    pub(crate) bias: &'a [f32],
    /// `[position][output]` of the part.
    pub(crate) results: &'a mut [f32],
    pub(crate) moments: Option<&'a mut Moments>,
    pub(crate) panel: &'a mut [f32],
}

impl WithSimd for DirectTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.plan.in_lines {
            return in_lines(simd, self);
        }
        let DirectTask {
            plan,
            part,
            sources,
            weights,
            bias,
            results,
            moments,
            panel,
        } = self;
        let n_rows = part.positions.len();
        let panel = &mut panel[..n_rows * plan.depth];
        fill(
            simd,
            weights.shape().form,
            &plan.windows,
            sources,
            part.positions.clone(),
            panel,
        );
        let shape = weights.shape();
        let block_width = BLOCK_VECTORS * S::F32_LANES;
        let pitch = results.len() / n_rows;
        for begin in (0..plan.depth).step_by(PASS) {
            let depth = PASS.min(plan.depth - begin);
            let rows = Rows {
                values: &panel[begin..],
                stride: plan.depth,
                n_rows,
                depth,
            };
            for block in part.blocks.clone() {
                let n_vectors = shape.n_vectors(block);
                let weights = &weights.group(block, 0)[begin * n_vectors * S::F32_LANES..];
                let results = &mut results[(block - part.blocks.start) * block_width..];
                let start = match begin {
                    0 => Start::Bias(&bias[block * block_width..]),
                    _ => Start::Add,
                };
                multiply(simd, shape.form, rows, weights, n_vectors, results, pitch, start);
            }
        }
        if let Some(moments) = moments {
            gather(simd, results, pitch, moments);
        }
    }
}

/// Whole rows of all outputs.
#[inline(always)]
fn in_lines<S: Simd>(simd: S, task: DirectTask<'_>) {
    let DirectTask {
        plan,
        part,
        sources,
        weights,
        bias,
        results,
        moments,
        panel,
    } = task;
    let [_, size_y, size_x] = plan.windows.size;
    let shape = weights.shape();
    let per_tap = plan.depth / plan.windows.n_taps();
    let values = &mut panel[..lines_len(&plan.windows, per_tap)];
    let mut lines = Lines::new(&plan.windows, per_tap, values);
    let first = part.positions.start / size_x;
    for (row, results) in results.chunks_exact_mut(size_x * shape.n_out).enumerate() {
        let (z, y) = ((first + row) / size_y, (first + row) % size_y);
        lines.advance(simd, sources, z, y);
        for block in 0..shape.n_blocks() {
            let at = block * BLOCK_VECTORS * S::F32_LANES;
            apart(
                simd,
                LineProducts {
                    lines: &lines,
                    y,
                    weights: weights.group(block, 0),
                    n_vectors: shape.n_vectors(block),
                    bias: &bias[at..],
                    results: &mut results[at..],
                    pitch: shape.n_out,
                },
            );
        }
    }
    if let Some(moments) = moments {
        gather(simd, results, shape.n_out, moments);
    }
}
