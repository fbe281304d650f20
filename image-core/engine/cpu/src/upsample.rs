//! Transposed convolution whose kernel is its stride: every input voxel becomes a box of outputs of its own.

use pulp::{Simd, WithSimd};

use crate::operands::{Rows, Start};
use crate::pack::Packed;
use crate::panel::{Windows, fill};
use crate::product::{BLOCK_VECTORS, multiply};
use crate::view::Source;

/// One row of the input.
pub(crate) struct UpsampleTask<'a, 'out> {
    /// z, y, x.
    pub(crate) stride: [usize; 3],
    pub(crate) source: Source<'a>,
    /// Input row, `z · size_y + y`.
    pub(crate) row: usize,
    /// One group per offset within the box.
    pub(crate) weights: &'a Packed,
    /// One per output, padding included.
    pub(crate) bias: &'a [f32],
    /// The output rows of the box, z-major; `[x, output]` each.
    pub(crate) rows: &'a mut [&'out mut [f32]],
    /// `[x][channel]`.
    pub(crate) panel: &'a mut [f32],
}

impl WithSimd for UpsampleTask<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let UpsampleTask {
            stride,
            source,
            row,
            weights,
            bias,
            rows: outputs,
            panel,
        } = self;
        let (size_x, shape) = (source.layout.size[2], weights.shape());
        let depth = shape.depth;
        let windows = Windows {
            kernel: [1; 3],
            stride: [1; 3],
            size: source.layout.size,
        };
        let positions = row * size_x..(row + 1) * size_x;
        let panel = &mut panel[..size_x * depth];
        fill(
            simd,
            shape.form,
            &windows,
            std::slice::from_ref(&source),
            positions,
            panel,
        );
        let rows = Rows {
            values: panel,
            stride: depth,
            n_rows: size_x,
            depth,
        };
        let [_, _, stride_x] = stride;
        for (i, output) in outputs.iter_mut().enumerate() {
            for offset_x in 0..stride_x {
                for block in 0..shape.n_blocks() {
                    let width = BLOCK_VECTORS * S::F32_LANES;
                    let to = &mut output[offset_x * shape.n_out + block * width..];
                    multiply(
                        simd,
                        shape.form,
                        rows,
                        weights.group(block, i * stride_x + offset_x),
                        shape.n_vectors(block),
                        to,
                        stride_x * shape.n_out,
                        Start::Bias(&bias[block * width..]),
                    );
                }
            }
        }
    }
}

/// Cuts output planes, `[y, x, pitch]` each, into the rows of every input row's boxes. The first plane is the first one of an
/// input plane.
pub(crate) fn split(
    planes: Vec<&mut [f32]>,
    input: [usize; 3],
    stride: [usize; 3],
    pitch: usize,
) -> Vec<Vec<&mut [f32]>> {
    let n_rows = planes.len() / stride[0] * input[1];
    let mut boxes: Vec<Vec<&mut [f32]>> = (0..n_rows).map(|_| Vec::new()).collect();
    for (z, plane) in planes.into_iter().enumerate() {
        for (y, row) in plane.chunks_exact_mut(input[2] * stride[2] * pitch).enumerate() {
            boxes[z / stride[0] * input[1] + y / stride[1]].push(row);
        }
    }
    boxes
}
