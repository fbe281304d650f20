//! From work to launches of kernels. The shape of a launch depends on sizes alone, so that every card sums in the same order.

use std::ffi::c_void;

use cudarc::driver::result;
use cudarc::driver::sys::{CUdeviceptr, CUfunction};

use super::compile::Kernels;
use super::convolution::DnnHandle;
use super::queue::Line;
use crate::CudaError;
use crate::memory::At;
use crate::precision::Element;
use crate::work::{Ends, FEW_CLASSES, Flip, Interpolation, PARTIAL_MOMENTS, Prepared, Ring, Work};

/// Pointers to values, as a launch wants them.
macro_rules! arguments {
    ($($value:expr),* $(,)?) => { &mut [$((&raw const $value).cast_mut().cast::<c_void>()),*] };
}

/// Threads of a block, for all kernels but [`Kernels::head_few`].
const THREADS: usize = 256;

/// Of a head of few classes: a block has one row of the tile.
const ROW_THREADS: usize = 128;

/// Classes from which on a warp looks for the label of a voxel, not a thread.
const MANY_CLASSES: usize = 12;

/// Blocks that loop over what there is, at most.
const MANY_BLOCKS: usize = 132 * 16;

/// Voxels of a block of a matrix product, and its columns.
const MATRIX_TILE: [usize; 2] = [64, 128];

/// As the kernels have it.
#[derive(Clone, Copy)]
#[repr(C)]
struct KernelEnds {
    other: CUdeviceptr,
    other_scale: CUdeviceptr,
    first: CUdeviceptr,
    second: CUdeviceptr,
    first_pitch: i32,
    second_pitch: i32,
    slope: f32,
}

/// As the kernels have it.
#[derive(Clone, Copy)]
#[repr(C)]
struct KernelRing {
    start: [i32; 3],
    size: [i32; 3],
    pitch: i32,
}

/// As the kernels have it.
#[derive(Clone, Copy)]
#[repr(C)]
struct KernelSums {
    sums: CUdeviceptr,
    weights: CUdeviceptr,
    size: [i32; 2],
    pitch: i32,
    n_classes: i32,
}

/// As the kernels have it.
#[derive(Clone, Copy)]
#[repr(C)]
struct KernelBox {
    taps: [CUdeviceptr; 3],
    size: [i32; 3],
}

/// Address on the card.
fn address(at: &At) -> CUdeviceptr {
    let memory = at.memory.card().expect("a card works in memory of its own");
    memory.address(at.offset)
}

fn address_or_null(at: Option<&At>) -> CUdeviceptr {
    at.map_or(0, address)
}

/// Sizes that fit an i32: a patch, a grid, and a number of channels do.
fn int(n: usize) -> i32 {
    i32::try_from(n).expect("sizes are checked against limits")
}

fn product(size: [usize; 3]) -> usize {
    size.iter().product()
}

/// Bits of mirrored axes.
fn flip_bits(flip: Flip) -> i32 {
    (0..3).map(|axis| i32::from(flip[axis]) << axis).sum()
}

impl From<&Ends> for KernelEnds {
    fn from(ends: &Ends) -> Self {
        let other = ends.other.as_ref();
        let second = ends.second.as_ref();
        KernelEnds {
            other: address_or_null(other.map(|other| &other.0)),
            other_scale: address_or_null(other.and_then(|other| other.1.as_ref())),
            first: address(&ends.first.0),
            second: address_or_null(second.map(|second| &second.0)),
            first_pitch: int(ends.first.1),
            second_pitch: second.map_or(0, |second| int(second.1)),
            slope: ends.slope,
        }
    }
}

impl From<Ring> for KernelRing {
    fn from(ring: Ring) -> Self {
        KernelRing {
            start: ring.start.map(int),
            size: ring.size.map(int),
            pitch: int(ring.pitch),
        }
    }
}

impl From<&Interpolation> for (KernelSums, KernelBox) {
    fn from(from: &Interpolation) -> Self {
        let sums = KernelSums {
            sums: address(&from.sums),
            weights: address(&from.weights),
            size: [int(from.size[1]), int(from.size[2])],
            pitch: int(from.pitch),
            n_classes: int(from.n_classes),
        };
        let taps = [0, 1, 2].map(|axis| address(&from.taps[axis]));
        (
            sums,
            KernelBox {
                taps,
                size: from.voxels.map(int),
            },
        )
    }
}

/// How a kernel is launched.
struct Shape {
    grid: [usize; 3],
    threads: usize,
    shared: usize,
}

impl Shape {
    fn blocks(n: usize) -> Self {
        Shape {
            grid: [n, 1, 1],
            threads: THREADS,
            shared: 0,
        }
    }

    /// One warp for each 32 voxels of a row.
    fn rows([z, y, x]: [usize; 3]) -> Self {
        const WARPS: usize = 4;
        Shape {
            grid: [x.div_ceil(32 * WARPS), y, z],
            threads: 32 * WARPS,
            shared: 0,
        }
    }

