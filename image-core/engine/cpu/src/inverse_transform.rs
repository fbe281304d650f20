//! From products back to voxels.

#![allow(clippy::needless_range_loop)] // axes index several arrays at once

use pulp::Simd;

use crate::norm::{Moments, VectorMoments};
use crate::strips::{Strip, StripPlan};
use crate::transform::{MAX_TILE, MAX_WINDOW, inverse, window};
use crate::view::{load, store};

/// Where the products of one block of outputs go.
#[derive(Clone, Copy)]
pub(crate) struct Output<'a> {
    pub(crate) plan: &'a StripPlan,
    pub(crate) strip: Strip,
    /// First channel of the block.
    pub(crate) first_channel: usize,
    pub(crate) n_vectors: usize,
    /// Values from one voxel to the next.
    pub(crate) pitch: usize,
    pub(crate) bias: &'a [f32],
}

/// `Aᵀ m` along all axes, and the bias: from `[component][tile][output in block]` to the rows of the strip.
#[inline(always)]
pub(crate) fn inverse_block<S: Simd, const TZ: usize, const TY: usize, const TX: usize>(
    simd: S,
    output: Output<'_>,
    products: &[f32],
    stride: usize,
    rows: &mut [&mut [f32]],
    mut moments: Option<&mut Moments>,
) {
    let Output {
        plan, strip, pitch, ..
    } = output;
    let width = output.n_vectors * S::F32_LANES;
    let n_across = strip.across[1] - strip.across[0];
    let n_voxels_x = rows[0].len() / pitch;
    for vector in 0..output.n_vectors {
        let in_block = vector * S::F32_LANES;
        let channel = output.first_channel + in_block;
        let bias = load::<S>(output.bias, channel);
        let mut sums: Option<VectorMoments<S>> = None;
        for tile in 0..strip.n_tiles() {
            let mut values = inverse_tile::<S, TZ, TY, TX>(simd, products, stride, tile * width + in_block);
            let (row, first_x) = (tile / n_across, tile % n_across * TX);
            let [z0, y0] = plan.origin(strip.rows[0] + row);
            let n = [
                TZ.min(plan.size[0] - z0),
                TY.min(plan.size[1] - y0),
                TX.min(n_voxels_x - first_x),
            ];
            for z in 0..n[0] {
                for y in 0..n[1] {
                    let to = &mut *rows[(row * TZ + z) * TY + y];
                    for x in 0..TX {
                        values[z][y][x] = simd.add_f32s(values[z][y][x], bias);
                        if x < n[2] {
                            store::<S>(to, (first_x + x) * pitch + channel, values[z][y][x]);
                        }
                    }
                }
            }
            if moments.is_some() {
                let mut joined = sums.unwrap_or_else(|| VectorMoments::new(simd, values[0][0][0]));
                if n == [TZ, TY, TX] {
                    joined.add(simd, TZ * TY * TX, |i| values[i / (TY * TX)][i / TX % TY][i % TX]);
                } else {
                    let at = |i: usize| values[i / (n[1] * n[2])][i / n[2] % n[1]][i % n[2]];
                    joined.add(simd, n[0] * n[1] * n[2], at);
                }
                sums = Some(joined);
            }
        }
        if let (Some(moments), Some(sums)) = (moments.as_deref_mut(), sums) {
            sums.store(moments, channel);
        }
    }
}

/// The outputs of one tile, `[z][y][x]`.
#[inline(always)]
fn inverse_tile<S: Simd, const TZ: usize, const TY: usize, const TX: usize>(
    simd: S,
    products: &[f32],
    stride: usize,
    at: usize,
) -> [[[S::f32s; MAX_TILE]; MAX_TILE]; 2] {
    let (wz, wy, wx) = (window(TZ), window(TY), window(TX));
    let zero = simd.splat_f32s(0.0);
    // `[z][x][y]`.
    let mut along_z = [[[zero; MAX_WINDOW]; MAX_WINDOW]; 2];
    for y in 0..wy {
        for x in 0..wx {
            let mut m = [zero; MAX_WINDOW];
            for z in 0..wz {
                m[z] = load::<S>(products, at + ((z * wy + y) * wx + x) * stride);
            }
            let m = inverse::<S, TZ>(simd, m);
            for z in 0..TZ {
                along_z[z][x][y] = m[z];
            }
        }
    }
    let mut values = [[[zero; MAX_TILE]; MAX_TILE]; 2];
    for z in 0..TZ {
        let mut along_y = [[zero; MAX_WINDOW]; MAX_TILE];
        for x in 0..wx {
            let m = inverse::<S, TY>(simd, along_z[z][x]);
            for y in 0..TY {
                along_y[y][x] = m[y];
            }
        }
        for y in 0..TY {
            values[z][y] = inverse::<S, TX>(simd, along_y[y]);
        }
    }
    values
}
