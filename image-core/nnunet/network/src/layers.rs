//! A network as a list of layers in the order of execution: what every lowering starts from.

/// Index into [`LayerGraph::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ValueId(pub(crate) usize);

/// Index into [`LayerGraph::params`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ParamId(pub(crate) usize);

/// Shape of what flows between layers; batch is 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ValueShape {
    pub(crate) channels: usize,
    /// Slowest axis first.
    pub(crate) spatial: Vec<usize>,
}

/// A weight tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Param {
    /// Canonical name in the state dict.
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
}

/// What a layer computes. Sizes per axis, slowest first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Op {
    /// Weight `[out, in, kernel…]`, zero padding `(kernel − 1) / 2` on both sides, dilation 1, groups 1.
    Conv {
        weight: ParamId,
        bias: Option<ParamId>,
        kernel: Vec<usize>,
        stride: Vec<usize>,
    },
    /// Weight `[in, out, stride…]`, kernel = stride, no padding: the outputs of two positions never overlap.
    ConvTranspose {
        weight: ParamId,
        bias: Option<ParamId>,
        stride: Vec<usize>,
    },
    /// Per channel over all positions, biased variance. Without scale and bias: ones and zeros.
    InstanceNorm {
        affine: Option<(ParamId, ParamId)>,
        eps: f32,
    },
    /// With running mean and variance.
    BatchNorm {
        affine: Option<(ParamId, ParamId)>,
        mean: ParamId,
        var: ParamId,
        eps: f32,
    },
    LeakyRelu {
        slope: f32,
    },
    Relu,
    /// Kernel = stride, no padding.
    AveragePool {
        stride: Vec<usize>,
    },
    Add,
    /// Along the channels, in the order of the inputs.
    Concat,
}

/// One layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layer {
    /// Unique; made of the module's name in the state dict.
    pub(crate) name: String,
    pub(crate) op: Op,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) output: ValueId,
}

/// A network: layers in the order of execution, each value written once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LayerGraph {
    pub(crate) input: ValueId,
    pub(crate) output: ValueId,
    pub(crate) values: Vec<ValueShape>,
    pub(crate) params: Vec<Param>,
    pub(crate) layers: Vec<Layer>,
}

impl ValueShape {
    /// Number of f32 values.
    pub(crate) fn len(&self) -> u64 {
        product(&self.spatial).saturating_mul(self.channels as u64)
    }
}

impl Param {
    /// Number of f32 values.
    pub(crate) fn len(&self) -> u64 {
        product(&self.shape)
    }
}

impl LayerGraph {
    pub(crate) fn shape(&self, value: ValueId) -> &ValueShape {
        &self.values[value.0]
    }

    pub(crate) fn param(&self, param: ParamId) -> &Param {
        &self.params[param.0]
    }

    pub(crate) fn n_parameters(&self) -> u64 {
        self.params
            .iter()
            .fold(0, |sum, param| sum.saturating_add(param.len()))
    }
}

fn product(dims: &[usize]) -> u64 {
    dims.iter()
        .fold(1u64, |product, &dim| product.saturating_mul(dim as u64))
}