    /// One block for each 8 by 32 voxels of a plane.
    fn planes([z, y, x]: [usize; 3]) -> Self {
        Shape {
            grid: [x.div_ceil(32), y.div_ceil(8), z],
            threads: THREADS,
            shared: 0,
        }
    }
}

/// # Safety
/// Arguments are those of the kernel, and what they point to is as large as their sizes say.
unsafe fn start(
    line: &Line<'_>,
    kernel: CUfunction,
    shape: &Shape,
    arguments: &mut [*mut c_void],
) -> Result<(), CudaError> {
    if shape.grid.contains(&0) {
        return Ok(()); // nothing to do
    }
    let number = |n: usize| u32::try_from(n).expect("grids are bounded");
    let [x, y, z] = shape.grid.map(number);
    let block = (number(shape.threads), 1, 1);
    let launched = unsafe {
        result::launch_kernel(
            kernel,
            (x, y, z),
            block,
            number(shape.shared),
            line.stream(),
            arguments,
        )
    };
    launched.map_err(line.queue().doing("launching a kernel"))
}

/// Queues work.
pub(super) fn launch(
    line: &Line<'_>,
    dnn: &DnnHandle,
    kernels: &Kernels,
    element: Element,
    work: &Work,
) -> Result<(), CudaError> {
    let vector = element.vector();
    match work {
        Work::Convolution {
            prepared,
            x,
            weight,
            y,
            workspace,
            ..
        } => {
            let Prepared::Card(convolution) = prepared else {
                unreachable!("a card prepares its convolutions")
            };
            let pointers = [address(x), address(weight), address(y)];
            unsafe { convolution.run(line, dnn, pointers, address(workspace)) }
        }
        Work::Moments {
            x,
            n_voxels,
            n_channels,
            gamma,
            beta,
            eps,
            partial,
            scale,
        } => {
            let n_groups = n_channels / vector;
            let n_blocks = (n_voxels * n_groups)
                .div_ceil(THREADS * 16)
                .clamp(1, PARTIAL_MOMENTS);
            let per_block = n_voxels.div_ceil(n_blocks);
            let n_blocks = n_voxels.div_ceil(per_block);
            let rows = THREADS / n_groups;
            let shared = rows * n_channels * 2 * size_of::<f32>();
            let shape = Shape {
                shared,
                ..Shape::blocks(n_blocks)
            };
            let (x, partial) = (address(x), address(partial));
            let (n, c, per_block, n_parts) = (
                *n_voxels as u64,
                int(*n_channels),
                per_block as u64,
                int(n_blocks),
            );
            unsafe {
                start(
                    line,
                    kernels.moments,
                    &shape,
                    arguments![x, n, c, per_block, partial],
                )?
            };
            let (gamma, beta, scale) = (address(gamma), address(beta), address(scale));
            let shape = Shape::blocks(n_channels.div_ceil(8));
            unsafe {
                start(
                    line,
                    kernels.finish,
                    &shape,
                    arguments![partial, n_parts, x, n, c, gamma, beta, *eps, scale],
                )
            }
        }
        Work::Norm {
            x,
            n_voxels,
            n_channels,
            gamma,
            beta,
            eps,
            ends,
        } => {
            let (x, gamma, beta, ends) = (address(x), address(gamma), address(beta), KernelEnds::from(ends));
            let (n, c) = (*n_voxels as u64, int(*n_channels));
            let shape = Shape::blocks(n_channels / vector);
            unsafe {
                start(
                    line,
                    kernels.norm_few,
                    &shape,
                    arguments![x, n, c, gamma, beta, *eps, ends],
                )
            }
        }
        Work::Activate {
            x,
            scale,
            n_voxels,
            n_channels,
            ends,
        } => {
            let rows = THREADS / (n_channels / vector);
            let (x, scale, ends) = (
                address(x),
                address_or_null(scale.as_ref()),
                KernelEnds::from(ends),
            );
            let (n, c) = (*n_voxels as u64, int(*n_channels));
            let shape = Shape::blocks(n_voxels.div_ceil(rows * 4).clamp(1, MANY_BLOCKS));
            unsafe { start(line, kernels.activate, &shape, arguments![x, scale, n, c, ends]) }
        }
        Work::Upsample {
            x,
            weight,
            bias,
            n_in,
            n_out,
            size,
            stride,
            y,
            pitch,
        } => {
            let n_columns = product(*stride) * n_out;
            let grid = [
                product(*size).div_ceil(MATRIX_TILE[0]).min(132 * 3),
                n_columns.div_ceil(MATRIX_TILE[1]),
                1,
            ];
            let shape = Shape {
                grid,
                ..Shape::blocks(1)
            };
            let (x, w, b, y) = (
                address(x),
                address(weight),
                address_or_null(bias.as_ref()),
                address(y),
            );
            let ([sz, sy, sx], [tz, ty, tx]) = (size.map(int), stride.map(int));
            let (n_in, n_out, pitch) = (int(*n_in), int(*n_out), int(*pitch));
            let arguments = arguments![x, w, b, sz, sy, sx, n_in, n_out, tz, ty, tx, y, pitch];
            unsafe { start(line, kernels.upsample, &shape, arguments) }
        }
        Work::Pool {
            x,
            y,
            n_channels,
            size,
            stride,
        } => {
            let n_voxels: usize = (0..3).map(|axis| size[axis] / stride[axis]).product();
            let shape = Shape::blocks(
                (n_voxels * n_channels / vector)
                    .div_ceil(THREADS)
                    .min(MANY_BLOCKS),
            );
            let (x, y, c) = (address(x), address(y), int(*n_channels));
            let ([sz, sy, sx], [tz, ty, tx]) = (size.map(int), stride.map(int));
            unsafe {
                start(
                    line,
                    kernels.pool,
                    &shape,
                    arguments![x, sz, sy, sx, c, tz, ty, tx, y],
                )
            }
        }
        Work::Tile {
            scan,
            n_channels,
            size,
            start: from,
            flip,
            tile,
            patch,
        } => {
            let shape = Shape::blocks(product(*patch).div_ceil(THREADS * 4).min(1 << 20));
            let (scan, tile, c, flip) = (address(scan), address(tile), int(*n_channels), flip_bits(*flip));
            let [gz, gy, gx] = size.map(int);
            let [fz, fy, fx] = from.map(|i| i32::try_from(i).expect("grids are bounded"));
            let [pz, py, px] = patch.map(int);
            let arguments = arguments![scan, c, gz, gy, gx, fz, fy, fx, flip, tile, pz, py, px];
            unsafe { start(line, kernels.tile, &shape, arguments) }
        }
        Work::Head {
            x,
            weight,
            bias,
            n_in,
            n_classes,
            patch,
            flip,
            importance,
            factor,
            sums,
            ring,
            not_finite,
        } => {
            let few = *n_classes <= FEW_CLASSES;
            let (kernel, shape) = match few {
                true => {
                    let shared = n_classes * n_in * size_of::<f32>();
                    (
                        kernels.head_few,
                        Shape {
                            grid: [patch[1], patch[0], 1],
                            threads: ROW_THREADS,
                            shared,
                        },
                    )
                }
                false => {
                    let grid = [
                        product(*patch).div_ceil(MATRIX_TILE[0]),
                        n_classes.div_ceil(MATRIX_TILE[1]),
                        1,
                    ];
                    (
                        kernels.head,
                        Shape {
                            grid,
                            ..Shape::blocks(1)
                        },
                    )
                }
            };
            let (x, w, b, n_in, n) = (
                address(x),
                address(weight),
                address(bias),
                int(*n_in),
                int(*n_classes),
            );
            let ([pz, py, px], flip, ring) = (patch.map(int), flip_bits(*flip), KernelRing::from(*ring));
            let (importance, sums, odd) = (address(importance), address(sums), address(not_finite));
            let arguments = arguments![
                x, w, b, n_in, n, pz, py, px, flip, importance, *factor, sums, ring, odd
            ];
            unsafe { start(line, kernel, &shape, arguments) }
        }
        Work::AddWeights {
            importance,
            patch,
            weights,
            ring,
        } => {
            let shape = Shape::blocks(product(*patch).div_ceil(THREADS).min(MANY_BLOCKS));
            let (importance, weights, ring) =
                (address(importance), address(weights), KernelRing::from(*ring));
            let [pz, py, px] = patch.map(int);
            unsafe {
                start(
                    line,
                    kernels.add_weights,
                    &shape,
                    arguments![importance, pz, py, px, weights, ring],
                )
            }
        }
        Work::Labels {
            from,
            class_order,
            is_wide,
            labels,
        } => {
            let is_many = from.n_classes >= MANY_CLASSES;
            let kernel = match (is_many, *is_wide) {
                (false, false) => kernels.labels_u8,
                (false, true) => kernels.labels_u16,
                (true, false) => kernels.labels_of_many_u8,
                (true, true) => kernels.labels_of_many_u16,
            };
            let shape = match is_many {
                false => Shape::planes(from.voxels),
                true => Shape::rows(from.voxels),
            };
            let (sums, voxels): (KernelSums, KernelBox) = from.into();
            let (order, labels) = (address_or_null(class_order.as_ref()), address(labels));
            unsafe { start(line, kernel, &shape, arguments![sums, voxels, order, labels]) }
        }
        Work::Logits { from, logits } => {
            let (sums, voxels): (KernelSums, KernelBox) = from.into();
            let logits = address(logits);
            unsafe {
                start(
                    line,
                    kernels.logits_of,
                    &Shape::planes(from.voxels),
                    arguments![sums, voxels, logits],
                )
            }
        }
    }
}
