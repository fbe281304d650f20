//! Runs layers by the definition of each operation, one value after the other: in f64 what is compared with, in f32 what
//! a plain sum loses.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Range, Sub};

use crate::{Layer, Op, ParamId, ValueId};

use super::case::Case;

/// In what is computed.
pub trait Real:
    Copy
    + PartialOrd
    + From<f32>
    + Into<f64>
    + AddAssign
    + Sum
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    fn square_root(self) -> Self;
}

impl Real for f64 {
    fn square_root(self) -> Self {
        self.sqrt()
    }
}

impl Real for f32 {
    fn square_root(self) -> Self {
        self.sqrt()
    }
}

/// Channels first; a 2-D value has one slice.
#[derive(Clone)]
struct Array<T> {
    channels: usize,
    size: [usize; 3],
    data: Vec<T>,
}

impl<T: Real> Array<T> {
    fn n_voxels(&self) -> usize {
        self.size.iter().product()
    }

    fn at(&self, channel: usize, [z, y, x]: [usize; 3]) -> T {
        self.data[((channel * self.size[0] + z) * self.size[1] + y) * self.size[2] + x]
    }

    /// Calls `f` with channel and position, in the order of the values.
    fn fill(&mut self, f: impl Fn(usize, [usize; 3]) -> T) {
        let [size_z, size_y, size_x] = self.size;
        for (i, value) in self.data.iter_mut().enumerate() {
            let position = [i / size_x / size_y % size_z, i / size_x % size_y, i % size_x];
            *value = f(i / size_x / size_y / size_z, position);
        }
    }
}

/// The logits, `[class, z, y, x]`.
pub fn run<T: Real>(case: &Case) -> Vec<T> {
    let graph = &case.graph;
    let zeros = |value: ValueId| {
        let shape = graph.shape(value);
        let size = to_3d(&shape.spatial);
        let n = shape.channels * size.iter().product::<usize>();
        Array {
            channels: shape.channels,
            size,
            data: vec![T::from(0.0); n],
        }
    };
    let mut values: Vec<Option<Array<T>>> = vec![None; graph.values.len()];
    let mut tile = zeros(graph.input);
    tile.data = case.tile.iter().map(|&v| T::from(v)).collect();
    values[graph.input.0] = Some(tile);
    for layer in &graph.layers {
        let inputs: Vec<&Array<T>> = layer
            .inputs
            .iter()
            .map(|id| values[id.0].as_ref().unwrap())
            .collect();
        let mut output = zeros(layer.output);
        run_layer(case, layer, &inputs, &mut output);
        values[layer.output.0] = Some(output);
    }
    values[graph.output.0].take().unwrap().data
}

fn to_3d(sizes: &[usize]) -> [usize; 3] {
    match *sizes {
        [y, x] => [1, y, x],
        [z, y, x] => [z, y, x],
        _ => panic!("2 or 3 axes"),
    }
}

fn run_layer<T: Real>(case: &Case, layer: &Layer, inputs: &[&Array<T>], out: &mut Array<T>) {
    let param = |id: ParamId| -> Vec<T> { case.params[id.0].iter().map(|&v| T::from(v)).collect::<Vec<T>>() };
    let x = inputs[0];
    let count = |n: usize| T::from(n as f32);
    let norm = |affine: &Option<(ParamId, ParamId)>, channel: usize| match affine {
        Some((scale, bias)) => (param(*scale)[channel], param(*bias)[channel]),
        None => (T::from(1.0), T::from(0.0)),
    };
    match &layer.op {
        Op::Conv {
            weight,
            bias,
            kernel,
            stride,
        } => {
            convolve(x, &param(*weight), to_3d(kernel), to_3d(stride), out);
            add_bias(bias.map(param), out);
        }
        Op::ConvTranspose { weight, bias, stride } => {
            let (weight, stride) = (param(*weight), to_3d(stride));
            let n_taps: usize = stride.iter().product();
            let n_out = out.channels;
            out.fill(|o, position| {
                let from = std::array::from_fn(|a| position[a] / stride[a]);
                let tap = (0..3).fold(0, |tap, a| tap * stride[a] + position[a] % stride[a]);
                (0..x.channels)
                    .map(|i| weight[(i * n_out + o) * n_taps + tap] * x.at(i, from))
                    .sum()
            });
            add_bias(bias.map(param), out);
        }
        Op::InstanceNorm { affine, eps } => {
            let n_voxels = x.n_voxels();
            for (c, (from, to)) in x
                .data
                .chunks(n_voxels)
                .zip(out.data.chunks_mut(n_voxels))
                .enumerate()
            {
                let n = count(n_voxels);
                let mean = from.iter().copied().sum::<T>() / n;
                let variance = from.iter().map(|&v| (v - mean) * (v - mean)).sum::<T>() / n;
                let (scale, bias) = norm(affine, c);
                let factor = scale / (variance + T::from(*eps)).square_root();
                for (to, &from) in to.iter_mut().zip(from) {
                    *to = (from - mean) * factor + bias;
                }
            }
        }
        Op::BatchNorm {
            affine,
            mean,
            var,
            eps,
        } => {
            let (mean, var) = (param(*mean), param(*var));
            out.fill(|c, position| {
                let (scale, bias) = norm(affine, c);
                (x.at(c, position) - mean[c]) / (var[c] + T::from(*eps)).square_root() * scale + bias
            });
        }
        Op::LeakyRelu { slope } => activate(x, T::from(*slope), out),
        Op::Relu => activate(x, T::from(0.0), out),
        Op::AveragePool { stride } => {
            let stride = to_3d(stride);
            let n: usize = stride.iter().product();
            out.fill(|c, position| {
                let of_box = (0..n).map(|i| {
                    let within = [
                        i / stride[2] / stride[1],
                        i / stride[2] % stride[1],
                        i % stride[2],
                    ];
                    x.at(c, std::array::from_fn(|a| position[a] * stride[a] + within[a]))
                });
                of_box.sum::<T>() / count(n)
            });
        }
        Op::Add => out.fill(|c, position| x.at(c, position) + inputs[1].at(c, position)),
        Op::Concat => out.data = inputs.iter().flat_map(|input| input.data.clone()).collect(),
    }
}

