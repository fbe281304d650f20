//! Where each voxel of the scan reads logits from the network's grid.

use nephrite_resample::{
    Interpolation, LinearTap, ResizePlan, linear_taps, nearest_indices, torch_linear_taps,
    torch_nearest_exact,
};

use super::AxisMap;
use crate::Model;
use crate::preprocess::NetworkInput;
use crate::recipe::resize_plan;

/// How logits come from the network grid to the cropped scan, per axis.
pub(crate) fn probability_taps(model: &Model, input: &NetworkInput) -> [AxisMap; 3] {
    // the way back: from the network's spacing to the scan's
    let plan = resize_plan(
        &model.recipe().probabilities_resampling,
        input.network_spacing,
        input.scan_spacing,
    );
    let (from, to) = (input.network_shape(), input.cropped_shape());
    std::array::from_fn(|axis| axis_map(&plan, axis, from[axis], to[axis]))
}

/// An axis that keeps its length is an identity for every interpolation.
fn axis_map(plan: &ResizePlan, axis: usize, from: usize, to: usize) -> AxisMap {
    let nearest = |indices: Vec<usize>| -> AxisMap {
        indices
            .into_iter()
            .map(|i| LinearTap {
                lo: i,
                hi: i,
                w_lo: 1.0,
                w_hi: 0.0,
            })
            .collect()
    };
    match (plan.interpolation(axis), plan.is_torch()) {
        _ if from == to => nearest((0..to).collect()),
        (Interpolation::Nearest, false) => nearest(nearest_indices(from, to)),
        (Interpolation::Nearest, true) => nearest(torch_nearest_exact(from, to)),
        (_, false) => linear_taps(from, to),
        (_, true) => torch_linear_taps(from, to),
    }
}
