//! Convolution with a kernel of 3×3×3 or 1×3×3 and stride 1 by minimal filtering.
//!
//! A *tile* is a small box of outputs. Its window of inputs is transformed into *components*, as many as the window has
//! voxels; each component of all input channels is multiplied with the same component of the transformed kernels, and the
//! products of all components give the outputs of the tile. A *strip* is some tiles, the work of one task: its transformed
//! input and the products of one block of outputs stay in the second-level cache.

#![allow(clippy::needless_range_loop)] // axes index several arrays at once

use pulp::{Simd, WithSimd};

use crate::factor::{Form, put_vector};
use crate::inverse_transform::{Output, inverse_block};
use crate::norm::Moments;
use crate::operands::{Rows, Start};
use crate::pack::Packed;
use crate::prefetch::prefetch;
use crate::product::{BLOCK_VECTORS, multiply, multiply_short};
use crate::strips::{Strip, StripPlan};
use crate::transform::{MAX_WINDOW, forward, window};
use crate::view::{Source, VectorAffine, load};

/// Tiles between what is read and what is asked for.
const AHEAD: usize = 2;

/// The work on one strip.
pub(crate) struct StripTask<'a, 'out> {
    pub(crate) plan: &'a StripPlan,
    pub(crate) strip: Strip,
    pub(crate) sources: &'a [Source<'a>],
    pub(crate) weights: &'a Packed,
    /// One per output, padding included.
    pub(crate) bias: &'a [f32],
    /// As [`StripPlan::split`] gives them.
    pub(crate) rows: &'a mut [&'out mut [f32]],
    pub(crate) moments: Option<&'a mut Moments>,
    pub(crate) scratch: &'a mut [f32],
}

impl WithSimd for StripTask<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.plan.tile.0 {
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
            };
            match form {
                Form::F32 => forward_row::<S, TZ, TY, TX, false>(simd, source, place, transformed),
                Form::Bf16Pairs => forward_row::<S, TZ, TY, TX, true>(simd, source, place, transformed),
            }
            depth += form.n_places(source.layout.pitch);
        }
    }
    let shape = weights.shape();
    for block in 0..shape.n_blocks() {
        let n_vectors = shape.n_vectors(block);
        let width = n_vectors * S::F32_LANES;
        let product_stride = StripPlan::product_stride(n_tiles, width);
        let products = &mut rest[..n_components * product_stride];
        for component in 0..n_components {
            let from = Rows {
                values: &transformed[component * stride..][..n_tiles * plan.depth],
                stride: plan.depth,
                n_rows: n_tiles,
                depth: plan.depth,
            };
            let to = &mut products[component * product_stride..][..n_tiles * width];
            let weights = weights.group(block, component);
            let done = match form {
                Form::F32 => multiply_short::<S>(simd, from, weights, n_vectors, to),
                Form::Bf16Pairs => 0,
            };
            let rest = Rows {
                values: &from.values[done * plan.depth..],
                n_rows: n_tiles - done,
                ..from
            };
            let to = &mut to[done * width..];
            multiply::<S>(simd, form, rest, weights, n_vectors, to, width, Start::Zero);
        }
        let output = Output {
            plan,
            strip,
            first_channel: block * BLOCK_VECTORS * S::F32_LANES,
            n_vectors,
            pitch: shape.n_out,
            bias,
        };
        inverse_block::<S, TZ, TY, TX>(
            simd,
            output,
            products,
            product_stride,
            rows,
            moments.as_deref_mut(),
        );
    }
}

/// Where the transformed input of a row of tiles goes.
#[derive(Clone, Copy)]
struct Place {
    /// First output voxel, z and y.
    origin: [usize; 2],
    /// First tile along x, and end.
    across: [usize; 2],
    /// First value of the first component.
    at: usize,
    /// Values from one component to the next.
    stride: usize,
    /// Values from one tile to the next.
    depth: usize,
}

/// Transforms the windows of a row of tiles, all channels of one source: `[component][tile][channel]`.
#[inline(always)]
fn forward_row<S: Simd, const TZ: usize, const TY: usize, const TX: usize, const PAIRS: bool>(
    simd: S,
    source: &Source<'_>,
    place: Place,
    transformed: &mut [f32],
) {
    let (wz, wy, wx) = (window(TZ), window(TY), window(TX));
    let (pad_z, pad) = (isize::from(TZ > 1), 1);
    let mut rows: [[Option<&[f32]>; MAX_WINDOW]; 4] = [[None; MAX_WINDOW]; 4];
    for (z, rows) in rows.iter_mut().enumerate().take(wz) {
        for (y, row) in rows.iter_mut().enumerate().take(wy) {
            let [z0, y0] = place.origin;
            *row = source.row((z0 + z) as isize - pad_z, (y0 + y) as isize - pad);
        }
    }
    let (pitch, size_x) = (source.layout.pitch, source.layout.size[2]);
    let zero = simd.splat_f32s(0.0);
    for channel in (0..pitch).step_by(S::F32_LANES) {
        let affine = VectorAffine::<S>::new(simd, source, channel);
        // Transformed along z and y, by column: `[z][y][x]`.
        let mut columns = [[[zero; MAX_WINDOW]; MAX_WINDOW]; 4];
        for tile in place.across[0]..place.across[1] {
            let is_first = tile == place.across[0];
            for x in if is_first { 0 } else { wx - TX }..wx {
                // One before the volume where the window begins.
                let voxel = (tile * TX + x).wrapping_sub(1);
                if voxel >= size_x {
                    for plane in columns.iter_mut().take(wz) {
                        for row in plane.iter_mut().take(wy) {
                            row[x] = zero;
                        }
                    }
                    continue;
                }
                let at = voxel * pitch + channel;
                let mut along_z = [[zero; MAX_WINDOW]; 4];
                for y in 0..wy {
                    let mut d = [zero; MAX_WINDOW];
                    for z in 0..wz {
                        if let Some(row) = rows[z][y] {
                            prefetch(row, at + AHEAD * TX * pitch);
                            d[z] = affine.apply(simd, load::<S>(row, at));
                        }
                    }
                    let d = forward::<S, TZ>(simd, d);
                    for z in 0..wz {
                        along_z[z][y] = d[z];
                    }
                }
                for z in 0..wz {
                    let d = forward::<S, TY>(simd, along_z[z]);
                    for y in 0..wy {
                        columns[z][y][x] = d[y];
                    }
                }
            }
            let at = place.at + (tile - place.across[0]) * place.depth;
            for z in 0..wz {
                for y in 0..wy {
                    let d = forward::<S, TX>(simd, columns[z][y]);
                    for x in 0..wx {
                        let at = at + ((z * wy + y) * wx + x) * place.stride;
                        put_vector::<S, PAIRS>(simd, transformed, at, channel, d[x]);
                    }
                    for x in 0..wx - TX {
                        columns[z][y][x] = columns[z][y][x + TX];
                    }
                }
            }
        }
    }
}