/// Zero is a constant here, not what is left of a product with it: an infinity times a slope of 0 is 0.
fn activate<T: Real>(x: &Array<T>, slope: T, out: &mut Array<T>) {
    let zero = T::from(0.0);
    out.fill(|c, position| match x.at(c, position) {
        v if v < zero && slope == zero => zero,
        v if v < zero => v * slope,
        v => v,
    });
}

fn add_bias<T: Real>(bias: Option<Vec<T>>, out: &mut Array<T>) {
    let n_voxels = out.n_voxels();
    for (channel, bias) in out.data.chunks_mut(n_voxels).zip(bias.into_iter().flatten()) {
        channel.iter_mut().for_each(|v| *v += bias);
    }
}

/// Every output is a sum over input channels, then taps, one product after the other; by rows, so that it is done soon.
fn convolve<T: Real>(x: &Array<T>, weight: &[T], kernel: [usize; 3], stride: [usize; 3], out: &mut Array<T>) {
    let n_taps: usize = kernel.iter().product();
    let [out_z, out_y, out_x] = out.size;
    let n_voxels = out.n_voxels();
    let along =
        |axis: usize, tap: usize| along(x.size[axis], out.size[axis], kernel[axis], stride[axis], tap);
    let spans: [Vec<Span>; 3] =
        std::array::from_fn(|axis| (0..kernel[axis]).map(|tap| along(axis, tap)).collect());
    for (o, to) in out.data.chunks_mut(n_voxels).enumerate() {
        for i in 0..x.channels {
            for tap in 0..n_taps {
                let w = weight[(o * x.channels + i) * n_taps + tap];
                let span_z = &spans[0][tap / kernel[2] / kernel[1]];
                let span_y = &spans[1][tap / kernel[2] % kernel[1]];
                let span_x = &spans[2][tap % kernel[2]];
                for z in span_z.positions(out_z) {
                    for y in span_y.positions(out_y) {
                        let from = (i * x.size[0] + span_z.from(z)) * x.size[1] + span_y.from(y);
                        let from = &x.data[from * x.size[2]..][..x.size[2]];
                        let to = &mut to[(z * out_y + y) * out_x..][..out_x];
                        let range = span_x.positions(out_x);
                        if range.is_empty() {
                            continue;
                        }
                        let from = &from[span_x.from(range.start)..];
                        for (to, from) in to[range].iter_mut().zip(from.iter().step_by(stride[2])) {
                            *to += w * *from;
                        }
                    }
                }
            }
        }
    }
}

/// What one tap reads along one axis: the outputs whose input lies within.
struct Span {
    range: Range<usize>,
    stride: usize,
    /// Input of output 0.
    offset: isize,
}

impl Span {
    fn positions(&self, n_out: usize) -> Range<usize> {
        self.range.start.min(n_out)..self.range.end.min(n_out)
    }

    fn from(&self, position: usize) -> usize {
        usize::try_from((position * self.stride) as isize + self.offset).unwrap()
    }
}

fn along(size: usize, n_out: usize, kernel: usize, stride: usize, tap: usize) -> Span {
    let offset = tap as isize - (kernel as isize - 1) / 2;
    let is_within = |p: &usize| {
        let from = (p * stride) as isize + offset;
        from >= 0 && from < size as isize
    };
    let inside: Vec<usize> = (0..n_out).filter(is_within).collect();
    Span {
        range: match (inside.first(), inside.last()) {
            (Some(&first), Some(&last)) => first..last + 1,
            _ => 0..0,
        },
        stride,
        offset,
    }
}
