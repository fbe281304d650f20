//! The network that `plans.json` describes, with bounds on everything that memory and time grow with.

use serde_json::{Map, Value};

use crate::arch_kwargs::{Kwargs, check_range};
use crate::error::{NetworkError, bad_value, shorten};

/// Most resolutions of one network.
const MAX_STAGES: usize = 16;
/// Most channels of any layer, input and output included.
const MAX_CHANNELS: usize = 4096;
/// Most convolutions or residual blocks in one stage.
const MAX_BLOCKS: usize = 64;
/// Longest kernel along any axis.
const MAX_KERNEL: usize = 31;
/// Longest stride along any axis.
const MAX_STRIDE: usize = 64;
/// Longest patch along any axis.
const MAX_PATCH_AXIS: usize = 1 << 14;
/// Most positions of a patch.
const MAX_PATCH_POSITIONS: usize = 1 << 30;

/// The network classes that nephrite builds.
///
/// Source: dynamic-network-architectures 0.4.4, `architectures/unet.py`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkKind {
    /// Stacked convolutions in encoder and decoder; nnU-Net's default.
    PlainConvUNet,
    /// Residual blocks in the encoder, stacked convolutions in the decoder; the ResEnc plans.
    ResidualEncoderUNet,
    /// Residual blocks in encoder and decoder.
    ResidualUNet,
}

/// Normalization after a convolution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Norm {
    /// None at all.
    None,
    /// Over all positions of one channel of one tile, biased variance.
    Instance {
        /// Added to the variance.
        eps: f32,
        /// Whether there is a weight and a bias per channel.
        affine: bool,
    },
    /// With running statistics from training.
    Batch {
        /// Added to the variance.
        eps: f32,
        /// Whether there is a weight and a bias per channel.
        affine: bool,
    },
}

/// The non-linearity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// None at all.
    None,
    /// `x` if `x ≥ 0`, else `slope · x`.
    LeakyRelu {
        /// `negative_slope`.
        slope: f32,
    },
    /// `max(x, 0)`.
    Relu,
}

/// What an encoder stage of a residual network is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Two convolutions.
    BasicBlockD,
    /// 1×1, k×k, 1×1.
    BottleneckD,
}

/// One resolution of the encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Channels that leave the stage.
    pub features: usize,
    /// Kernel per axis, odd.
    pub kernel: Vec<usize>,
    /// Stride per axis of the first convolution.
    pub stride: Vec<usize>,
    /// Convolutions (plain) or residual blocks.
    pub n_blocks: usize,
    /// Channels inside a [`Block::BottleneckD`]; unused otherwise.
    pub bottleneck_channels: usize,
}

/// A network as described by `architecture` in `plans.json`, checked and bounded.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    pub(crate) kind: NetworkKind,
    pub(crate) n_channels: usize,
    pub(crate) n_classes: usize,
    pub(crate) patch: Vec<usize>,
    pub(crate) stages: Vec<Stage>,
    /// Convolutions or blocks per decoder stage, from the bottleneck upward.
    pub(crate) decoder_blocks: Vec<usize>,
    pub(crate) conv_bias: bool,
    pub(crate) norm: Norm,
    pub(crate) activation: Activation,
    pub(crate) nonlin_first: bool,
    pub(crate) block: Block,
    pub(crate) stem_channels: usize,
}

impl NetworkKind {
    /// The Python class name.
    pub fn name(self) -> &'static str {
        match self {
            NetworkKind::PlainConvUNet => "PlainConvUNet",
            NetworkKind::ResidualEncoderUNet => "ResidualEncoderUNet",
            NetworkKind::ResidualUNet => "ResidualUNet",
        }
    }

    fn parse(class_name: &str) -> Result<Self, NetworkError> {
        [
            NetworkKind::PlainConvUNet,
            NetworkKind::ResidualEncoderUNet,
            NetworkKind::ResidualUNet,
        ]
        .into_iter()
        .find(|kind| kind.name() == class_name)
        .ok_or_else(|| NetworkError::UnknownNetwork {
            name: shorten(class_name),
        })
    }

    pub(crate) fn is_residual(self) -> bool {
        self != NetworkKind::PlainConvUNet
    }
}

