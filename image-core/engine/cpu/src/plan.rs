//! From layers to steps: which norm and activation goes where, how each convolution is computed, where values lie.

use std::ops::Range;

use nephrite_layers::{Layer, LayerGraph, Op, ParamId, ValueId};

use crate::assign::assign;
use crate::cpu_memory::CpuMemory;
use crate::direct::DirectPlan;
use crate::factor::{Form, PAIR_LANES};
use crate::layout::{Layout, padded, to_3d};
use crate::memory::{Block, Home, place};
use crate::pack::{Depths, PackedShape};
use crate::panel::Windows;
use crate::plane_product;
use crate::step::{ConvParams, FixedNorm, PlannedNorm, Step, Target, Work};
use crate::strips::{StripPlan, Tile};
use crate::view::{AffineId, BufferId, View};
use crate::{CpuError, CpuOptions, Level, Precision};

/// Tiles of a volume from which on minimal filtering pays: below, the transformed weights, which tiles of 4 have more than
/// twice as many of, are read for too little work.
const MIN_TILES_OF_4: usize = 256;
/// The same for tiles of 2.
const MIN_TILES_OF_2: usize = 96;

/// Channels, of all inputs, up to which a direct convolution does without windows.
const MAX_CHANNELS_OF_LINES: usize = 32;
/// Factors of a sum up to which it does; longer sums lose too much to rounding in one go.
const MAX_DEPTH_OF_LINES: usize = 27 * MAX_CHANNELS_OF_LINES;

/// All steps of a network.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) options: CpuOptions,
    /// Where the tile is put, channels-last.
    pub(crate) input: BufferId,
    pub(crate) input_layout: Layout,
    pub(crate) output_layout: Layout,
    pub(crate) steps: Vec<Step>,
    pub(crate) fixed_norms: Vec<FixedNorm>,
    /// Pitch of every scale and shift.
    pub(crate) affines: Vec<usize>,
    /// Where every value lies, by [`BufferId`].
    pub(crate) homes: Vec<Home>,
    pub(crate) blocks: Vec<Block>,
    /// Place of every block in the memory of a run.
    pub(crate) places: Vec<Range<usize>>,
    /// Values of that memory.
    pub(crate) memory_len: usize,
    /// Values of the scratch memory of one thread.
    pub(crate) scratch_len: usize,
}

/// What a network will keep in memory when it is run on the CPU, from its layers alone.
///
/// # Errors
/// [`CpuError::Unsupported`].
pub fn cpu_memory(graph: &LayerGraph, options: CpuOptions, n_threads: usize) -> Result<CpuMemory, CpuError> {
    Ok(Plan::new(graph, options, n_threads)?.memory(n_threads))
}

impl Plan {
    /// Plans the layers for runs on so many threads.
    ///
    /// # Errors
    /// [`CpuError::Unsupported`] for a use of layers that no U-Net has.
    pub(crate) fn new(graph: &LayerGraph, options: CpuOptions, n_threads: usize) -> Result<Plan, CpuError> {
        let mut planner = Planner::new(graph, options);
        for layer in &graph.layers {
            planner.layer(layer)?;
        }
        planner.finish(n_threads)
    }

    /// In the order of the layers, those that are computed within others too.
    pub(crate) fn all_steps(&self) -> impl Iterator<Item = &Step> {
        self.steps
            .iter()
            .flat_map(|step| step.feeder().into_iter().chain([step]))
    }

    /// Bytes that it takes.
    pub(crate) fn memory(&self, n_threads: usize) -> CpuMemory {
        let values = |n: usize| n.saturating_mul(size_of::<f32>()) as u64;
        let weights = self.all_steps().fold(0u64, |sum, step| {
            let packed = step.work.params().map_or(0, |params| params.shape.len());
            sum.saturating_add(values(packed))
        });
        CpuMemory {
            weights,
            activations: values(self.memory_len),
            scratch: values(self.scratch_len).saturating_mul(n_threads.max(1) as u64),
        }
    }
}

struct Planner<'a> {
    graph: &'a LayerGraph,
    options: CpuOptions,
    /// Per value: what it is in memory; several for a concatenation.
    views: Vec<Vec<View>>,
    /// Layers that read each value.
    n_readers: Vec<usize>,
    /// Per value: the step whose output it is as it stands.
    producer: Vec<Option<usize>>,
    layouts: Vec<Layout>,
    steps: Vec<Step>,
    fixed_norms: Vec<FixedNorm>,
    affines: Vec<usize>,
}

