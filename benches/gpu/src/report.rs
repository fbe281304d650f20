//! What was found, as JSON.

use nephrite_cuda::{CardInfo, Precision, StepTime};
use nephrite_nnunet_network::multiply_adds;
use serde_json::{Value, json};

use crate::measure::{Found, Task};
use crate::networks::Name;

/// Medians and what they are of; times of single rounds beside them.
pub(crate) fn report(name: Name, task: &Task<'_>, card: &CardInfo, open_s: f64, found: &Found) -> Value {
    let (major, minor) = card.capability;
    json!({
        "network": name.text(),
        "precision": precision(task.precision),
        "patch": task.architecture.patch(),
        "n_classes": task.architecture.n_classes(),
        "n_parameters": task.architecture.n_parameters(),
        "multiply_adds": multiply_adds(task.architecture),
        "card": card.name,
        "capability": format!("{major}.{minor}"),
        "memory_bytes": card.memory_bytes,
        "driver": card.driver,
        "cuda": card.cuda,
        "cudnn": card.cudnn,
        "nvrtc": card.nvrtc,
        "open_s": open_s,
        "load_s": found.load_s,
        "first_tile_s": found.first_tile_s,
        "tile_ms": median(&found.tile_ms),
        "network_ms": median(&found.network_ms),
        "weights_bytes": found.bytes.weights,
        "arena_bytes": found.bytes.arena,
        "used_bytes": found.used_bytes,
        "rounds": task.n_rounds,
        "tiles_per_round": task.n_tiles,
        "tile_ms_of_rounds": found.tile_ms,
        "network_ms_of_rounds": found.network_ms,
        "steps": found.steps.iter().map(step).collect::<Vec<_>>(),
    })
}

fn precision(precision: Precision) -> &'static str {
    match precision {
        Precision::Half => "half",
        Precision::Tf32 => "tf32",
        Precision::Single => "f32",
    }
}

fn step(step: &StepTime) -> Value {
    json!({
        "kind": step.kind,
        "sizes": step.sizes,
        "ms": step.milliseconds,
        "multiply_adds": step.multiply_adds,
        "bytes": step.bytes,
        "tflops": 2e-9 * step.multiply_adds as f64 / step.milliseconds,
        "gbytes_per_s": 1e-6 * step.bytes as f64 / step.milliseconds,
    })
}

/// Of at least one value.
fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    f64::midpoint(values[values.len() / 2], values[(values.len() - 1) / 2])
}