impl Architecture {
    /// Reads the keyword arguments of a network class.
    ///
    /// `class_name` is the last dotted component of `network_class_name`; `patch` has 2 or 3 numbers, slowest axis
    /// first; `n_channels` counts the one-hot channels of a cascade too. Numbers stand for all stages and axes, as in
    /// Python. Dropout and deep supervision have no effect at inference and are ignored.
    ///
    /// # Errors
    /// [`NetworkError::UnknownNetwork`] for another class; otherwise the error names the key, what was expected and
    /// what was found. Keys that the class does not take are refused, since their effect is unknown.
    ///
    /// Source: dynamic-network-architectures 0.4.4, `architectures/unet.py`, `building_blocks/*.py`.
    pub fn parse(
        class_name: &str,
        arch_kwargs: &Map<String, Value>,
        n_channels: usize,
        n_classes: usize,
        patch: &[usize],
    ) -> Result<Architecture, NetworkError> {
        let kind = NetworkKind::parse(class_name)?;
        let kwargs = Kwargs::new("arch_kwargs", arch_kwargs, kind.name());
        kwargs.only(COMMON_KEYS.iter().chain(if kind.is_residual() {
            RESIDUAL_KEYS
        } else {
            PLAIN_KEYS
        }))?;
        check_range("number of input channels", n_channels, 1, MAX_CHANNELS)?;
        check_range("number of classes", n_classes, 1, MAX_CHANNELS)?;

        let n_dims = dims_of(
            &kwargs
                .class_name("conv_op")?
                .ok_or(NetworkError::MissingKey { key: "conv_op" })?,
        )?;
        check_patch(patch, n_dims)?;

        let n_stages = kwargs.integer("n_stages", 2, MAX_STAGES)?;
        let features = kwargs.per_stage("features_per_stage", n_stages, 1, MAX_CHANNELS)?;
        let kernels = kwargs.per_stage_and_axis("kernel_sizes", n_stages, n_dims, 1, MAX_KERNEL)?;
        let strides = kwargs.per_stage_and_axis("strides", n_stages, n_dims, 1, MAX_STRIDE)?;
        let blocks_key = if kind.is_residual() {
            "n_blocks_per_stage"
        } else {
            "n_conv_per_stage"
        };
        let n_blocks = kwargs.per_stage(blocks_key, n_stages, 1, MAX_BLOCKS)?;
        let decoder_blocks = kwargs.per_stage("n_conv_per_stage_decoder", n_stages - 1, 1, MAX_BLOCKS)?;

        let block = if kind.is_residual() {
            parse_block(&kwargs)?
        } else {
            Block::BasicBlockD
        };
        let bottlenecks = match block {
            Block::BottleneckD => kwargs.per_stage("bottleneck_channels", n_stages, 1, MAX_CHANNELS)?,
            Block::BasicBlockD => vec![0; n_stages],
        };
        let stem_channels = kwargs.integer_or("stem_channels", features[0], 1, MAX_CHANNELS)?;
        let stages = (0..n_stages)
            .map(|s| Stage {
                features: features[s],
                kernel: kernels[s].clone(),
                stride: strides[s].clone(),
                n_blocks: n_blocks[s],
                bottleneck_channels: bottlenecks[s],
            })
            .collect();
        let architecture = Architecture {
            kind,
            n_channels,
            n_classes,
            patch: patch.to_vec(),
            stages,
            decoder_blocks,
            conv_bias: kwargs.boolean("conv_bias", false)?,
            norm: parse_norm(&kwargs, n_dims)?,
            activation: parse_activation(&kwargs)?,
            nonlin_first: kwargs.boolean("nonlin_first", false)?,
            block,
            stem_channels,
        };
        architecture.check_shapes()?;
        Ok(architecture)
    }

    /// The network class.
    pub fn kind(&self) -> NetworkKind {
        self.kind
    }

    /// Input channels.
    pub fn n_channels(&self) -> usize {
        self.n_channels
    }

    /// Segmentation heads.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Patch size, slowest axis first.
    pub fn patch(&self) -> &[usize] {
        &self.patch
    }

    /// Resolutions of the encoder, finest first, bottleneck last.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Normalization.
    pub fn norm(&self) -> Norm {
        self.norm
    }

    /// Non-linearity.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Number of weights that inference uses.
    pub fn n_parameters(&self) -> u64 {
        self.layers().n_parameters()
    }

    /// The same network with batch norm in place of instance norm, as `nnUNetTrainerBN` trains it whatever the plans
    /// say. Leaves networks without a norm alone.
    ///
    /// Source: nnunetv2 2.8.1, `training/nnUNetTrainer/variants/network_architecture/nnUNetTrainerBN.py`.
    pub(crate) fn with_batch_norm(&self) -> Architecture {
        let norm = match self.norm {
            Norm::Instance { .. } => Norm::Batch {
                eps: 1e-5,
                affine: true,
            },
            other => other,
        };
        Architecture { norm, ..self.clone() }
    }

    fn check_shapes(&self) -> Result<(), NetworkError> {
        for (s, stage) in self.stages.iter().enumerate() {
            if let Some(axis) = stage.kernel.iter().position(|k| k % 2 == 0) {
                return Err(bad_value(
                    &format!("kernel_sizes[{s}][{axis}]"),
                    "odd",
                    stage.kernel[axis],
                ));
            }
        }
        // A stride in the first stage makes the logits smaller than the patch, which nnU-Net cannot paste either.
        if self.stages[0].stride.iter().any(|&s| s != 1) {
            return Err(bad_value(
                "strides[0]",
                "1 on every axis",
                format!("{:?}", self.stages[0].stride),
            ));
        }
        let mut strides = vec![1usize; self.patch.len()];
        for stage in &self.stages {
            for (total, &s) in strides.iter_mut().zip(&stage.stride) {
                // 64^15 overflows; a saturated product divides no patch.
                *total = total.saturating_mul(s);
            }
        }
        if self.patch.iter().zip(&strides).any(|(p, s)| p % s != 0) {
            return Err(NetworkError::PatchNotDivisible {
                patch: self.patch.clone(),
                strides,
            });
        }
        if matches!(self.norm, Norm::Instance { .. }) && self.patch == strides {
            return Err(NetworkError::BottleneckTooSmall {
                patch: self.patch.clone(),
            });
        }
        Ok(())
    }
}

