//! One strip of tiles: the part of the output that one task computes.
//!
//! A tile is 2 (z) × 2 (y) output rows (1 × 2 for a kernel that is flat along z); a strip is some tiles one after
//! another along y. All rows of a strip's transformed input lie behind each other, each with one zero on either side,
//! so that the voxels of a strip are one long vector, whatever the width of the volume: position `row · (x + 2) + i`.
//! What is computed at the two positions between rows is thrown away.

use pulp::{Arch, Simd, WithSimd};

use crate::weights::{N_OUT_BLOCK, N_TAPS_X, Weights};

/// SIMD vectors of voxels that are computed together.
const N_VECTORS: usize = 3;
/// The transformed input of a strip should stay in the second-level cache.
const STRIP_BYTES: usize = 400 << 10;

/// How a volume is cut into strips.
#[derive(Debug)]
pub(crate) struct StripPlan {
    /// z, y, x.
    pub(crate) size: [usize; 3],
    /// Output planes of a tile.
    pub(crate) tile_depth: usize,
    /// Tiles along y of a strip; fewer in the last one.
    pub(crate) n_tile_rows: usize,
    /// Strips that lie behind each other along y.
    pub(crate) n_strips_y: usize,
}

/// Which tiles a strip holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StripIndex {
    tile_z: usize,
    first_tile_y: usize,
    n_tile_rows: usize,
}

impl StripPlan {
    pub(crate) fn new(weights: &Weights, size: [usize; 3], arch: Arch) -> Self {
        let tile_depth = if weights.n_components_z == 4 { 2 } else { 1 };
        let n_tiles_y = size[1].div_ceil(2);
        let row_len = size[2] + 2;
        let block = arch.dispatch(BlockLen);
        let row_bytes = weights.n_components() * weights.n_in * row_len * size_of::<f32>();
        let most = (STRIP_BYTES / row_bytes.max(1)).clamp(1, n_tiles_y);
        // Blocks of voxels are computed whole: choose the number of rows that leaves least of the last one unused.
        let waste = |n_rows: &usize| (n_rows * row_len).div_ceil(block) * block * most / n_rows;
        let n_tile_rows = (1..=most).rev().min_by_key(waste).unwrap_or(1);
        StripPlan {
            size,
            tile_depth,
            n_tile_rows,
            n_strips_y: n_tiles_y.div_ceil(n_tile_rows),
        }
    }

    pub(crate) fn n_strips(&self) -> usize {
        self.size[0].div_ceil(self.tile_depth) * self.n_strips_y
    }

    /// Strips along y first.
    pub(crate) fn strip(&self, i: usize) -> StripIndex {
        let first_tile_y = i % self.n_strips_y * self.n_tile_rows;
        let n_tile_rows = self.n_tile_rows.min(self.size[1].div_ceil(2) - first_tile_y);
        StripIndex {
            tile_z: i / self.n_strips_y,
            first_tile_y,
            n_tile_rows,
        }
    }
}

/// Voxels of one block on this machine.
struct BlockLen;

impl WithSimd for BlockLen {
    type Output = usize;

    fn with_simd<S: Simd>(self, _: S) -> usize {
        N_VECTORS * S::F32_LANES
    }
}

/// The work on one strip.
pub(crate) struct Strip<'a, 'out> {
    pub(crate) plan: &'a StripPlan,
    pub(crate) strip: StripIndex,
    pub(crate) weights: &'a Weights,
    /// One per output channel.
    pub(crate) bias: &'a [f32],
    /// `[in, z, y, x]`.
    pub(crate) input: &'a [f32],
    /// Rows to write: per output channel, those of each plane of the tiles.
    pub(crate) rows: &'a mut [&'out mut [f32]],
    pub(crate) scratch: &'a mut Vec<f32>,
}

/// Where things lie in the scratch memory of a strip.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// Voxels that are computed together.
    block: usize,
    /// Values of a row of transformed input: the volume's, and a zero on either side.
    row_len: usize,
    /// Positions in the strip, those between rows among them.
    len: usize,
    /// Values from one input channel to the next.
    stride: usize,
    n_in: usize,
    n_components_z: usize,
    n_tile_rows: usize,
    tile_depth: usize,
}

impl Layout {
    fn new<S: Simd>(plan: &StripPlan, strip: StripIndex, weights: &Weights) -> Self {
        let block = N_VECTORS * S::F32_LANES;
        let row_len = plan.size[2] + 2;
        let len = strip.n_tile_rows * row_len;
        Layout {
            block,
            row_len,
            len,
            // The taps along x read up to two values past the last block.
            stride: len.next_multiple_of(block) + N_TAPS_X - 1,
            n_in: weights.n_in,
            n_components_z: weights.n_components_z,
            n_tile_rows: strip.n_tile_rows,
            tile_depth: plan.tile_depth,
        }
    }

    fn n_components(&self) -> usize {
        self.n_components_z * 4
    }

    fn size_x(&self) -> usize {
        self.row_len - 2
    }