impl<'a> Planner<'a> {
    fn new(graph: &'a LayerGraph, options: CpuOptions) -> Self {
        let n_values = graph.values.len();
        let mut n_readers = vec![0; n_values];
        for input in graph.layers.iter().flat_map(|layer| &layer.inputs) {
            n_readers[input.0] += 1;
        }
        n_readers[graph.output.0] += 1; // the caller
        let input = Layout::of_input(graph.shape(graph.input), options.level);
        let mut views = vec![Vec::new(); n_values];
        views[graph.input.0] = vec![fresh(BufferId(0), input)];
        Planner {
            graph,
            options,
            views,
            n_readers,
            producer: vec![None; n_values],
            layouts: vec![input],
            steps: Vec::new(),
            fixed_norms: Vec::new(),
            affines: Vec::new(),
        }
    }

    fn layer(&mut self, layer: &Layer) -> Result<(), CpuError> {
        match &layer.op {
            Op::Conv {
                weight,
                bias,
                kernel,
                stride,
            } => {
                let inputs = self.views[layer.inputs[0].0].clone();
                let windows = Windows {
                    kernel: to_3d(kernel, 1),
                    stride: to_3d(stride, 1),
                    size: to_3d(&self.graph.shape(layer.output).spatial, 1),
                };
                let (level, work) = self.convolution(layer, &inputs, windows, *weight, *bias);
                self.step(layer, inputs, work, level);
            }
            Op::ConvTranspose { weight, bias, stride } => {
                let input = self.single(layer, 0)?;
                let stride = to_3d(stride, 1);
                let level = self.level([self.padded(layer.output)]);
                let form = self.form(level, &[input]);
                let depths = Depths::new(std::iter::once((input.layout.channels, input.layout.pitch)), form);
                let params = ConvParams {
                    weight: *weight,
                    bias: *bias,
                    shape: PackedShape {
                        n_groups: stride.iter().product(),
                        depth: depths.len,
                        n_out: self.padded(layer.output),
                        lanes: level.lanes(),
                        form,
                    },
                    depths,
                };
                self.step(layer, vec![input], Work::Upsample { stride, params }, level);
            }
            Op::InstanceNorm { affine, eps } => self.instance_norm(layer, *affine, *eps)?,
            Op::BatchNorm {
                affine,
                mean,
                var,
                eps,
            } => {
                let mut view = self.padded_input(layer, 0)?;
                if view.affine.is_some() || view.slope != 1.0 {
                    view = self.sum(layer, vec![view]);
                }
                let norm = self.planned_norm(view.layout, *affine, *eps);
                self.fixed_norms.push(FixedNorm {
                    norm,
                    mean: *mean,
                    var: *var,
                });
                view.affine = Some(norm.affine);
                self.views[layer.output.0] = vec![view];
                self.producer[layer.output.0] = None;
            }
            Op::LeakyRelu { slope } => self.activation(layer, *slope)?,
            Op::Relu => self.activation(layer, 0.0)?,
            Op::AveragePool { stride } => {
                let input = self.padded_input(layer, 0)?;
                let stride = to_3d(stride, 1);
                let level = self.level([input.layout.pitch]);
                self.step(layer, vec![input], Work::Pool { stride }, level);
            }
            Op::Add => {
                let inputs = vec![self.padded_input(layer, 0)?, self.padded_input(layer, 1)?];
                self.sum(layer, inputs);
            }
            Op::Concat => {
                let inputs = layer.inputs.iter().flat_map(|input| self.views[input.0].clone());
                self.views[layer.output.0] = inputs.collect();
            }
        }
        Ok(())
    }

