//! A network with its weights, ready to run.

use std::sync::Arc;

use nephrite_layers::{LayerGraph, ParamId};
use rayon::prelude::*;

use crate::cpu_memory::CpuMemory;
use crate::factor::put;
use crate::norm::NormWeights;
use crate::pack::Packed;
use crate::plan::Plan;
use crate::step::{ConvParams, FixedNorm, PlannedNorm, Work};
use crate::strips::Tile;
use crate::transform::{MAX_WINDOW, taps, window};
use crate::view::Affine;
use crate::{CpuError, CpuOptions, Level, Precision, Threads, bf16};

/// A network on the CPU. Cheap to clone; all clones share the weights.
#[derive(Debug, Clone)]
pub struct Network {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) plan: Plan,
    /// Per step.
    pub(crate) weights: Vec<StepWeights>,
    /// What the norms with statistics from training come to; a run fills in the others.
    pub(crate) affines: Vec<Affine>,
}

/// What a step reads besides its inputs.
#[derive(Debug, Default)]
pub(crate) struct StepWeights {
    pub(crate) packed: Option<Packed>,
    /// One per output, padding included.
    pub(crate) bias: Vec<f32>,
    pub(crate) norm: Option<NormWeights>,
}

impl Network {
    /// Plans the layers and packs their weights, on the threads given; `read` is called once for each tensor, in the order
    /// of the layers.
    ///
    /// # Errors
    /// What `read` says; [`CpuError::LevelMissing`], [`CpuError::PrecisionMissing`], [`CpuError::Unsupported`];
    /// [`CpuError::Memory`]; [`CpuError::Length`] if a tensor has not the length of its shape.
    pub fn load<E: From<CpuError>>(
        graph: &LayerGraph,
        options: CpuOptions,
        threads: &Threads,
        mut read: impl FnMut(ParamId) -> Result<Vec<f32>, E>,
    ) -> Result<Network, E> {
        check(options)?;
        let plan = Plan::new(graph, options, threads.len())?;
        let mut read = |param: ParamId| -> Result<Vec<f32>, E> {
            let values = read(param)?;
            let Ok(expected) = usize::try_from(graph.param(param).n_values()) else {
                return Err(E::from(length(graph, param, usize::MAX, values.len())));
            };
            if values.len() != expected {
                return Err(E::from(length(graph, param, expected, values.len())));
            }
            Ok(values)
        };
        let mut weights = Vec::with_capacity(plan.steps.len());
        for step in plan.all_steps() {
            let mut of_step = StepWeights::default();
            if let Some(params) = step.work.params() {
                let values = read(params.weight)?;
                of_step.packed = Some(threads.install(|| pack(&step.work, params, &values))?);
                of_step.bias = vec![0.0; params.shape.n_out];
                if let Some(bias) = params.bias {
                    let bias = read(bias)?;
                    // A constant of a channel that is normalized cancels.
                    if step.norm.is_none() {
                        of_step.bias[..bias.len()].copy_from_slice(&bias);
                    }
                }
            }
            if let Some(norm) = &step.norm {
                of_step.norm = Some(read_norm(norm, &mut read)?);
            }
            weights.push(of_step);
        }
        let mut affines: Vec<Affine> = plan
            .affines
            .iter()
            .map(|&pitch| Affine::identity(pitch))
            .collect();
        for FixedNorm { norm, mean, var } in &plan.fixed_norms {
            let of_norm = read_norm(norm, &mut read)?;
            let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<f64>>();
            let (mean, var) = (wide(read(*mean)?), wide(read(*var)?));
            of_norm.affine(&mean, &var, &mut affines[norm.affine.0]);
        }
        Ok(Network {
            inner: Arc::new(Inner {
                plan,
                weights,
                affines,
            }),
        })
    }

    /// Bytes of the weights as they are held, and of what a [`crate::Runner`] on so many threads takes.
    pub fn memory(&self, n_threads: usize) -> CpuMemory {
        self.inner.plan.memory(n_threads)
    }

    /// Values of the input tile, `[channel, z, y, x]`.
    pub fn input_len(&self) -> usize {
        let layout = self.inner.plan.input_layout;
        layout.channels * layout.n_voxels()
    }

    /// Values of the logits, `[class, z, y, x]`.
    pub fn output_len(&self) -> usize {
        let layout = self.inner.plan.output_layout;
        layout.channels * layout.n_voxels()
    }

    /// How it is computed.
    pub fn options(&self) -> CpuOptions {
        self.inner.plan.options
    }
}

/// Whether this processor has what the options ask for.
///
/// # Errors
/// [`CpuError::LevelMissing`], [`CpuError::PrecisionMissing`].
pub fn check(options: CpuOptions) -> Result<(), CpuError> {
    let CpuOptions { level, precision } = options;
    if !level.is_available() {
        return Err(CpuError::LevelMissing { level: level.name() });
    }
    if precision == Precision::Bf16 && !(level == Level::Avx512 && bf16::is_available()) {
        return Err(CpuError::PrecisionMissing {
            precision: precision.name(),
        });
    }
    Ok(())
}

fn length(graph: &LayerGraph, param: ParamId, expected: usize, found: usize) -> CpuError {
    CpuError::Length {
        what: format!("tensor {:?}", graph.param(param).name),
        expected,
        found,
    }
}

/// Scale and bias; ones and zeros where there are none.
fn read_norm<E>(
    norm: &PlannedNorm,
    read: &mut impl FnMut(ParamId) -> Result<Vec<f32>, E>,
) -> Result<NormWeights, E> {
    let (scale, bias) = match norm.params {
        Some((scale, bias)) => (read(scale)?, read(bias)?),
        None => (vec![1.0; norm.channels], vec![0.0; norm.channels]),
    };
    Ok(NormWeights {
        scale,
        bias,
        eps: norm.eps,
    })
}

