//! Networks with weights and a tile, built layer by layer.

use crate::{Layer, LayerGraph, Op, Param, ParamId, ValueId, ValueShape};

use super::random::Random;

/// A network, its weights and what it is run on.
#[derive(Debug, Clone)]
pub struct Case {
    pub graph: LayerGraph,
    /// As [`LayerGraph::params`].
    pub params: Vec<Vec<f32>>,
    /// `[channel, z, y, x]`.
    pub tile: Vec<f32>,
}

/// Adds layers with random weights.
pub struct Builder {
    pub random: Random,
    graph: LayerGraph,
    params: Vec<Vec<f32>>,
}

pub const EPS: f32 = 1e-5;

impl Builder {
    /// A network whose tile has so many channels and this size.
    pub fn new(channels: usize, spatial: &[usize]) -> Self {
        Builder {
            random: Random::new(
                spatial
                    .iter()
                    .fold(channels as u64, |seed, &n| seed * 31 + n as u64),
            ),
            graph: LayerGraph {
                input: ValueId(0),
                output: ValueId(0),
                values: vec![ValueShape {
                    channels,
                    spatial: spatial.to_vec(),
                }],
                params: Vec::new(),
                layers: Vec::new(),
            },
            params: Vec::new(),
        }
    }

    pub fn tile(&self) -> ValueId {
        self.graph.input
    }

    pub fn shape(&self, value: ValueId) -> &ValueShape {
        self.graph.shape(value)
    }

    pub fn channels(&self, value: ValueId) -> usize {
        self.shape(value).channels
    }

    /// A weight tensor.
    pub fn param(&mut self, name: &str, shape: &[usize], values: Vec<f32>) -> ParamId {
        assert_eq!(values.len(), shape.iter().product::<usize>());
        self.params.push(values);
        self.graph.params.push(Param {
            name: format!("{}.{name}", self.graph.layers.len()),
            shape: shape.to_vec(),
        });
        ParamId(self.params.len() - 1)
    }

    pub fn layer(&mut self, op: Op, inputs: &[ValueId], channels: usize, spatial: Vec<usize>) -> ValueId {
        let output = ValueId(self.graph.values.len());
        self.graph.values.push(ValueShape { channels, spatial });
        self.graph.layers.push(Layer {
            name: format!("layer {}", self.graph.layers.len()),
            op,
            inputs: inputs.to_vec(),
            output,
        });
        output
    }

    fn same_shape(&mut self, op: Op, inputs: &[ValueId]) -> ValueId {
        let ValueShape { channels, spatial } = self.shape(inputs[0]).clone();
        self.layer(op, inputs, channels, spatial)
    }

    /// Random weights that keep the spread of the values, and a bias that is small beside it: what is a constant adds to the
    /// rounding and not to the spread.
    pub fn conv(&mut self, input: ValueId, channels: usize, kernel: &[usize], stride: &[usize]) -> ValueId {
        let n_in = self.channels(input);
        let factors = n_in * kernel.iter().product::<usize>();
        let weight = self
            .random
            .values(channels * factors, 1.0 / (factors as f32).sqrt());
        let bias = self.random.values(channels, 0.3);
        self.conv_of(input, channels, kernel, stride, weight, Some(bias))
    }

    /// Stride 1, all axes of the kernel 3.
    pub fn conv3(&mut self, input: ValueId, channels: usize) -> ValueId {
        let n_axes = self.shape(input).spatial.len();
        self.conv(input, channels, &[3, 3, 3][..n_axes], &[1, 1, 1][..n_axes])
    }

    /// Stride 1, kernel 1.
    pub fn conv1(&mut self, input: ValueId, channels: usize) -> ValueId {
        let n_axes = self.shape(input).spatial.len();
        self.conv(input, channels, &[1, 1, 1][..n_axes], &[1, 1, 1][..n_axes])
    }

    /// With the weights given, `[out, in, kernel…]`.
    pub fn conv_of(
        &mut self,
        input: ValueId,
        channels: usize,
        kernel: &[usize],
        stride: &[usize],
        weight: Vec<f32>,
        bias: Option<Vec<f32>>,
    ) -> ValueId {
        let shape = [&[channels, self.channels(input)], kernel].concat();
        let weight = self.param("weight", &shape, weight);
        let bias = bias.map(|bias| self.param("bias", &[channels], bias));
        let op = Op::Conv {
            weight,
            bias,
            kernel: kernel.to_vec(),
            stride: stride.to_vec(),
        };
        let spatial = self
            .shape(input)
            .spatial
            .iter()
            .zip(stride)
            .map(|(n, s)| n.div_ceil(*s))
            .collect();
        self.layer(op, &[input], channels, spatial)
    }

