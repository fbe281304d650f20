//! From layers to a plan.

use nephrite_layers::LayerGraph;

use crate::CudaError;
use crate::lowering::lower;
use crate::placement::place;
use crate::plan::{Plan, three};

/// Plans a network whose channels fill vectors of `vector` values.
///
/// # Errors
/// [`CudaError::Unsupported`].
pub(crate) fn plan_of(graph: &LayerGraph, vector: usize) -> Result<Plan, CudaError> {
    let lowered = lower(graph, vector)?;
    let (blocks, n_values) = place(&lowered.sizes, &lowered.steps, lowered.tile, lowered.head.x);
    let input = graph.shape(graph.input);
    Ok(Plan {
        steps: lowered.steps,
        head: lowered.head,
        constants: lowered.constants,
        moments: lowered.moments,
        blocks,
        n_values,
        tile: lowered.tile,
        n_channels: input.channels,
        patch: three(&input.spatial),
    })
}
