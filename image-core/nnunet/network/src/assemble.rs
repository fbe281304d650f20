//! From an architecture to layers, with the module names of the state dict.
//!
//! Source: dynamic-network-architectures 0.4.4, `building_blocks/{simple_conv_blocks, residual, plain_conv_encoder,
//! residual_encoders, unet_decoder, unet_residual_decoder}.py`.

use crate::architecture::{Activation, Architecture, Block, Norm, Stage};
use nephrite_layers::{Layer, LayerGraph, Op, Param, ParamId, ValueId, ValueShape};

impl Architecture {
    /// The layers that a tile runs through; only what reaches the finest segmentation head.
    pub(crate) fn layers(&self) -> LayerGraph {
        let input = ValueShape {
            channels: self.n_channels,
            spatial: self.patch.clone(),
        };
        let graph = LayerGraph {
            input: ValueId(0),
            output: ValueId(0),
            values: vec![input],
            params: Vec::new(),
            layers: Vec::new(),
        };
        let mut assembler = Assembler { network: self, graph };
        let skips = assembler.encoder();
        let logits = assembler.decoder(&skips);
        LayerGraph {
            output: logits,
            ..assembler.graph
        }
    }
}

struct Assembler<'a> {
    network: &'a Architecture,
    graph: LayerGraph,
}

/// A convolution with its norm and activation.
struct ConvBlock<'a> {
    prefix: &'a str,
    out: usize,
    kernel: &'a [usize],
    stride: &'a [usize],
    bias: bool,
    activation: Activation,
}

