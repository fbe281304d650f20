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
