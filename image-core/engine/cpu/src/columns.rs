//! Convolution with a kernel of 3×3×3 by minimal filtering of each plane, for few channels.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use crate::apart::apart;
use crate::forward_transform::{Ahead, COLUMNS, ForwardRow, Place};
use crate::inverse_transform::{InverseBlock, Output};
use crate::pack::Packed;
use crate::plane_product::multiply_planes;
use crate::product::BLOCK_VECTORS;
use crate::strip_task::StripTask;
use crate::strips::StripPlan;

/// All planes of a strip of columns: each plane of the input is transformed once, into one of three places, and the products of
/// three planes are added.
#[inline(always)]
pub(crate) fn columns<S: Simd, const TY: usize, const TX: usize>(simd: S, task: StripTask<'_, '_>) {
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
    let (columns, scratch) = scratch.split_at_mut(COLUMNS * S::F32_LANES);
    let (transformed, products) = scratch.split_at_mut(3 * n_components * stride);
    let [size_z, n_planes] = [plan.size[0], plan.tile.0[0]];
    let first = plan.origin(strip.rows[0])[0];
    let last = (first + n_planes).min(size_z);
    let shape = weights.shape();
    for z in first.saturating_sub(1)..(last + 1).min(size_z + 1) {
        if z < size_z {
            let to = &mut transformed[z % 3 * n_components * stride..][..n_components * stride];
            for row in strip.rows[0]..strip.rows[1] {
                let first_tile = (row - strip.rows[0]) * (strip.across[1] - strip.across[0]);
                let mut depth = 0;
                for source in sources {
                    let place = Place {
                        origin: [z, plan.origin(row)[1]],
                        across: strip.across,
                        at: first_tile * plan.depth + depth,
                        stride,
                        depth: plan.depth,
                        ahead: Ahead {
                            n_planes: 1,
                            n_voxels: 0,
                        },
                    };
                    apart(
                        simd,
                        ForwardRow::<1, TY, TX, false> {
                            source,
                            place,
                            transformed: &mut *to,
                            columns: &mut *columns,
                        },
                    );
                    depth += source.layout.pitch;
                }
            }
        }
        if z <= first {
            continue;
        }
        let plane = z - 1;
        let n_before = moments.as_deref().map_or(0, |moments| moments.count);
        // Planes outside the volume add nothing.
        let taps = usize::from(plane == 0)..3 - usize::from(z == size_z);
        for block in 0..shape.n_blocks() {
            let n_vectors = shape.n_vectors(block);
            let product_stride = StripPlan::product_stride(n_tiles, n_vectors * S::F32_LANES);
            apart(
                simd,
                PlaneProducts {
                    transformed,
                    stride,
                    rows: [n_tiles, plan.depth],
                    plane,
                    taps: taps.clone(),
                    n_components,
                    weights,
                    block,
                    products: &mut *products,
                    product_stride,
                },
            );
            let output = Output {
                plan,
                strip,
                plane: plane - first,
                n_before,
                first_channel: block * BLOCK_VECTORS * S::F32_LANES,
                n_vectors,
                pitch: shape.n_out,
                bias,
            };
            apart(
                simd,
                InverseBlock::<1, TY, TX> {
                    output,
                    products,
                    stride: product_stride,
                    rows: &mut *rows,
                    moments: moments.as_deref_mut(),
                },
            );
        }
    }
}

/// The products of all components of one block of outputs, for one plane of columns.
struct PlaneProducts<'a> {
    transformed: &'a [f32],
    stride: usize,
    /// Rows, and factors of each.
    rows: [usize; 2],
    /// That is computed.
    plane: usize,
    /// Those that are in the volume.
    taps: Range<usize>,
    n_components: usize,
    weights: &'a Packed,
    block: usize,
    products: &'a mut [f32],
    product_stride: usize,
}

impl WithSimd for PlaneProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [n_rows, depth] = self.rows;
        let n_vectors = self.weights.shape().n_vectors(self.block);
        let width = n_vectors * S::F32_LANES;
        for (component, weights) in self.weights.groups(self.block).enumerate() {
            let plane = |tap: usize| {
                let slot = (self.plane + tap + 2) % 3;
                &self.transformed[(slot * self.n_components + component) * self.stride..][..n_rows * depth]
            };
            let planes = [plane(0), plane(1), plane(2)];
            let to = &mut self.products[component * self.product_stride..][..n_rows * width];
            multiply_planes::<S>(simd, planes, self.taps.clone(), depth, weights, n_vectors, to);
        }
    }
}