    /// How a convolution is computed.
    fn convolution(
        &self,
        layer: &Layer,
        inputs: &[View],
        windows: Windows,
        weight: ParamId,
        bias: Option<ParamId>,
    ) -> (Level, Work) {
        let n_out = self.padded(layer.output);
        let channels = inputs
            .iter()
            .map(|view| (view.layout.channels, view.layout.pitch));
        // `n_taps` of the channels follow each other in one sum.
        let params = |n_groups, n_taps: usize, level: Level, form| {
            let depths = Depths::new(channels.clone(), form);
            ConvParams {
                weight,
                bias,
                shape: PackedShape {
                    n_groups,
                    depth: n_taps.saturating_mul(depths.len),
                    n_out,
                    lanes: level.lanes(),
                    form,
                },
                depths,
            }
        };
        if let Some(tile) = best_tile(inputs, windows) {
            let level = self.level(inputs.iter().map(|view| view.layout.pitch).chain([n_out]));
            // Tiles of 4 amplify rounding: with bf16 the error of a layer would be four times that of tiles of 2, which
            // take as long in bf16 as tiles of 4 in f32.
            let form = match tile.0 {
                [_, 4, 4] => Form::F32,
                _ => self.form(level, inputs),
            };
            let params = params(tile.n_components(), tile.n_summed(), level, form);
            let plan = StripPlan::new(tile, windows.size, params.depths.len);
            let work = Work::Winograd {
                n_layers: plan.n_layers(),
                plan,
                params,
                feeder: None,
            };
            return (level, work);
        }
        // Half vectors are copied whole with half lanes; what is narrower is copied value by value in any case.
        let pitches = inputs
            .iter()
            .map(|view| view.layout.pitch)
            .filter(|pitch| pitch.is_multiple_of(NARROW));
        let level = self.level(pitches.chain([n_out]));
        let params = params(1, windows.n_taps(), level, self.form(level, inputs));
        let plan = DirectPlan::new(
            windows,
            params.shape.depth,
            params.shape.n_blocks(),
            params.shape.form == Form::F32
                && params.depths.len <= MAX_CHANNELS_OF_LINES
                && params.shape.depth <= MAX_DEPTH_OF_LINES,
        );
        (level, Work::Direct { plan, params })
    }

    fn instance_norm(
        &mut self,
        layer: &Layer,
        affine: Option<(ParamId, ParamId)>,
        eps: f32,
    ) -> Result<(), CpuError> {
        let input = layer.inputs[0];
        let view = self.single(layer, 0)?;
        let producer = match self.producer[input.0] {
            Some(step)
                if self.n_readers[input.0] == 1
                    && !matches!(self.steps[step].work, Work::Upsample { .. } | Work::Pool { .. }) =>
            {
                step
            }
            _ => {
                self.padded_input(layer, 0)?;
                self.sum(layer, vec![view]);
                self.steps.len() - 1
            }
        };
        let layout = self.steps[producer].output.layout();
        let norm = self.planned_norm(layout, affine, eps);
        self.steps[producer].norm = Some(norm);
        let Target::Buffer(buffer, _) = self.steps[producer].output else {
            return Err(unsupported(layer, "a norm of the logits"));
        };
        self.views[layer.output.0] = vec![View {
            affine: Some(norm.affine),
            ..fresh(buffer, layout)
        }];
        self.producer[layer.output.0] = None;
        Ok(())
    }

    fn activation(&mut self, layer: &Layer, slope: f32) -> Result<(), CpuError> {
        let mut view = self.single(layer, 0)?;
        if slope.is_nan() || slope > 1.0 {
            return Err(unsupported(layer, "a slope above 1"));
        }
        if view.slope != 1.0 {
            view = self.padded_input(layer, 0)?;
            view = self.sum(layer, vec![view]);
        }
        self.views[layer.output.0] = vec![View { slope, ..view }];
        self.producer[layer.output.0] = None;
        Ok(())
    }

    fn planned_norm(&mut self, layout: Layout, params: Option<(ParamId, ParamId)>, eps: f32) -> PlannedNorm {
        self.affines.push(layout.pitch);
        PlannedNorm {
            affine: AffineId(self.affines.len() - 1),
            params,
            eps,
            channels: layout.channels,
        }
    }

    /// A step that writes the sum of its inputs.
    fn sum(&mut self, layer: &Layer, inputs: Vec<View>) -> View {
        let level = self.level([inputs[0].layout.pitch]);
        self.step(layer, inputs, Work::Sum { in_place: false }, level)
    }

    fn step(&mut self, layer: &Layer, inputs: Vec<View>, work: Work, level: Level) -> View {
        let layout = Layout::new(self.graph.shape(layer.output), self.options.level);
        self.layouts.push(layout);
        let buffer = BufferId(self.layouts.len() - 1);
        self.steps.push(Step {
            name: layer.name.clone(),
            inputs,
            output: Target::Buffer(buffer, layout),
            work,
            level,
            norm: None,
        });
        let view = fresh(buffer, layout);
        self.views[layer.output.0] = vec![view];
        self.producer[layer.output.0] = Some(self.steps.len() - 1);
        view
    }

    /// The only view of an input.
    fn single(&self, layer: &Layer, i: usize) -> Result<View, CpuError> {
        match self.views[layer.inputs[i].0][..] {
            [view] => Ok(view),
            _ => Err(unsupported(layer, "only a convolution can read a concatenation")),
        }
    }

