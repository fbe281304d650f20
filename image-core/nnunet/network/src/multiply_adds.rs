//! The work of one run of a network, counted as tools that count FLOPs do.

use crate::architecture::Architecture;
use nephrite_layers::Op;

/// Multiply-accumulates of one run of the network on one patch: those of convolutions and transposed convolutions, zeros
/// of the padding included, as tools that count FLOPs do. Norms and activations are not in it.
pub fn multiply_adds(architecture: &Architecture) -> u64 {
    let graph = architecture.layers();
    graph.layers.iter().fold(0u64, |sum, layer| {
        let inputs = layer
            .inputs
            .iter()
            .map(|&input| graph.shape(input).channels as u64);
        let per_output = match &layer.op {
            Op::Conv { kernel, .. } => kernel
                .iter()
                .fold(inputs.sum::<u64>(), |n, &k| n.saturating_mul(k as u64)),
            // Kernel = stride: every output comes from one position.
            Op::ConvTranspose { .. } => inputs.sum(),
            _ => 0,
        };
        sum.saturating_add(graph.shape(layer.output).n_values().saturating_mul(per_output))
    })
}
