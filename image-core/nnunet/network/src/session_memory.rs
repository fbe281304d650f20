//! What a session will hold, told before any weight is read.

use nephrite_cpu::{CpuMemory, CpuOptions};
use nephrite_layers::{Layer, LayerGraph, Op, ValueShape};

use crate::NetworkError;
use crate::architecture::Architecture;
use crate::arena::{Arena, Piece};

/// What one network keeps in memory from its first run on, in bytes. All weights and activations are f32.
///
/// On the CPU this is within 10 % of what a process grows by when it builds an engine and runs a tile;
/// `image-core/nnunet/tests/session_memory.rs` measures it. What making it holds for a moment is said by
/// [`cpu_building_bytes`](crate::cpu_building_bytes) and [`session_building_bytes`](crate::session_building_bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetworkMemory {
    /// Tensors of the network, each once, in the form in which they are computed with.
    pub weights: u64,
    /// Values between layers, and the input tile.
    pub activations: u64,
    /// Everything else: working memory of all threads, and of a session its graph.
    pub working: u64,
}

/// Of a session of ONNX Runtime besides its tensors: graph, threads, kernels and their scratch. Measured.
pub(crate) const SESSION_BYTES: u64 = 3 << 20;

impl NetworkMemory {
    /// All of it.
    pub fn total(&self) -> u64 {
        [self.weights, self.activations, self.working]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

/// What one network will keep in memory on the CPU, from its description alone.
///
/// # Errors
/// [`NetworkError::Cpu`] if our kernels cannot run it.
pub fn cpu_memory(
    architecture: &Architecture,
    options: CpuOptions,
    n_threads: usize,
) -> Result<NetworkMemory, NetworkError> {
    let CpuMemory {
        weights,
        activations,
        scratch,
    } = nephrite_cpu::cpu_memory(&architecture.layers(), options, n_threads)?;
    Ok(NetworkMemory {
        weights,
        activations,
        working: scratch,
    })
}

/// What one session of ONNX Runtime's CPU provider will keep in memory, from its description alone.
///
/// Walks the layers as ONNX Runtime runs them: activations overwrite their input where nothing else reads it, a value takes
/// the buffer of a dead one of its shape, everything else comes from the arena, and so does the scratch of a layer.
pub fn session_memory(architecture: &Architecture) -> NetworkMemory {
    let graph = in_order_of_execution(&architecture.layers());
    let bytes = |values: u64| values.saturating_mul(4);
    NetworkMemory {
        weights: bytes(graph.n_parameters()),
        activations: run_in_arena(&graph).saturating_add(bytes(graph.shape(graph.input).n_values())),
        working: SESSION_BYTES,
    }
}

/// The same layers in the order in which the runtime takes them: depth first from the output, of several inputs the one first
/// that was written last. So the short way around a residual block comes before the block.
///
/// Seen in a profile of ONNX Runtime 1.32.
fn in_order_of_execution(graph: &LayerGraph) -> LayerGraph {
    let mut writer = vec![None; graph.values.len()];
    for (i, layer) in graph.layers.iter().enumerate() {
        writer[layer.output.0] = Some(i);
    }
    let mut order = Vec::with_capacity(graph.layers.len());
    let mut is_seen = vec![false; graph.layers.len()];
    // A layer, and whether its inputs have been visited.
    let mut to_visit: Vec<(usize, bool)> = writer[graph.output.0].map(|i| (i, false)).into_iter().collect();
    while let Some((i, inputs_done)) = to_visit.pop() {
        if inputs_done {
            order.push(graph.layers[i].clone());
        } else if !std::mem::replace(&mut is_seen[i], true) {
            to_visit.push((i, true));
            let mut writers: Vec<usize> = graph.layers[i]
                .inputs
                .iter()
                .filter_map(|v| writer[v.0])
                .collect();
            writers.sort_unstable();
            to_visit.extend(writers.into_iter().map(|i| (i, false)));
        }
    }
    LayerGraph {
        layers: order,
        ..graph.clone()
    }
}

/// One buffer of the plan, used by one value after the other.
#[derive(Debug)]
struct Buffer {
    values: u64,
    /// Layer that writes it first, and layer after which nobody reads it any more.
    lifetime: [usize; 2],
}

/// Bytes that the arena has touched after one run. Input and logits lie in buffers of the caller.
fn run_in_arena(graph: &LayerGraph) -> u64 {
    let buffers = plan(graph);
    let mut arena = Arena::new();
    let mut held: Vec<Option<Piece>> = buffers.iter().map(|_| None).collect();
    for (i, layer) in graph.layers.iter().enumerate() {
        for (buffer, piece) in buffers.iter().zip(&mut held) {
            if buffer.lifetime[0] == i {
                *piece = Some(arena.allocate(buffer.values.saturating_mul(4)));
            }
        }
        let scratch: Vec<Piece> = (scratch_values(graph, layer).into_iter())
            .map(|values| arena.allocate(values.saturating_mul(4)))
            .collect();
        for piece in scratch {
            arena.free(piece);
        }
        for (buffer, piece) in buffers.iter().zip(&mut held) {
            if buffer.lifetime[1] == i
                && let Some(piece) = piece.take()
            {
                arena.free(piece);
            }
        }
    }
    arena.touched()
}

/// What the runtime needs while it runs one layer: the columns of a transposed convolution; of a 2-D convolution input and
/// output once more with their channels in blocks.
fn scratch_values(graph: &LayerGraph, layer: &Layer) -> Vec<u64> {
    let output = graph.shape(layer.output);
    match layer.op {
        Op::ConvTranspose { .. } => vec![output.n_values()],
        Op::Conv { .. } if output.spatial.len() == 2 => {
            vec![graph.shape(layer.inputs[0]).n_values(), output.n_values()]
        }
        _ => Vec::new(),
    }
}

/// Which buffers there are, and how long each is held.
///
/// What is overwritten and what is reused is a choice among rules that explain the allocations of a plain and of a residual
/// network equally well, logged from ONNX Runtime 1.32; `image-core/nnunet/tests/session_memory.rs` tries it on others.
fn plan(graph: &LayerGraph) -> Vec<Buffer> {
    let last_use = last_uses(graph);
    let mut buffers: Vec<Buffer> = Vec::new();
    // Of every value, and the value whose shape each buffer has.
    let mut buffer_of: Vec<Option<usize>> = vec![None; graph.values.len()];
    let mut shape_of: Vec<&ValueShape> = Vec::new();
    // Dead ones, the last to die at the end.
    let mut free: Vec<usize> = Vec::new();
    for (i, layer) in graph.layers.iter().enumerate() {
        let dying = layer.inputs.iter().filter(|input| last_use[input.0] == i);
        let dying: Vec<usize> = dying.filter_map(|input| buffer_of[input.0]).collect();
        let shape = graph.shape(layer.output);
        let mut overwritten = None;
        if layer.output != graph.output {
            if let Op::LeakyRelu { .. } | Op::Relu = layer.op {
                overwritten = dying.first().copied();
            }
            let reused = || free.iter().rposition(|&b| shape_of[b] == shape);
            let buffer = match overwritten {
                Some(buffer) => buffer,
                None => match reused() {
                    Some(at) => free.remove(at),
                    None => {
                        buffers.push(Buffer {
                            values: shape.n_values(),
                            lifetime: [i, i],
                        });
                        shape_of.push(shape);
                        buffers.len() - 1
                    }
                },
            };
            buffers[buffer].lifetime[1] = last_use[layer.output.0];
            buffer_of[layer.output.0] = Some(buffer);
        }
        free.extend(dying.into_iter().filter(|&b| Some(b) != overwritten));
    }
    buffers
}

/// The last layer that reads each value.
fn last_uses(graph: &LayerGraph) -> Vec<usize> {
    let mut last_use = vec![0; graph.values.len()];
    for (i, layer) in graph.layers.iter().enumerate() {
        for input in &layer.inputs {
            last_use[input.0] = i;
        }
    }
    last_use
}
