//! From products back to voxels.

#![allow(clippy::needless_range_loop)] // axes index several arrays at once

use pulp::{Simd, WithSimd};

use crate::norm::{Moments, VectorMoments};
use crate::strips::{Strip, StripPlan};
use crate::transform::{MAX_TILE, MAX_WINDOW, inverse, window};
use crate::view::{load, store};

/// Where the products of one block of outputs go.
#[derive(Clone, Copy)]
pub(crate) struct Output<'a> {
    pub(crate) plan: &'a StripPlan,
    pub(crate) strip: Strip,
    /// Of a column, the plane that is written; 0 otherwise.
    pub(crate) plane: usize,
    /// Values per channel that the moments are of already.
    pub(crate) n_before: usize,
    /// First channel of the block.
    pub(crate) first_channel: usize,
    pub(crate) n_vectors: usize,
    /// Values from one voxel to the next.
    pub(crate) pitch: usize,
    pub(crate) bias: &'a [f32],
}

/// `Aᵀ m` along all axes, and the bias: from `[component][tile][output in block]` to the rows of the strip.
pub(crate) struct InverseBlock<'a, 'out, const TZ: usize, const TY: usize, const TX: usize> {
    pub(crate) output: Output<'a>,
    pub(crate) products: &'a [f32],
    /// Values from one component to the next.
    pub(crate) stride: usize,
    pub(crate) rows: &'a mut [&'out mut [f32]],
    pub(crate) moments: Option<&'a mut Moments>,
}

impl<const TZ: usize, const TY: usize, const TX: usize> WithSimd for InverseBlock<'_, '_, TZ, TY, TX> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let InverseBlock {
            output,
            products,
            stride,
            rows,
            moments,
        } = self;
        inverse_block::<S, TZ, TY, TX>(simd, output, products, stride, rows, moments);
    }
}

#[inline(always)]
fn inverse_block<S: Simd, const TZ: usize, const TY: usize, const TX: usize>(
    simd: S,
    output: Output<'_>,
    products: &[f32],
    stride: usize,
    rows: &mut [&mut [f32]],
    mut moments: Option<&mut Moments>,
) {
    let Output {
        plan,
        strip,
        plane,
        pitch,
        ..
    } = output;
    let width = output.n_vectors * S::F32_LANES;
    let zero = simd.splat_f32s(0.0);
    // Made once: they are too large for registers.
    let mut along_z = [[[zero; MAX_WINDOW]; MAX_WINDOW]; 2];
    let mut values = [[[zero; MAX_TILE]; MAX_TILE]; 2];
    let n_across = strip.across[1] - strip.across[0];
    let n_voxels_x = rows[0].len() / pitch;
    for vector in 0..output.n_vectors {
        let in_block = vector * S::F32_LANES;
        let channel = output.first_channel + in_block;
        let bias = load::<S>(output.bias, channel);
        let mut sums = match moments.as_deref() {
            Some(moments) if output.n_before > 0 => {
                Some(VectorMoments::<S>::load(moments, channel, output.n_before))
            }
            _ => None,
        };
        for row in 0..strip.rows[1] - strip.rows[0] {
            let [z0, y0] = plan.origin(strip.rows[0] + row);
            let n_zy = [TZ.min(plan.size[0] - z0 - plane), TY.min(plan.size[1] - y0)];
            for across in 0..n_across {
                let at = (row * n_across + across) * width + in_block;
                inverse_tile::<S, TZ, TY, TX>(simd, products, stride, at, &mut along_z, &mut values);
                let first_x = across * TX;
                let n = [n_zy[0], n_zy[1], TX.min(n_voxels_x - first_x)];
                for z in 0..n[0] {
                    for y in 0..n[1] {
                        let to = &mut *rows[(row * plan.tile.0[0] + plane + z) * TY + y];
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
        }
        if let (Some(moments), Some(sums)) = (moments.as_deref_mut(), sums) {
            sums.store(moments, channel);
        }
    }
}

/// The outputs of one tile, `[z][y][x]`; between, `[z][x][y]`.
#[inline(always)]
fn inverse_tile<S: Simd, const TZ: usize, const TY: usize, const TX: usize>(
    simd: S,
    products: &[f32],
    stride: usize,
    at: usize,
    along_z: &mut [[[S::f32s; MAX_WINDOW]; MAX_WINDOW]; 2],
    values: &mut [[[S::f32s; MAX_TILE]; MAX_TILE]; 2],
) {
    let (wz, wy, wx) = (window(TZ), window(TY), window(TX));
    let zero = simd.splat_f32s(0.0);
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
}
