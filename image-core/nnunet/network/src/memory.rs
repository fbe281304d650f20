use crate::architecture::Architecture;
use crate::layers::{LayerGraph, Op};

/// Bytes that one resident network needs while it runs a tile: its weights, and the most activations that are alive at
/// once, all f32.
///
/// Activations and sums are counted as overwriting their input where nothing else reads it, as runtimes do. Scratch
/// buffers of the runtime are not in it.
pub fn memory_estimate(architecture: &Architecture) -> u64 {
    let graph = architecture.layers();
    let values = graph.n_parameters().saturating_add(peak_activations(&graph));
    values.saturating_mul(4)
}

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
        sum.saturating_add(graph.shape(layer.output).len().saturating_mul(per_output))
    })
}

/// Most f32 values alive at once, by walking the layers in order.
fn peak_activations(graph: &LayerGraph) -> u64 {
    let mut last_use = vec![0usize; graph.values.len()];
    for (i, layer) in graph.layers.iter().enumerate() {
        for input in &layer.inputs {
            last_use[input.0] = i;
        }
    }
    last_use[graph.output.0] = graph.layers.len();
    let mut alive = graph.shape(graph.input).len();
    let mut peak = alive;
    for (i, layer) in graph.layers.iter().enumerate() {
        let dying: u64 = (layer.inputs.iter())
            .filter(|input| last_use[input.0] == i)
            .fold(0, |sum, &input| sum.saturating_add(graph.shape(input).len()));
        let output = graph.shape(layer.output).len();
        let in_place = matches!(layer.op, Op::LeakyRelu { .. } | Op::Relu | Op::Add) && dying >= output;
        peak = peak.max(alive.saturating_add(if in_place { 0 } else { output }));
        alive = alive.saturating_add(output).saturating_sub(dying);
    }
    peak
}
