//! What is wrong with a network's description, weights or exported graph.

use nephrite_types::{Coded, ErrorCode};

/// What can be wrong with a network: its description, its weights, or an exported graph.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The class is none of those that nephrite builds; an exported `network.onnx` may stand in.
    #[error(
        "network class {name} is not supported (PlainConvUNet, ResidualEncoderUNet and ResidualUNet are); \
         an exported network.onnx in the fold folder can be used instead"
    )]
    UnknownNetwork {
        /// Last dotted component of `network_class_name`.
        name: String,
    },
    /// A key that the network class needs is not there.
    #[error("arch_kwargs has no {key}")]
    MissingKey {
        /// The key.
        key: &'static str,
    },
    /// A key that the network class does not take, so that its effect is unknown.
    #[error("{inside} has key {key}, which {class} does not take or nephrite does not know")]
    UnknownKey {
        /// `arch_kwargs`, `norm_op_kwargs` or `nonlin_kwargs`.
        inside: &'static str,
        /// The key.
        key: String,
        /// The class that was to be built with it.
        class: String,
    },
    /// A value of the wrong kind or size.
    #[error("{key} must be {expected}, found {found}")]
    BadValue {
        /// The key, with an index where it is a list.
        key: String,
        /// What is accepted.
        expected: String,
        /// The value, shortened.
        found: String,
    },
    /// An operation, norm, activation or block that nephrite does not know.
    #[error("{key} {found} is not supported, expected {expected}")]
    UnsupportedOperation {
        /// The key.
        key: &'static str,
        /// What is accepted.
        expected: &'static str,
        /// Last dotted component of the class name.
        found: String,
    },
    /// A skip connection would not fit its upsampled partner.
    #[error("patch size {patch:?} is not divisible by the product of strides {strides:?}")]
    PatchNotDivisible {
        /// Voxels per axis.
        patch: Vec<usize>,
        /// Product of all strides, per axis.
        strides: Vec<usize>,
    },
    /// Instance normalization over a single position, which PyTorch refuses too.
    #[error(
        "patch size {patch:?} leaves a single position at the bottleneck, where a norm has no statistics"
    )]
    BottleneckTooSmall {
        /// Voxels per axis.
        patch: Vec<usize>,
    },
    /// The weights lack a tensor of the network.
    #[error("the weights have no tensor {name} (missing: {n_missing} of {n_expected})")]
    MissingTensor {
        /// Canonical name of the first missing tensor.
        name: String,
        /// How many are missing.
        n_missing: usize,
        /// How many the network has.
        n_expected: usize,
    },
    /// A tensor has another shape than the plans imply.
    #[error("tensor {name} has shape {found:?}, the plans imply {expected:?}")]
    TensorShape {
        /// As it is named in the weights.
        name: String,
        /// From the plans.
        expected: Vec<usize>,
        /// In the weights.
        found: Vec<usize>,
    },
    /// The weights have tensors that the network has no place for: they belong to another network.
    #[error(
        "the weights have tensor {name}, which a {class} of these plans does not have (such tensors: {n_unexpected})"
    )]
    UnexpectedTensor {
        /// The first such tensor.
        name: String,
        /// How many there are.
        n_unexpected: usize,
        /// Network class of the plans.
        class: &'static str,
    },
    /// A weight is NaN or infinite.
    #[error("tensor {name} has a value that is not finite (index {index})")]
    NotFinite {
        /// As it is named in the weights.
        name: String,
        /// Flat index of the first such value.
        index: usize,
    },
    /// A tensor could not be read.
    #[error("tensor {name} could not be read: {source}")]
    ReadTensor {
        /// As it is named in the weights.
        name: String,
        /// What the source said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A model over a size limit.
    #[error("{what} is {found}, at most {limit} is allowed")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// As found.
        found: u64,
        /// The most that is allowed.
        limit: u64,
    },
    /// Bytes that are not an ONNX model.
    #[error("not a readable ONNX model: {reason}")]
    OnnxMalformed {
        /// What was wrong.
        reason: String,
    },
    /// Tensor data outside the model file, which is never read.
    #[error("tensor {name} of the ONNX model has external data")]
    OnnxExternalData {
        /// The tensor.
        name: String,
    },
    /// An operator that is not on the list of what a segmentation network needs.
    #[error("operator {operator} of the ONNX model is not allowed (node {node})")]
    OnnxOperator {
        /// Domain and operator.
        operator: String,
        /// The node.
        node: String,
    },
    /// A feature that is refused: subgraphs, functions, training information, sparse tensors.
    #[error("the ONNX model has {feature}, which is not supported")]
    OnnxFeature {
        /// Which one.
        feature: String,
    },
    /// A tensor whose data does not fit its type and dimensions.
    #[error("tensor {name} of the ONNX model is malformed: {reason}")]
    OnnxTensor {
        /// The tensor.
        name: String,
        /// What was wrong.
        reason: String,
    },
    /// An operator whose output has a size that does not follow from the patch and from constants.
    #[error(
        "operator {operator} of the ONNX model gives a value whose size does not follow from constants (node {node})"
    )]
    OnnxShape {
        /// The operator.
        operator: String,
        /// The node.
        node: String,
    },
    /// Input or output differs from what plans and dataset imply.
    #[error("{what} of the ONNX model is {found}, expected {expected}")]
    OnnxInterface {
        /// `input`, `output`, `number of inputs` …
        what: &'static str,
        /// From plans and dataset.
        expected: String,
        /// In the model.
        found: String,
    },
    /// Our own kernels cannot run the network.
    #[error(transparent)]
    Cpu(#[from] nephrite_cpu::CpuError),
    /// The network cannot be run on a card, or the card refuses.
    #[error(transparent)]
    Cuda(#[from] nephrite_cuda::CudaError),
    /// Stopped from outside while weights were read.
    #[error(transparent)]
    Cancelled(#[from] nephrite_types::Cancelled),
}

impl Coded for NetworkError {
    fn code(&self) -> ErrorCode {
        match self {
            NetworkError::TooLarge { .. } => ErrorCode::LimitExceeded,
            NetworkError::Cpu(error) => error.code(),
            NetworkError::Cuda(error) => error.code(),
            NetworkError::Cancelled(cancelled) => cancelled.code(),
            _ => ErrorCode::InvalidModel,
        }
    }
}

pub(crate) fn bad_value(key: &str, expected: &str, found: impl std::fmt::Display) -> NetworkError {
    NetworkError::BadValue {
        key: key.to_owned(),
        expected: expected.to_owned(),
        found: shorten(&found.to_string()),
    }
}

/// Keeps messages short whatever a file contains.
pub(crate) fn shorten(text: &str) -> String {
    const MAX: usize = 80;
    if text.chars().count() <= MAX {
        return text.to_owned();
    }
    text.chars().take(MAX).chain("…".chars()).collect()
}