const COMMON_KEYS: &[&str] = &[
    "n_stages",
    "features_per_stage",
    "conv_op",
    "kernel_sizes",
    "strides",
    "n_conv_per_stage_decoder",
    "conv_bias",
    "norm_op",
    "norm_op_kwargs",
    "dropout_op",
    "dropout_op_kwargs",
    "nonlin",
    "nonlin_kwargs",
    "deep_supervision",
];
const PLAIN_KEYS: &[&str] = &["n_conv_per_stage", "nonlin_first"];
const RESIDUAL_KEYS: &[&str] = &[
    "n_blocks_per_stage",
    "block",
    "bottleneck_channels",
    "stem_channels",
];

fn dims_of(conv_op: &str) -> Result<usize, NetworkError> {
    match conv_op {
        "Conv2d" => Ok(2),
        "Conv3d" => Ok(3),
        other => Err(unsupported("conv_op", "Conv2d or Conv3d", other)),
    }
}

fn parse_block(kwargs: &Kwargs<'_>) -> Result<Block, NetworkError> {
    match kwargs.class_name("block")?.as_deref() {
        None | Some("BasicBlockD") => Ok(Block::BasicBlockD),
        Some("BottleneckD") => Ok(Block::BottleneckD),
        Some(other) => Err(unsupported("block", "BasicBlockD or BottleneckD", other)),
    }
}

/// Defaults are those of `torch.nn.InstanceNormNd` (not affine) and `torch.nn.BatchNormNd` (affine).
fn parse_norm(kwargs: &Kwargs<'_>, n_dims: usize) -> Result<Norm, NetworkError> {
    let Some(name) = kwargs.class_name("norm_op")? else {
        return Ok(Norm::None);
    };
    let expected = if n_dims == 2 {
        "InstanceNorm2d or BatchNorm2d"
    } else {
        "InstanceNorm3d or BatchNorm3d"
    };
    let is_batch = match (name.as_str(), n_dims) {
        ("InstanceNorm2d", 2) | ("InstanceNorm3d", 3) => false,
        ("BatchNorm2d", 2) | ("BatchNorm3d", 3) => true,
        _ => return Err(unsupported("norm_op", expected, &name)),
    };
    let Some(options) = kwargs.object("norm_op_kwargs", &name)? else {
        return Ok(if is_batch {
            Norm::Batch {
                eps: 1e-5,
                affine: true,
            }
        } else {
            Norm::Instance {
                eps: 1e-5,
                affine: false,
            }
        });
    };
    options.only(["eps", "affine", "momentum", "track_running_stats"].iter())?;
    // Running statistics of an instance norm, or none of a batch norm, would change what is computed.
    if options.boolean("track_running_stats", is_batch)? != is_batch {
        return Err(bad_value(
            "track_running_stats",
            &format!("{is_batch} for {name}"),
            !is_batch,
        ));
    }
    let eps = options.float("eps", 1e-5, f32::MIN_POSITIVE, 1.0)?;
    let affine = options.boolean("affine", is_batch)?;
    Ok(if is_batch {
        Norm::Batch { eps, affine }
    } else {
        Norm::Instance { eps, affine }
    })
}

fn parse_activation(kwargs: &Kwargs<'_>) -> Result<Activation, NetworkError> {
    let Some(name) = kwargs.class_name("nonlin")? else {
        return Ok(Activation::None);
    };
    let options = kwargs.object("nonlin_kwargs", &name)?;
    match name.as_str() {
        "LeakyReLU" => {
            let Some(options) = options else {
                return Ok(Activation::LeakyRelu { slope: 0.01 });
            };
            options.only(["negative_slope", "inplace"].iter())?;
            Ok(Activation::LeakyRelu {
                slope: options.float("negative_slope", 0.01, -1e6, 1.0)?,
            })
        }
        "ReLU" => {
            if let Some(options) = options {
                options.only(["inplace"].iter())?;
            }
            Ok(Activation::Relu)
        }
        other => Err(unsupported("nonlin", "LeakyReLU or ReLU", other)),
    }
}

fn check_patch(patch: &[usize], n_dims: usize) -> Result<(), NetworkError> {
    if patch.len() != n_dims {
        return Err(bad_value(
            "patch_size",
            &format!("{n_dims} numbers, as conv_op says"),
            format!("{patch:?}"),
        ));
    }
    for (axis, &len) in patch.iter().enumerate() {
        check_range(&format!("patch_size[{axis}]"), len, 1, MAX_PATCH_AXIS)?;
    }
    check_range(
        "number of patch positions",
        patch.iter().product(),
        1,
        MAX_PATCH_POSITIONS,
    )
}

fn unsupported(key: &'static str, expected: &'static str, found: &str) -> NetworkError {
    NetworkError::UnsupportedOperation {
        key,
        expected,
        found: shorten(found),
    }
}
