//! Runs layers in f64 by the definition of each operation: slow, plain, and independent of any runtime.

use std::collections::HashMap;

use nephrite_layers::{Layer, LayerGraph, Op, ParamId, ValueId};

/// Channels first, then three spatial axes; a 2-D network has one slice.
#[derive(Clone)]
struct Array {
    channels: usize,
    size: [usize; 3],
    data: Vec<f64>,
}

impl Array {
    fn zeros(channels: usize, size: [usize; 3]) -> Array {
        Array {
            channels,
            size,
            data: vec![0.0; channels * size.iter().product::<usize>()],
        }
    }

    fn at(&self, c: usize, [z, y, x]: [usize; 3]) -> usize {
        ((c * self.size[0] + z) * self.size[1] + y) * self.size[2] + x
    }

    fn positions(&self) -> impl Iterator<Item = [usize; 3]> + use<> {
        let [nz, ny, nx] = self.size;
        (0..nz).flat_map(move |z| (0..ny).flat_map(move |y| (0..nx).map(move |x| [z, y, x])))
    }

    /// The values of every channel in turn.
    fn channels_mut(&mut self) -> std::slice::ChunksMut<'_, f64> {
        let len = self.data.len() / self.channels;
        self.data.chunks_mut(len)
    }
}

/// Runs a tile `[channel, patch…]` through the layers; gives logits `[class, patch…]`.
pub(crate) fn run(graph: &LayerGraph, params: &dyn Fn(&str) -> Vec<f32>, input: &[f32]) -> Vec<f64> {
    let shape = graph.shape(graph.input);
    let data = input.iter().map(|&v| f64::from(v)).collect();
    let mut values = HashMap::new();
    values.insert(
        graph.input,
        Array {
            channels: shape.channels,
            size: to_3d(&shape.spatial, 1),
            data,
        },
    );
    let param =
        |id: ParamId| -> Vec<f64> { params(&graph.param(id).name).into_iter().map(f64::from).collect() };
    for layer in &graph.layers {
        let shape = graph.shape(layer.output);
        let mut output = Array::zeros(shape.channels, to_3d(&shape.spatial, 1));
        run_layer(layer, &values, &param, &mut output);
        values.insert(layer.output, output);
    }
    values
        .remove(&graph.output)
        .expect("some layer writes the output")
        .data
}

fn to_3d(axes: &[usize], fill: usize) -> [usize; 3] {
    match *axes {
        [y, x] => [fill, y, x],
        [z, y, x] => [z, y, x],
        _ => panic!("2 or 3 axes"),
    }
}

fn run_layer(
    layer: &Layer,
    values: &HashMap<ValueId, Array>,
    param: &dyn Fn(ParamId) -> Vec<f64>,
    out: &mut Array,
) {
    let input = |i: usize| &values[&layer.inputs[i]];
    let x = input(0);
    let bias_of = |bias: &Option<ParamId>| bias.map_or(vec![0.0; x.channels.max(out.channels)], param);
    match &layer.op {
        Op::Conv {
            weight,
            bias,
            kernel,
            stride,
        } => {
            let (weight, bias) = (param(*weight), bias_of(bias));
            let (kernel, stride) = (to_3d(kernel, 1), to_3d(stride, 1));
            let taps = Array::zeros(1, kernel);
            for o in 0..out.channels {
                for position in out.positions() {
                    let mut sum = bias[o];
                    for i in 0..x.channels {
                        for tap in taps.positions() {
                            let from: [isize; 3] = std::array::from_fn(|a| {
                                (position[a] * stride[a] + tap[a]) as isize - ((kernel[a] - 1) / 2) as isize
                            });
                            if (0..3).all(|a| from[a] >= 0 && from[a] < x.size[a] as isize) {
                                let w = weight[(o * x.channels + i) * taps.data.len() + taps.at(0, tap)];
                                sum += w * x.data[x.at(i, from.map(|v| v as usize))];
                            }
                        }
                    }
                    let at = out.at(o, position);
                    out.data[at] = sum;
                }
            }
        }
        Op::ConvTranspose { weight, bias, stride } => {
            let (weight, bias) = (param(*weight), bias_of(bias));
            let stride = to_3d(stride, 1);
            let taps = Array::zeros(1, stride);
            for o in 0..out.channels {
                for position in out.positions() {
                    let from = std::array::from_fn(|a| position[a] / stride[a]);
                    let tap = taps.at(0, std::array::from_fn(|a| position[a] % stride[a]));
                    let w = |i: usize| weight[(i * out.channels + o) * taps.data.len() + tap];
                    let sum: f64 = (0..x.channels).map(|i| w(i) * x.data[x.at(i, from)]).sum();
                    let at = out.at(o, position);
                    out.data[at] = sum + bias[o];
                }
            }
        }
        Op::InstanceNorm { affine, eps } => {
            *out = x.clone();
            let (scale, bias) = scale_and_bias(*affine, param, x.channels);
            for (c, channel) in out.channels_mut().enumerate() {
                let n = channel.len() as f64;
                let mean = channel.iter().sum::<f64>() / n;
                let var = channel.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
                normalize(channel, mean, var + f64::from(*eps), scale[c], bias[c]);
            }
        }
        Op::BatchNorm {
            affine,
            mean,
            var,
            eps,
        } => {
            *out = x.clone();
            let (scale, bias) = scale_and_bias(*affine, param, x.channels);
            let (mean, var) = (param(*mean), param(*var));
            for (c, channel) in out.channels_mut().enumerate() {
                normalize(channel, mean[c], var[c] + f64::from(*eps), scale[c], bias[c]);
            }
        }
        Op::LeakyRelu { slope } => {
            out.data = x
                .data
                .iter()
                .map(|&v| if v >= 0.0 { v } else { v * f64::from(*slope) })
                .collect();
        }
        Op::Relu => out.data = x.data.iter().map(|&v| v.max(0.0)).collect(),
        Op::AveragePool { stride } => {
            let stride = to_3d(stride, 1);
            let cell = Array::zeros(1, stride);
            for c in 0..out.channels {
                for position in out.positions() {
                    let from = |d: [usize; 3]| std::array::from_fn(|a| position[a] * stride[a] + d[a]);
                    let sum: f64 = cell.positions().map(|d| x.data[x.at(c, from(d))]).sum();
                    let at = out.at(c, position);
                    out.data[at] = sum / cell.data.len() as f64;
                }
            }
        }
        Op::Add => out.data = x.data.iter().zip(&input(1).data).map(|(a, b)| a + b).collect(),
        Op::Concat => out.data = [&x.data[..], &input(1).data[..]].concat(),
    }
}

fn scale_and_bias(
    affine: Option<(ParamId, ParamId)>,
    param: &dyn Fn(ParamId) -> Vec<f64>,
    channels: usize,
) -> (Vec<f64>, Vec<f64>) {
    affine.map_or((vec![1.0; channels], vec![0.0; channels]), |(scale, bias)| {
        (param(scale), param(bias))
    })
}

fn normalize(channel: &mut [f64], mean: f64, var: f64, scale: f64, bias: f64) {
    channel
        .iter_mut()
        .for_each(|v| *v = (*v - mean) / var.sqrt() * scale + bias);
}