    /// The only view of an input that lies in memory as values between layers do; the network's input need not.
    fn padded_input(&self, layer: &Layer, i: usize) -> Result<View, CpuError> {
        let view = self.single(layer, i)?;
        if self.is_padded(&view) {
            Ok(view)
        } else {
            Err(unsupported(
                layer,
                "only a convolution can read the network's input",
            ))
        }
    }

    fn is_padded(&self, view: &View) -> bool {
        view.layout.pitch == padded(view.layout.channels, self.options.level)
    }

    fn padded(&self, value: ValueId) -> usize {
        padded(self.graph.shape(value).channels, self.options.level)
    }

    /// Instructions for values of these pitches: half vectors of AVX-512 are whole ones of AVX2.
    fn level(&self, pitches: impl IntoIterator<Item = usize>) -> Level {
        let lanes = self.options.level.lanes();
        match self.options.level {
            Level::Avx512
                if pitches
                    .into_iter()
                    .any(|pitch: usize| !pitch.is_multiple_of(lanes)) =>
            {
                Level::Avx2
            }
            level => level,
        }
    }

    /// How the factors of a layer are held: pairs only of whole vectors.
    fn form(&self, level: Level, inputs: &[View]) -> Form {
        let is_whole = |view: &View| view.layout.pitch.is_multiple_of(PAIR_LANES);
        let in_pairs = self.options.precision == Precision::Bf16 && level == Level::Avx512;
        if in_pairs && inputs.iter().all(is_whole) {
            Form::Bf16Pairs
        } else {
            Form::F32
        }
    }

    fn finish(mut self, n_threads: usize) -> Result<Plan, CpuError> {
        let output = self.graph.output;
        let layout = Layout::new(self.graph.shape(output), self.options.level);
        let is_direct = |step: &Step| matches!(&step.work, Work::Direct { plan, .. } if plan.is_whole());
        let step = match self.producer[output.0] {
            Some(step) if self.n_readers[output.0] == 1 && is_direct(&self.steps[step]) => step,
            _ => {
                let Some(layer) = self.graph.layers.last() else {
                    return Err(CpuError::Unsupported {
                        layer: String::new(),
                        reason: "a network without layers",
                    });
                };
                let view = match self.views[output.0][..] {
                    [view] if self.is_padded(&view) => view,
                    _ => return Err(unsupported(layer, "logits that no layer computes")),
                };
                self.sum(layer, vec![view]);
                self.steps.len() - 1
            }
        };
        self.steps[step].output = Target::Logits(layout);
        let places = assign(&mut self.steps, &self.layouts, n_threads);
        let scratch_len = self.steps.iter().map(|step| step.work.scratch(step)).max();
        let (ranges, memory_len) = place(&places.blocks);
        Ok(Plan {
            options: self.options,
            input: BufferId(0),
            input_layout: self.layouts[0],
            output_layout: layout,
            steps: self.steps,
            fixed_norms: self.fixed_norms,
            affines: self.affines,
            homes: places.homes,
            blocks: places.blocks,
            places: ranges,
            memory_len,
            scratch_len: scratch_len.unwrap_or(0),
        })
    }
}

/// Every vector has at most this many lanes or divides its value.
const NARROW: usize = 8;

fn fresh(buffer: BufferId, layout: Layout) -> View {
    View {
        buffer,
        layout,
        affine: None,
        slope: 1.0,
    }
}

fn unsupported(layer: &Layer, reason: &'static str) -> CpuError {
    CpuError::Unsupported {
        layer: layer.name.clone(),
        reason,
    }
}

/// The largest tile of which the volume has enough; none if the convolution is not one for minimal filtering.
fn best_tile(inputs: &[View], windows: Windows) -> Option<Tile> {
    let tiles: &[Tile] = match windows.kernel {
        [3, 3, 3] => &Tile::ALL[..3],
        [1, 3, 3] => &Tile::ALL[3..],
        _ => return None,
    };
    let is_narrow = |view: &View| !view.layout.pitch.is_multiple_of(NARROW);
    if windows.stride != [1; 3] || inputs.iter().any(is_narrow) {
        return None;
    }
    let n_channels: usize = inputs.iter().map(|view| view.layout.pitch).sum();
    tiles.iter().copied().find(|&tile| {
        let n_tiles = Tile(tile.filtered())
            .counts(windows.size)
            .iter()
            .product::<usize>();
        match tile.0 {
            _ if tile == Tile::COLUMN => {
                n_channels <= plane_product::MAX_DEPTH && n_tiles >= 2 * MIN_TILES_OF_4
            }
            [_, 4, 4] => n_tiles >= MIN_TILES_OF_4,
            _ => n_tiles >= MIN_TILES_OF_2,
        }
    })
}