impl Assembler<'_> {
    /// Runs the encoder; gives the output of every stage, the bottleneck last.
    fn encoder(&mut self) -> Vec<ValueId> {
        let network = self.network;
        let mut x = self.graph.input;
        if network.kind.is_residual() {
            let kernel = &network.stages[0].kernel;
            x = self.conv_block(
                x,
                &self.block("encoder.stem.convs.0", network.stem_channels, kernel),
            );
        }
        let mut skips = Vec::new();
        for (s, stage) in network.stages.iter().enumerate() {
            x = if network.kind.is_residual() {
                self.residual_stage(x, &format!("encoder.stages.{s}"), stage, network.block)
            } else {
                self.plain_stage(x, &format!("encoder.stages.{s}.0"), stage)
            };
            skips.push(x);
        }
        skips
    }

    fn decoder(&mut self, skips: &[ValueId]) -> ValueId {
        let network = self.network;
        let n_stages = network.stages.len();
        let mut x = skips[n_stages - 1];
        for (s, &n_blocks) in network.decoder_blocks.iter().enumerate() {
            let d = n_stages - 2 - s;
            let fine = &network.stages[d];
            x = self.upsample(
                x,
                &format!("decoder.transpconvs.{s}"),
                fine.features,
                &network.stages[d + 1].stride,
            );
            x = self.concat(x, skips[d], &format!("decoder.stages.{s}.concat"));
            let stage = Stage {
                n_blocks,
                stride: vec![1; network.patch.len()],
                ..fine.clone()
            };
            // The residual decoder takes no block argument: its blocks are basic whatever the encoder's are.
            x = if network.kind == crate::NetworkKind::ResidualUNet {
                self.residual_stage(x, &format!("decoder.stages.{s}"), &stage, Block::BasicBlockD)
            } else {
                self.plain_stage(x, &format!("decoder.stages.{s}"), &stage)
            };
        }
        let (head, ones) = (
            format!("decoder.seg_layers.{}", n_stages - 2),
            vec![1; network.patch.len()],
        );
        self.conv(x, &head, &head, network.n_classes, &ones, &ones, true)
    }

    fn plain_stage(&mut self, mut x: ValueId, prefix: &str, stage: &Stage) -> ValueId {
        let ones = vec![1; stage.stride.len()];
        for i in 0..stage.n_blocks {
            let prefix = format!("{prefix}.convs.{i}");
            let stride = if i == 0 { &stage.stride } else { &ones };
            x = self.conv_block(
                x,
                &ConvBlock {
                    stride,
                    ..self.block(&prefix, stage.features, &stage.kernel)
                },
            );
        }
        x
    }

    fn residual_stage(&mut self, mut x: ValueId, prefix: &str, stage: &Stage, block: Block) -> ValueId {
        let ones = vec![1; stage.stride.len()];
        for i in 0..stage.n_blocks {
            let stride = if i == 0 { &stage.stride } else { &ones };
            x = self.residual_block(x, &format!("{prefix}.blocks.{i}"), stage, block, stride);
        }
        x
    }

    /// `act(convs(x) + skip(x))`, where the skip pools if there is a stride and projects if the channels change.
    fn residual_block(
        &mut self,
        x: ValueId,
        prefix: &str,
        stage: &Stage,
        block: Block,
        stride: &[usize],
    ) -> ValueId {
        let ones = vec![1; stride.len()];
        let name = |part: &str| format!("{prefix}.{part}");
        let (conv1, conv2, conv3) = (name("conv1"), name("conv2"), name("conv3"));
        let no_activation = Activation::None;

        let y = match block {
            Block::BasicBlockD => {
                let first = self.block(&conv1, stage.features, &stage.kernel);
                let y = self.conv_block(x, &ConvBlock { stride, ..first });
                let last = self.block(&conv2, stage.features, &stage.kernel);
                self.conv_block(
                    y,
                    &ConvBlock {
                        activation: no_activation,
                        ..last
                    },
                )
            }
            Block::BottleneckD => {
                let narrow = stage.bottleneck_channels;
                let y = self.conv_block(x, &self.block(&conv1, narrow, &ones));
                let middle = self.block(&conv2, narrow, &stage.kernel);
                let y = self.conv_block(y, &ConvBlock { stride, ..middle });
                let last = self.block(&conv3, stage.features, &ones);
                self.conv_block(
                    y,
                    &ConvBlock {
                        activation: no_activation,
                        ..last
                    },
                )
            }
        };

        let has_stride = stride.iter().any(|&s| s != 1);
        let mut residual = x;
        if has_stride {
            residual = self.average_pool(residual, &name("skip.pool"), stride);
        }
        if self.graph.shape(x).channels != stage.features {
            let projection = name(if has_stride { "skip.1" } else { "skip.0" });
            let conv = self.block(&projection, stage.features, &ones);
            residual = self.conv_block(
                residual,
                &ConvBlock {
                    bias: false,
                    activation: no_activation,
                    ..conv
                },
            );
        }
        let shape = self.graph.shape(y).clone();
        let sum = self.push(name("add"), Op::Add, vec![y, residual], shape);
        self.activation(sum, &name("nonlin"), self.network.activation)
    }

    /// A block as most are: stride 1, bias and activation of the network.
    fn block<'a>(&self, prefix: &'a str, out: usize, kernel: &'a [usize]) -> ConvBlock<'a> {
        let stride = &[1usize; 3][..kernel.len()];
        let (bias, activation) = (self.network.conv_bias, self.network.activation);
        ConvBlock {
            prefix,
            out,
            kernel,
            stride,
            bias,
            activation,
        }
    }

    fn conv_block(&mut self, x: ValueId, block: &ConvBlock<'_>) -> ValueId {
        let prefix = block.prefix;
        let module = format!("{prefix}.conv");
        let x = self.conv(
            x,
            &module,
            &module,
            block.out,
            block.kernel,
            block.stride,
            block.bias,
        );
        let nonlin = format!("{prefix}.nonlin");
        if self.network.nonlin_first {
            let x = self.activation(x, &nonlin, block.activation);
            self.norm(x, &format!("{prefix}.norm"))
        } else {
            let x = self.norm(x, &format!("{prefix}.norm"));
            self.activation(x, &nonlin, block.activation)
        }
    }

    #[allow(clippy::too_many_arguments)] // a convolution has that many
    fn conv(
        &mut self,
        x: ValueId,
        name: &str,
        module: &str,
        out: usize,
        kernel: &[usize],
        stride: &[usize],
        bias: bool,
    ) -> ValueId {
        let from = self.graph.shape(x).clone();
        let weight_shape = [&[out, from.channels], kernel].concat();
        let weight = self.param(format!("{module}.weight"), weight_shape);
        let bias = bias.then(|| self.param(format!("{module}.bias"), vec![out]));
        let spatial = from.spatial.iter().zip(stride).map(|(n, s)| n / s).collect();
        let op = Op::Conv {
            weight,
            bias,
            kernel: kernel.to_vec(),
            stride: stride.to_vec(),
        };
        self.push(
            name.to_owned(),
            op,
            vec![x],
            ValueShape {
                channels: out,
                spatial,
            },
        )
    }

    fn upsample(&mut self, x: ValueId, module: &str, out: usize, stride: &[usize]) -> ValueId {
        let from = self.graph.shape(x).clone();
        let weight_shape = [&[from.channels, out], stride].concat();
        let weight = self.param(format!("{module}.weight"), weight_shape);
        let bias = self
            .network
            .conv_bias
            .then(|| self.param(format!("{module}.bias"), vec![out]));
        let spatial = from.spatial.iter().zip(stride).map(|(n, s)| n * s).collect();
        let op = Op::ConvTranspose {
            weight,
            bias,
            stride: stride.to_vec(),
        };
        self.push(
            module.to_owned(),
            op,
            vec![x],
            ValueShape {
                channels: out,
                spatial,
            },
        )
    }

    fn norm(&mut self, x: ValueId, module: &str) -> ValueId {
        let shape = self.graph.shape(x).clone();
        let channels = vec![shape.channels];
        let affine = |affine: bool, this: &mut Self| {
            affine.then(|| {
                let weight = this.param(format!("{module}.weight"), channels.clone());
                (weight, this.param(format!("{module}.bias"), channels.clone()))
            })
        };
        let op = match self.network.norm {
            Norm::None => return x,
            Norm::Instance { eps, affine: has } => Op::InstanceNorm {
                affine: affine(has, self),
                eps,
            },
            Norm::Batch { eps, affine: has } => {
                let affine = affine(has, self);
                let mean = self.param(format!("{module}.running_mean"), channels.clone());
                let var = self.param(format!("{module}.running_var"), channels.clone());
                Op::BatchNorm {
                    affine,
                    mean,
                    var,
                    eps,
                }
            }
        };
        self.push(module.to_owned(), op, vec![x], shape)
    }

    fn activation(&mut self, x: ValueId, name: &str, activation: Activation) -> ValueId {
        let op = match activation {
            Activation::None => return x,
            Activation::LeakyRelu { slope } => Op::LeakyRelu { slope },
            Activation::Relu => Op::Relu,
        };
        let shape = self.graph.shape(x).clone();
        self.push(name.to_owned(), op, vec![x], shape)
    }

    fn average_pool(&mut self, x: ValueId, name: &str, stride: &[usize]) -> ValueId {
        let from = self.graph.shape(x).clone();
        let spatial = from.spatial.iter().zip(stride).map(|(n, s)| n / s).collect();
        let shape = ValueShape {
            channels: from.channels,
            spatial,
        };
        self.push(
            name.to_owned(),
            Op::AveragePool {
                stride: stride.to_vec(),
            },
            vec![x],
            shape,
        )
    }

    /// Upsampled first, skip second.
    fn concat(&mut self, upsampled: ValueId, skip: ValueId, name: &str) -> ValueId {
        let (a, b) = (self.graph.shape(upsampled), self.graph.shape(skip));
        let shape = ValueShape {
            channels: a.channels + b.channels,
            spatial: a.spatial.clone(),
        };
        self.push(name.to_owned(), Op::Concat, vec![upsampled, skip], shape)
    }

    fn param(&mut self, name: String, shape: Vec<usize>) -> ParamId {
        self.graph.params.push(Param { name, shape });
        ParamId(self.graph.params.len() - 1)
    }

    fn push(&mut self, name: String, op: Op, inputs: Vec<ValueId>, shape: ValueShape) -> ValueId {
        self.graph.values.push(shape);
        let output = ValueId(self.graph.values.len() - 1);
        self.graph.layers.push(Layer {
            name,
            op,
            inputs,
            output,
        });
        output
    }
}