    pub fn transposed(&mut self, input: ValueId, channels: usize, stride: &[usize]) -> ValueId {
        let n_in = self.channels(input);
        let n = n_in * channels * stride.iter().product::<usize>();
        let weight = self.random.values(n, 1.0 / (n_in as f32).sqrt());
        let bias = self.random.values(channels, 0.3);
        let weight = self.param("weight", &[&[n_in, channels], stride].concat(), weight);
        let bias = Some(self.param("bias", &[channels], bias));
        let spatial = self
            .shape(input)
            .spatial
            .iter()
            .zip(stride)
            .map(|(n, s)| n * s)
            .collect();
        let op = Op::ConvTranspose {
            weight,
            bias,
            stride: stride.to_vec(),
        };
        self.layer(op, &[input], channels, spatial)
    }

    /// Scales of both signs.
    fn affine(&mut self, channels: usize) -> (ParamId, ParamId) {
        let mut scale = self.random.between(0.5, 1.5, channels);
        scale
            .iter_mut()
            .skip(1)
            .step_by(3)
            .for_each(|scale| *scale = -*scale);
        let bias = self.random.values(channels, 0.5);
        (
            self.param("scale", &[channels], scale),
            self.param("bias", &[channels], bias),
        )
    }

    pub fn instance_norm(&mut self, input: ValueId) -> ValueId {
        let affine = Some(self.affine(self.channels(input)));
        self.same_shape(Op::InstanceNorm { affine, eps: EPS }, &[input])
    }

    /// Without scale and bias.
    pub fn plain_instance_norm(&mut self, input: ValueId) -> ValueId {
        let op = Op::InstanceNorm {
            affine: None,
            eps: EPS,
        };
        self.same_shape(op, &[input])
    }

    pub fn batch_norm(&mut self, input: ValueId, is_affine: bool) -> ValueId {
        let channels = self.channels(input);
        let affine = is_affine.then(|| self.affine(channels));
        let mean = self.random.values(channels, 1.0);
        let var = self.random.between(0.5, 2.0, channels);
        let op = Op::BatchNorm {
            affine,
            mean: self.param("running_mean", &[channels], mean),
            var: self.param("running_var", &[channels], var),
            eps: 1e-3,
        };
        self.same_shape(op, &[input])
    }

    pub fn leaky_relu(&mut self, input: ValueId, slope: f32) -> ValueId {
        self.same_shape(Op::LeakyRelu { slope }, &[input])
    }

    pub fn relu(&mut self, input: ValueId) -> ValueId {
        self.same_shape(Op::Relu, &[input])
    }

    /// Norm with scale and bias, leaky ReLU of 0.01.
    pub fn norm_and_activation(&mut self, input: ValueId) -> ValueId {
        let normalized = self.instance_norm(input);
        self.leaky_relu(normalized, 0.01)
    }

    pub fn average_pool(&mut self, input: ValueId, stride: &[usize]) -> ValueId {
        let ValueShape { channels, spatial } = self.shape(input).clone();
        let spatial = spatial.iter().zip(stride).map(|(n, s)| n / s).collect();
        let op = Op::AveragePool {
            stride: stride.to_vec(),
        };
        self.layer(op, &[input], channels, spatial)
    }

    pub fn add(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.same_shape(Op::Add, &[a, b])
    }

    pub fn concat(&mut self, inputs: &[ValueId]) -> ValueId {
        let channels = inputs.iter().map(|&input| self.channels(input)).sum();
        let spatial = self.shape(inputs[0]).spatial.clone();
        self.layer(Op::Concat, inputs, channels, spatial)
    }

    /// With a random tile.
    pub fn finish(mut self, output: ValueId) -> Case {
        let n = self.shape(self.graph.input).n_values() as usize;
        let tile = self.random.values(n, 1.0);
        self.finish_with(output, tile)
    }

    pub fn finish_with(mut self, output: ValueId, tile: Vec<f32>) -> Case {
        self.graph.output = output;
        Case {
            graph: self.graph,
            params: self.params,
            tile,
        }
    }
}