/// Weights in the order of the kernels, from `[out, in, taps…]`, or `[in, out, offsets…]` of a transposed convolution.
fn pack(work: &Work, params: &ConvParams, values: &[f32]) -> Result<Packed, CpuError> {
    let mut packed = Packed::zeros(params.shape)?;
    let n_in = params.depths.of_channel.len();
    let blocks: Vec<(usize, &mut [f32])> = packed.blocks_mut().collect();
    let shape = params.shape;
    blocks.into_par_iter().for_each(|(block, to)| {
        let width = shape.n_vectors(block) * shape.lanes;
        let first = block * crate::product::BLOCK_VECTORS * shape.lanes;
        let to = Block {
            values: to,
            width,
            first,
            params,
        };
        match work {
            Work::Winograd { plan, .. } => pack_winograd(plan.tile, values, n_in, to),
            Work::Direct { plan, .. } => pack_direct(plan.windows.n_taps(), values, n_in, to),
            Work::Upsample { .. } => pack_transposed(values, n_in, to),
            Work::Sum { .. } | Work::Pool { .. } => {}
        }
    });
    Ok(packed)
}

/// `[group][depth][output]` of one block of outputs.
struct Block<'a> {
    values: &'a mut [f32],
    /// Outputs.
    width: usize,
    /// The first of them.
    first: usize,
    params: &'a ConvParams,
}

impl Block<'_> {
    /// Outputs that are there, `n_out` of all; the others are padding.
    fn outputs(&self, n_out: usize) -> std::ops::Range<usize> {
        self.first..n_out.min(self.first + self.width)
    }
}

/// Input channels that are packed together, so that what is read and written stays in the first-level cache.
const CHANNELS_AT_ONCE: usize = 8;

fn pack_direct(n_taps: usize, values: &[f32], n_in: usize, to: Block<'_>) {
    let n_out = values.len() / (n_in * n_taps);
    let Block { params, width, .. } = to;
    let per_tap = params.depths.len;
    for channels in (0..n_in).collect::<Vec<_>>().chunks(CHANNELS_AT_ONCE) {
        for out in to.outputs(n_out) {
            for &channel in channels {
                let place = params.depths.of_channel[channel];
                let taps = &values[(out * n_in + channel) * n_taps..][..n_taps];
                for (tap, &value) in taps.iter().enumerate() {
                    let at = (tap * per_tap + place.at) * width + out - to.first;
                    put(&mut to.values[at], place.half, value);
                }
            }
        }
    }
}

fn pack_transposed(values: &[f32], n_in: usize, to: Block<'_>) {
    let Block { params, width, .. } = to;
    let n_offsets = params.shape.n_groups;
    let n_out = values.len() / (n_in * n_offsets);
    for channel in 0..n_in {
        for out in to.outputs(n_out) {
            let offsets = &values[(channel * n_out + out) * n_offsets..][..n_offsets];
            for (offset, &value) in offsets.iter().enumerate() {
                let place = params.depths.of_channel[channel];
                let at = (offset * params.shape.depth + place.at) * width + out - to.first;
                put(&mut to.values[at], place.half, value);
            }
        }
    }
}

fn pack_winograd(tile: Tile, values: &[f32], n_in: usize, to: Block<'_>) {
    let Block { params, width, .. } = to;
    let n_taps = if tile.0[0] == 1 { 9 } else { 27 };
    let n_out = values.len() / (n_in * n_taps);
    let mut components = [0.0; 4 * MAX_WINDOW * MAX_WINDOW];
    for out in to.outputs(n_out) {
        for channel in 0..n_in {
            let kernel = &values[(out * n_in + channel) * n_taps..][..n_taps];
            let place = params.depths.of_channel[channel];
            // Of a column every plane by itself.
            for (plane, kernel) in kernel.chunks_exact(n_taps / tile.n_summed()).enumerate() {
                transform_kernel(tile.filtered(), kernel, &mut components);
                for (component, &value) in components[..tile.n_components()].iter().enumerate() {
                    let depth = component * params.shape.depth + plane * params.depths.len + place.at;
                    let at = depth * width + out - to.first;
                    put(&mut to.values[at], place.half, value as f32);
                }
            }
        }
    }
}

/// One kernel, `[z, 3, 3]` with 3 or 1 taps along z, in f64: rounded once.
fn transform_kernel(tile: [usize; 3], kernel: &[f32], components: &mut [f64]) {
    let [tile_z, tile_y, tile_x] = tile;
    let [wz, wy, wx] = tile.map(window);
    let taps_z = kernel.len() / 9;
    // `[z][y][x]`, along x and then along y.
    let mut planes = [[[0.0; MAX_WINDOW]; MAX_WINDOW]; 3];
    for (z, plane) in planes.iter_mut().enumerate().take(taps_z) {
        let rows: [[f64; MAX_WINDOW]; 3] = std::array::from_fn(|y| {
            taps(
                tile_x,
                std::array::from_fn(|x| f64::from(kernel[z * 9 + y * 3 + x])),
            )
        });
        for x in 0..wx {
            let column = taps(tile_y, std::array::from_fn(|y| rows[y][x]));
            for (row, value) in plane.iter_mut().zip(column) {
                row[x] = value;
            }
        }
    }
    for y in 0..wy {
        for x in 0..wx {
            let along_z = taps(tile_z, std::array::from_fn(|z| planes[z][y][x]));
            for z in 0..wz {
                components[(z * wy + y) * wx + x] = along_z[z];
            }
        }
    }
}
