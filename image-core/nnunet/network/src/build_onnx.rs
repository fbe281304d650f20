//! Joins a described network and its weights into the model that a runtime loads.

use crate::architecture::Architecture;
use crate::onnx_writer::ModelWriter;
use crate::session_memory::{NetworkMemory, session_memory};
use crate::weights::{WeightSource, has_running_statistics, read, resolve};
use crate::{NetworkError, lowering};

/// A network that a runtime can load: one f32 input `[1, channel, patch…]`, one f32 output of raw logits
/// `[1, class, patch…]`, all shapes fixed, nothing outside these bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnnxNetwork {
    /// The model, as in a `.onnx` file.
    pub bytes: Vec<u8>,
    /// Number of weights.
    pub n_parameters: u64,
    /// Name of the input.
    pub input_name: String,
    /// Name of the output.
    pub output_name: String,
    /// Input channels.
    pub n_channels: usize,
    /// Output channels.
    pub n_classes: usize,
    /// Spatial size, slowest axis first.
    pub patch: Vec<usize>,
    /// What a session of ONNX Runtime keeps of it in memory.
    pub memory: NetworkMemory,
}

/// Joins architecture and weights into an ONNX model (opset 17).
///
/// Verifies the name and shape of every tensor before it reads any, and switches to batch norm if the weights carry
/// running statistics. Holds the model's bytes and one tensor at a time.
///
/// # Errors
/// [`NetworkError::MissingTensor`], [`NetworkError::TensorShape`] and [`NetworkError::UnexpectedTensor`] if the weights
/// are not those of this architecture; [`NetworkError::NotFinite`], [`NetworkError::ReadTensor`] for a broken tensor;
/// [`NetworkError::TooLarge`] over the 2 GiB that an ONNX file can have.
///
/// Source of the mapping: the ONNX operator specification, opset 17.
pub fn build_onnx(
    architecture: &Architecture,
    weights: &mut dyn WeightSource,
) -> Result<OnnxNetwork, NetworkError> {
    let graph = if has_running_statistics(architecture, weights) {
        architecture.with_batch_norm().layers()
    } else {
        architecture.layers()
    };
    let names = resolve(&graph, architecture, weights)?;
    let writer: ModelWriter = lowering::lower(&graph);
    let bytes = writer.write(&graph, &mut |param| {
        read(weights, &names[param.0], graph.param(param))
    })?;
    Ok(OnnxNetwork {
        bytes,
        n_parameters: graph.n_parameters(),
        input_name: ModelWriter::INPUT.to_owned(),
        output_name: ModelWriter::OUTPUT.to_owned(),
        n_channels: architecture.n_channels,
        n_classes: architecture.n_classes,
        patch: architecture.patch.clone(),
        memory: session_memory(architecture),
    })
}