    /// `[component][input channel][position]`.
    fn n_transformed(&self) -> usize {
        self.n_components() * self.n_in * self.stride
    }

    /// `[input row][component along z][x]`: one channel, transformed along z only.
    fn n_half(&self) -> usize {
        (2 * self.n_tile_rows + 2) * self.n_components_z * self.size_x()
    }

    /// `[component][output in block][position in block]`.
    fn n_products(&self) -> usize {
        self.n_components() * N_OUT_BLOCK * self.block
    }

    /// `[plane and row of the tile][position in block]`.
    fn n_results(&self) -> usize {
        self.tile_depth * 2 * self.block
    }
}

impl WithSimd for Strip<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let layout = Layout::new::<S>(self.plan, self.strip, self.weights);
        let needed = layout.n_transformed()
            + layout.n_half()
            + layout.n_products()
            + layout.n_results()
            + layout.size_x();
        if self.scratch.len() < needed {
            self.scratch.resize(needed, 0.0);
        }
        let (transformed, rest) = self.scratch.split_at_mut(layout.n_transformed());
        let (half, rest) = rest.split_at_mut(layout.n_half());
        let (products, rest) = rest.split_at_mut(layout.n_products());
        let (results, rest) = rest.split_at_mut(layout.n_results());
        let zeros = &mut rest[..layout.size_x()];
        zeros.fill(0.0);

        let channel_len = self.plan.size.iter().product();
        for (channel, input) in self.input.chunks_exact(channel_len).enumerate() {
            transform_along_z(self.plan.size, self.strip, layout, input, zeros, half);
            transform_along_y(layout, half, &mut transformed[channel * layout.stride..]);
        }
        for first in (0..layout.len).step_by(layout.block) {
            for (out_block, bias) in self.bias.chunks(N_OUT_BLOCK).enumerate() {
                for component in 0..layout.n_components() {
                    let weights = self.weights.packed(out_block, component);
                    let input = &transformed[component * layout.n_in * layout.stride..]
                        [..layout.n_in * layout.stride];
                    let products =
                        &mut products[component * N_OUT_BLOCK * layout.block..][..N_OUT_BLOCK * layout.block];
                    // The accumulators must leave registers for the operands: 24 of 32, or 12 of 16.
                    if S::REGISTER_COUNT >= 32 {
                        multiply::<S, 8>(simd, layout, weights, input, first, products);
                    } else {
                        multiply::<S, 4>(simd, layout, weights, input, first, products);
                    }
                }
                for (i, &bias) in bias.iter().enumerate() {
                    transform_output(simd, layout, products, i, bias, results);
                    let n_planes = self.rows.len() / self.bias.len();
                    let planes = &mut self.rows[(out_block * N_OUT_BLOCK + i) * n_planes..][..n_planes];
                    write_rows(layout, first, results, planes);
                }
            }
        }
    }
}

/// One channel along z, for every row that the strip's tiles see; rows outside the volume are zero.
#[inline(always)]
fn transform_along_z(
    [size_z, size_y, size_x]: [usize; 3],
    strip: StripIndex,
    layout: Layout,
    input: &[f32],
    zeros: &[f32],
    half: &mut [f32],
) {
    // `z` and `y` count from one before the volume.
    let row = |z: usize, y: usize| {
        let is_inside = (1..=size_z).contains(&z) && (1..=size_y).contains(&y);
        if is_inside {
            &input[((z - 1) * size_y + y - 1) * size_x..][..size_x]
        } else {
            zeros
        }
    };
    for (i, components) in half.chunks_exact_mut(layout.n_components_z * size_x).enumerate() {
        let y = 2 * strip.first_tile_y + i;
        if layout.n_components_z == 1 {
            components.copy_from_slice(row(strip.tile_z + 1, y));
        } else {
            let rows = [0, 1, 2, 3].map(|k| row(2 * strip.tile_z + k, y));
            for (c, component) in components.chunks_exact_mut(size_x).enumerate() {
                combine(c, rows, component);
            }
        }
    }
}

/// One channel along y, from `half` to where `multiply` reads it; `transformed` begins with this channel.
#[inline(always)]
fn transform_along_y(layout: Layout, half: &[f32], transformed: &mut [f32]) {
    let size_x = layout.size_x();
    for tile in 0..layout.n_tile_rows {
        for component_z in 0..layout.n_components_z {
            let rows = [0, 1, 2, 3]
                .map(|k| &half[((2 * tile + k) * layout.n_components_z + component_z) * size_x..][..size_x]);
            for component_y in 0..4 {
                let component = component_z * 4 + component_y;
                let at = component * layout.n_in * layout.stride + tile * layout.row_len;
                let padded = &mut transformed[at..at + layout.row_len];
                padded[0] = 0.0;
                padded[size_x + 1] = 0.0;
                combine(component_y, rows, &mut padded[1..=size_x]);
            }
        }
    }
}

