//! What a step of a run took, and how much it had to do.

use crate::network::StepWeights;
use crate::passes::VOXELS_PER_TASK;
use crate::step::{Step, Work};
use crate::strips::Tile;

/// What one step of a run took.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerTime {
    /// Of the layer.
    pub name: String,
    /// How it was computed: `winograd 2x4x4`, `winograd columns`, `direct`, `direct lines`, `transposed`, `sum`, `pool`.
    pub kind: String,
    /// What it wrote: channels and z × y × x.
    pub output: String,
    /// Wall time.
    pub seconds: f64,
    /// As a plain sum would need, zeros of the padding included; 0 for what is no convolution.
    pub multiply_adds: u64,
    /// That are multiplied in fact, padding of channels and tiles included.
    pub products: u64,
    /// Of inputs, weights and outputs, each counted once.
    pub bytes: u64,
    /// Tasks that were handed to the threads.
    pub n_tasks: u64,
    /// Times that all threads waited for the last one.
    pub n_barriers: u64,
}

pub(crate) fn layer_time(step: &Step, weights: &StepWeights, seconds: f64) -> LayerTime {
    let layout = step.output.layout();
    let [z, y, x] = layout.size;
    let n_in: usize = step.inputs.iter().map(|view| view.layout.channels).sum();
    let n_outputs = (layout.n_voxels() * layout.channels) as u64;
    let shape = weights.packed.as_ref().map(crate::pack::Packed::shape);
    let depth = shape.map_or(0, |shape| shape.depth * shape.n_out);
    let n_voxels = layout.n_voxels();
    let rows = layout.size[0] * layout.size[1];
    let (kind, n_taps, products, n_tasks) = match &step.work {
        Work::Winograd { plan, .. } => {
            let filtered @ [tz, ty, tx] = plan.tile.filtered();
            let n_tiles: usize = Tile(filtered).counts(plan.size).iter().product();
            let kind = match plan.tile {
                Tile::COLUMN => "winograd columns".to_owned(),
                _ => format!("winograd {tz}x{ty}x{tx}"),
            };
            (
                kind,
                if plan.tile.0[0] == 1 { 9 } else { 27 },
                n_tiles * plan.tile.n_components() * depth,
                plan.n_layers() * plan.strips_per_layer(),
            )
        }
        Work::Direct { plan, .. } => (
            if plan.in_lines { "direct lines" } else { "direct" }.to_owned(),
            plan.windows.n_taps(),
            n_voxels * depth,
            plan.n_tasks(),
        ),
        Work::Upsample { stride, .. } => (
            "transposed".to_owned(),
            1,
            n_voxels * depth,
            rows / (stride[0] * stride[1]),
        ),
        Work::Sum { .. } => {
            let per_plane = (layout.size[1] * layout.size[2]).div_ceil(VOXELS_PER_TASK);
            ("sum".to_owned(), 0, 0, layout.size[0] * per_plane)
        }
        Work::Pool { .. } => ("pool".to_owned(), 0, 0, rows),
    };
    let n_barriers = match &step.work {
        Work::Winograd { plan, n_layers, .. } => plan.n_layers().div_ceil(*n_layers),
        _ => 1,
    };
    let multiply_adds = n_outputs * (n_in * n_taps) as u64;
    let read: usize = step.inputs.iter().map(|view| view.layout.len()).sum();
    let packed = weights.packed.as_ref().map_or(0, crate::pack::Packed::n_bytes);
    LayerTime {
        name: step.name.clone(),
        kind,
        output: format!("{} x {z}x{y}x{x}", layout.channels),
        seconds,
        multiply_adds,
        products: products as u64,
        bytes: ((read + layout.len()) * size_of::<f32>() + packed) as u64,
        n_tasks: n_tasks as u64,
        n_barriers: n_barriers as u64,
    }
}
