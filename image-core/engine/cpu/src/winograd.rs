//! Convolution with a kernel of 3×3×3 or 1×3×3 and stride 1 by minimal filtering.
//!
//! A *tile* is a small box of outputs. Its window of inputs is transformed into *components*, as many as the window has
//! voxels; each component of all input channels is multiplied with the same component of the transformed kernels, and the
//! products of all components give the outputs of the tile. A *strip* is some tiles, the work of one task: its transformed
//! input and the products of one block of outputs stay in the second-level cache.

use pulp::{Simd, WithSimd};

use crate::apart::apart;
use crate::columns::columns;
use crate::factor::Form;
use crate::forward_transform::{Ahead, COLUMNS, ForwardRow, Place};
use crate::inverse_transform::{InverseBlock, Output};
use crate::operands::{Rows, Start};
use crate::pack::Packed;
use crate::product::{BLOCK_VECTORS, multiply, multiply_short};
use crate::strip_task::StripTask;
use crate::strips::{StripPlan, Tile};

/// Tiles between what is read and what is asked for.
const AHEAD: usize = 2;

impl WithSimd for StripTask<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.plan.tile.0 {
            _ if self.plan.tile == Tile::COLUMN => columns::<S, 4, 4>(simd, self),
            [2, 4, 4] => run::<S, 2, 4, 4>(simd, self),
            [2, ..] => run::<S, 2, 2, 2>(simd, self),
            [_, 4, _] => run::<S, 1, 4, 4>(simd, self),
            _ => run::<S, 1, 2, 2>(simd, self),
        }
    }
}

#[inline(always)]
fn run<S: Simd, const TZ: usize, const TY: usize, const TX: usize>(simd: S, task: StripTask<'_, '_>) {
    let StripTask {
        plan,
        strip,
        sources,
        weights,
        bias,
        rows,
        mut moments,
        scratch,
    } = task;
    let (n_tiles, n_components) = (strip.n_tiles(), plan.tile.n_components());
    let stride = plan.input_stride(n_tiles);
    let form = weights.shape().form;
    let (columns, scratch) = scratch.split_at_mut(COLUMNS * S::F32_LANES);
    let (transformed, rest) = scratch.split_at_mut(n_components * stride);
    for row in strip.rows[0]..strip.rows[1] {
        let first_tile = (row - strip.rows[0]) * (strip.across[1] - strip.across[0]);
        let mut depth = 0;
        for source in sources {
            let place = Place {
                origin: plan.origin(row),
                across: strip.across,
                at: first_tile * plan.depth + depth,
                stride,
                depth: plan.depth,
                ahead: Ahead {
                    n_planes: 0,
                    n_voxels: AHEAD * TX,
                },
            };
            match form {
                Form::F32 => apart(
                    simd,
                    ForwardRow::<TZ, TY, TX, false> {
                        source,
                        place,
                        transformed,
                        columns: &mut *columns,
                    },
                ),
                Form::Bf16Pairs => apart(
                    simd,
                    ForwardRow::<TZ, TY, TX, true> {
                        source,
                        place,
                        transformed,
                        columns: &mut *columns,
                    },
                ),
            }
            depth += form.n_places(source.layout.pitch);
        }
    }
    let shape = weights.shape();
    for block in 0..shape.n_blocks() {
        let n_vectors = shape.n_vectors(block);
        let product_stride = StripPlan::product_stride(n_tiles, n_vectors * S::F32_LANES);
        let products = &mut rest[..n_components * product_stride];
        apart(
            simd,
            Products {
                transformed,
                stride,
                rows: [n_tiles, plan.depth],
                weights,
                block,
                products: &mut *products,
                product_stride,
            },
        );
        let output = Output {
            plan,
            strip,
            plane: 0,
            n_before: 0,
            first_channel: block * BLOCK_VECTORS * S::F32_LANES,
            n_vectors,
            pitch: shape.n_out,
            bias,
        };
        apart(
            simd,
            InverseBlock::<TZ, TY, TX> {
                output,
                products,
                stride: product_stride,
                rows: &mut *rows,
                moments: moments.as_deref_mut(),
            },
        );
    }
}

/// The products of all components of one block of outputs.
struct Products<'a> {
    transformed: &'a [f32],
    stride: usize,
    /// Rows, and factors of each.
    rows: [usize; 2],
    weights: &'a Packed,
    block: usize,
    products: &'a mut [f32],
    product_stride: usize,
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [n_rows, depth] = self.rows;
        let shape = self.weights.shape();
        let n_vectors = shape.n_vectors(self.block);
        let width = n_vectors * S::F32_LANES;
        for (component, weights) in self.weights.groups(self.block).enumerate() {
            let from = Rows {
                values: &self.transformed[component * self.stride..][..n_rows * depth],
                stride: depth,
                n_rows,
                depth,
            };
            let to = &mut self.products[component * self.product_stride..][..n_rows * width];
            let done = match shape.form {
                Form::F32 => multiply_short::<S>(simd, from, weights, n_vectors, to),
                Form::Bf16Pairs => 0,
            };
            let rest = Rows {
                values: &from.values[done * depth..],
                n_rows: n_rows - done,
                ..from
            };
            let to = &mut to[done * width..];
            multiply::<S>(simd, shape.form, rest, weights, n_vectors, to, width, Start::Zero);
        }
    }
}