/// Row `component` of `Bᵀ d` of F(2, 3).
#[inline(always)]
fn combine(component: usize, d: [&[f32]; 4], result: &mut [f32]) {
    let (a, b) = match component {
        0 => (d[0], d[2]),
        1 | 2 => (d[2], d[1]),
        _ => (d[1], d[3]),
    };
    let voxels = result.iter_mut().zip(a).zip(b);
    if component == 1 {
        voxels.for_each(|((result, a), b)| *result = a + b);
    } else {
        voxels.for_each(|((result, a), b)| *result = a - b);
    }
}

/// The innermost sums, of one component: over input channels and taps along x, for a block of voxels and of outputs,
/// `N_ACCUMULATED` outputs at a time.
#[inline(always)]
fn multiply<S: Simd, const N_ACCUMULATED: usize>(
    simd: S,
    layout: Layout,
    weights: &[f32],
    input: &[f32],
    first: usize,
    products: &mut [f32],
) {
    for (part, products) in products
        .chunks_exact_mut(N_ACCUMULATED * layout.block)
        .enumerate()
    {
        let mut sums = [[simd.splat_f32s(0.0); N_VECTORS]; N_ACCUMULATED];
        let channels = weights
            .chunks_exact(N_TAPS_X * N_OUT_BLOCK)
            .zip(input.chunks_exact(layout.stride));
        for (weights, input) in channels {
            let input = &input[first..first + layout.block + N_TAPS_X - 1];
            for tap in 0..N_TAPS_X {
                let voxels: [S::f32s; N_VECTORS] = vectors::<S>(&input[tap..tap + layout.block]);
                let weights = &weights[tap * N_OUT_BLOCK + part * N_ACCUMULATED..][..N_ACCUMULATED];
                for (sums, &weight) in sums.iter_mut().zip(weights) {
                    let weight = simd.splat_f32s(weight);
                    for (sum, voxels) in sums.iter_mut().zip(voxels) {
                        *sum = simd.mul_add_e_f32s(weight, voxels, *sum);
                    }
                }
            }
        }
        let (products, _) = S::as_mut_simd_f32s(products);
        for (products, sums) in products.chunks_exact_mut(N_VECTORS).zip(sums) {
            products.copy_from_slice(&sums);
        }
    }
}

/// `N_VECTORS` vectors from as many values as they hold.
#[inline(always)]
fn vectors<S: Simd>(values: &[f32]) -> [S::f32s; N_VECTORS] {
    let (vectors, _) = S::as_simd_f32s(values);
    std::array::from_fn(|i| vectors[i])
}

/// `Aᵀ m A` of F(2×2, 3×3) (`m A` for a flat kernel) and the bias, for output `i` of the block.
#[inline(always)]
fn transform_output<S: Simd>(
    simd: S,
    layout: Layout,
    products: &[f32],
    i: usize,
    bias: f32,
    results: &mut [f32],
) {
    let bias = simd.splat_f32s(bias);
    let (products, _) = S::as_simd_f32s(products);
    let (results, _) = S::as_mut_simd_f32s(results);
    let product =
        |component: usize, vector: usize| products[(component * N_OUT_BLOCK + i) * N_VECTORS + vector];
    let inverse = |m0, m1, m2, m3| {
        let even = simd.add_f32s(simd.add_f32s(m0, m1), m2);
        let odd = simd.sub_f32s(simd.sub_f32s(m1, m2), m3);
        [even, odd]
    };
    for vector in 0..N_VECTORS {
        let mut along_y = [[simd.splat_f32s(0.0); 2]; 4];
        for (z, rows) in along_y.iter_mut().enumerate().take(layout.n_components_z) {
            let [m0, m1, m2, m3] = [0, 1, 2, 3].map(|y| product(z * 4 + y, vector));
            *rows = inverse(m0, m1, m2, m3);
        }
        for y in 0..2 {
            let planes = if layout.n_components_z == 4 {
                inverse(along_y[0][y], along_y[1][y], along_y[2][y], along_y[3][y])
            } else {
                [along_y[0][y]; 2]
            };
            for (z, &plane) in planes.iter().enumerate().take(layout.tile_depth) {
                results[(z * 2 + y) * N_VECTORS + vector] = simd.add_f32s(plane, bias);
            }
        }
    }
}

/// Copies a block of results to the rows they belong to, leaving out what lies between and behind rows.
#[inline(always)]
fn write_rows(layout: Layout, first: usize, results: &[f32], planes: &mut [&mut [f32]]) {
    let size_x = layout.size_x();
    let end = (first + layout.block).min(layout.len);
    let mut position = first;
    while position < end {
        let (tile, x) = (position / layout.row_len, position % layout.row_len);
        let next = ((tile + 1) * layout.row_len).min(end);
        let n = (next - position).min(size_x.saturating_sub(x));
        for (z, plane) in planes.iter_mut().enumerate() {
            for y in 0..2 {
                let at = (2 * tile + y) * size_x + x;
                // The last row of an odd size has no partner.
                if let Some(row) = plane.get_mut(at..at + n) {
                    row.copy_from_slice(&results[(z * 2 + y) * layout.block + position - first..][..n]);
                }
            }
        }
        position = next;
    }
}
