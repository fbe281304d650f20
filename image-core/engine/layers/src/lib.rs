//! A network as a list of layers in the order of execution: where a description of it ends, and what every runtime of it
//! starts from.

#[cfg(feature = "test-util")]
pub mod test_util;

/// Index into [`LayerGraph::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ValueId(pub usize);

/// Index into [`LayerGraph::params`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ParamId(pub usize);

/// Shape of what flows between layers; batch is 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueShape {
    /// Feature channels.
    pub channels: usize,
    /// Slowest axis first.
    pub spatial: Vec<usize>,
}

/// A weight tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Canonical name in the state dict.
    pub name: String,
    /// Dimensions, as PyTorch has them.
    pub shape: Vec<usize>,
}

/// What a layer computes. Sizes per axis, slowest first.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Weight `[out, in, kernel…]`, zero padding `(kernel − 1) / 2` on both sides, dilation 1, groups 1.
    Conv {
        /// `[out, in, kernel…]`.
        weight: ParamId,
        /// `[out]`.
        bias: Option<ParamId>,
        /// Taps per axis, odd.
        kernel: Vec<usize>,
        /// Step per axis.
        stride: Vec<usize>,
    },
    /// Weight `[in, out, stride…]`, kernel = stride, no padding: the outputs of two positions never overlap.
    ConvTranspose {
        /// `[in, out, stride…]`.
        weight: ParamId,
        /// `[out]`.
        bias: Option<ParamId>,
        /// Kernel and step per axis.
        stride: Vec<usize>,
    },
    /// Per channel over all positions, biased variance. Without scale and bias: ones and zeros.
    InstanceNorm {
        /// Scale and bias, `[channels]` each.
        affine: Option<(ParamId, ParamId)>,
        /// Added to the variance.
        eps: f32,
    },
    /// With running mean and variance.
    BatchNorm {
        /// Scale and bias, `[channels]` each.
        affine: Option<(ParamId, ParamId)>,
        /// `[channels]`.
        mean: ParamId,
        /// `[channels]`.
        var: ParamId,
        /// Added to the variance.
        eps: f32,
    },
    /// `x` if `x ≥ 0`, else `slope · x`.
    LeakyRelu {
        /// Of the negative side.
        slope: f32,
    },
    /// `max(x, 0)`.
    Relu,
    /// Kernel = stride, no padding.
    AveragePool {
        /// Kernel and step per axis.
        stride: Vec<usize>,
    },
    /// The sum of two values.
    Add,
    /// Along the channels, in the order of the inputs.
    Concat,
}

/// One layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Unique; made of the module's name in the state dict.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// What it reads.
    pub inputs: Vec<ValueId>,
    /// What it writes.
    pub output: ValueId,
}

/// A network: layers in the order of execution, each value written once.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerGraph {
    /// The tile.
    pub input: ValueId,
    /// The logits.
    pub output: ValueId,
    /// Shape of every value.
    pub values: Vec<ValueShape>,
    /// All weight tensors.
    pub params: Vec<Param>,
    /// In the order of execution.
    pub layers: Vec<Layer>,
}

impl ValueShape {
    /// Number of f32 values.
    pub fn n_values(&self) -> u64 {
        product(&self.spatial).saturating_mul(self.channels as u64)
    }
}

impl Param {
    /// Number of f32 values.
    pub fn n_values(&self) -> u64 {
        product(&self.shape)
    }
}

impl LayerGraph {
    /// Shape of a value.
    pub fn shape(&self, value: ValueId) -> &ValueShape {
        &self.values[value.0]
    }

    /// A weight tensor.
    pub fn param(&self, param: ParamId) -> &Param {
        &self.params[param.0]
    }

    /// Number of weights.
    pub fn n_parameters(&self) -> u64 {
        self.params
            .iter()
            .fold(0, |sum, param| sum.saturating_add(param.n_values()))
    }
}

fn product(dims: &[usize]) -> u64 {
    dims.iter()
        .fold(1u64, |product, &dim| product.saturating_mul(dim as u64))
}
